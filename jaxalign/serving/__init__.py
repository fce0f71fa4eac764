"""In-context caching for serving language models (EchoLM, IC-Cache, arXiv 2501.12689): the policies, as pure functions.

Names load on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "index": ["Hits", "VectorIndex"],
    },
)
