"""A model of this machine behind an OpenAI-compatible server, by continuous batching on JAX."""
