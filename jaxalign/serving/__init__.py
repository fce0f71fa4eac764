"""In-context caching for serving language models (EchoLM, IC-Cache, arXiv 2501.12689): the policies, as pure functions.

Names load on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "blocks": ["Blocks"],
        "changes": ["Change", "apply_changes", "rebuild_index"],
        "exact": ["ExactState", "exact_index"],
        "index": ["Hits", "VectorIndex"],
        "ivf": ["IvfState", "ivf_index"],
        "kmeans": ["nearest_centres", "spherical_kmeans"],
        "library": ["library_index"],
        "partitions": [
            "delete_from_partitions",
            "delete_partition",
            "insert_in_partition",
            "search_partitions",
        ],
    },
)
