"""Hierarchical classification from class names only (TELEClass, arXiv 2403.00165).

Names load on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "enrichment": ["ClassTerms", "Enrichment", "join_terms", "parse_terms", "propose_terms", "render_enrichment"],
        "readers": [
            "merge_same_names",
            "parse_label_files",
            "parse_taxonomy_json",
            "render_path",
            "taxonomy_from_edges",
            "taxonomy_from_paths",
            "taxonomy_from_rows",
        ],
        "search": ["search_candidates", "search_candidates_by_path"],
        "similarities": ["class_similarities"],
        "taxonomy": ["Taxonomy", "readable_name"],
    },
)
