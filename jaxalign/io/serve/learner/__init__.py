"""The learner: the one process, by a lease, that learns from feedback, tends the examples and exchanges policies."""
