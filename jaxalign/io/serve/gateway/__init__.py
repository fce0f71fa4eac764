"""The gateway: HTTP in, HTTP out, and what is decided and kept in between. No module here imports JAX."""
