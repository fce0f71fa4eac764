"""The worker: the one process of a machine that holds JAX, examples and policies, behind a Unix socket."""
