"""Hierarchical classification from class names only (TELEClass, arXiv 2403.00165).

Names load on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "annotation": [
            "Annotation",
            "AnnotationReport",
            "annotate_documents",
            "class_names",
            "class_spellings",
            "read_annotation",
            "render_annotation",
            "report_annotations",
        ],
        "named_classes": ["Named", "parse_named", "without_and"],
        "prediction": ["classes_above", "most_specific", "sure_classes", "sure_path", "top_classes"],
        "search": ["search_candidates", "search_candidates_by_path"],
        "taxonomy": ["Taxonomy", "readable_name"],
    },
)
