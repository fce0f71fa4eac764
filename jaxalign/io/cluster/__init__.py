"""Several processes as one run: how they start, exchange values and notice that one is gone; and what they run on.

Modules load on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["heartbeat", "launch", "machine", "processes"])
