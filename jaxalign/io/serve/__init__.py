"""The gateway that serves language models and learns from its own traffic (EchoLM, IC-Cache, arXiv 2501.12689).

Processes: gateways, which speak HTTP and know no JAX; one worker a machine, which embeds, chooses and routes; and a
learner. All that is to last is in the store. Names are imported from the modules; nothing is imported here.
"""
