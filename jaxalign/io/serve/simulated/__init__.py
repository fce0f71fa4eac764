"""Simulated models behind an OpenAI-compatible server, with faults on demand: upstreams for tests and experiments."""
