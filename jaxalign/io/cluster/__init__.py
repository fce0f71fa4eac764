"""Several processes as one run, and what they run on.

- ``launch``: joins the processes and keeps compiled programs. ``processes``: values between them.
- ``heartbeat``: notices that one of them is gone. ``machine``: hardware, versions and commit in words.

Modules load on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["heartbeat", "launch", "machine", "processes"])
