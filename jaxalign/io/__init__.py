"""Effects: files, sockets, clocks and environment variables. Its rooms, from those that use to those that are used:

- ``jobs``: files of completions, scores and records, which a killed command continues.
- ``report``: one page that shows what a run did.
- ``llm``: language models, in this process or on a server, with a file of what they answered.
- ``protein_model``: protein networks in folders of their own format. ``hierarchy_model``: classifiers with a taxonomy,
  in Hugging Face directories of their encoders with two files more; ``hierarchy_card`` is their README.
- ``versions``: states that learn while they serve, saved whole and taken back.
- ``run``: the training loop, its checkpoints, metrics and folder.
- ``hf``: models and adapters in Hugging Face format.
- ``cluster``: several processes as one run, and what a run runs on.
- ``keys``: what a thing that is kept was made with. ``line_file``: files of JSON lines that grow and survive a kill.
  ``edge``: how a command ends with a user's mistake.

They load on first use, since some are heavy.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    [
        "cluster",
        "edge",
        "hf",
        "hierarchy_card",
        "hierarchy_model",
        "jobs",
        "keys",
        "line_file",
        "llm",
        "protein_model",
        "report",
        "run",
        "versions",
    ],
)
