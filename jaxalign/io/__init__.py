"""Effects: files, sockets, clocks and environment variables.

- ``run``: the training loop, its checkpoints, metrics and folder.
- ``cluster``: several processes as one run, and what a run runs on.
- ``jobs``: files of completions, scores and records, which a killed command continues.
- ``report``: one page that shows what a run did.
- ``hf``: models and adapters in Hugging Face format. ``protein_model``: protein networks in theirs.
- ``llm``: language models, in this process or on a server.
- ``keys``: what a thing that is kept was made with. ``edge``: how a command ends with a user's mistake.

They load on first use, since some are heavy.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, ["cluster", "edge", "hf", "jobs", "keys", "llm", "protein_model", "report", "run"]
)
