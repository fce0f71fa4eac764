"""Hierarchical classification from class names only (TELEClass, arXiv 2403.00165).

Numbers of classes stand for classes everywhere, in the order of a :class:`Taxonomy`::

    classes = taxonomy.read_taxonomy("classes.parquet")
    terms = taxonomy.join_terms(classes, taxonomy.propose_terms(generate, classes).terms)
    similarities = taxonomy.class_similarities(embed(documents), embed(terms.texts), terms.classes, len(classes))
    candidates = taxonomy.search_candidates(classes, similarities)
    numbers = [row.nonzero()[0].tolist() for row in candidates]
    annotations = taxonomy.annotate_documents(generate, classes, documents, numbers)

Names load on first use; ``read_taxonomy`` needs the extra ``io`` for parquet.
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
        "answers": ["Answer", "describe_paths", "one_path", "set_paths"],
        "corpus_terms": [
            "CorpusTerms",
            "class_bm25",
            "class_documents",
            "distinctiveness",
            "find_corpus_terms",
            "geometric_affinity",
            "intersect_families",
            "unite_families",
            "weighted_affinity",
        ],
        "enrichment": ["ClassTerms", "Enrichment", "join_terms", "parse_terms", "propose_terms", "render_enrichment"],
        "generation": ["PathDocument", "PathDocuments", "render_path_document", "write_path_documents"],
        "masks": ["CoreMasks", "core_masks"],
        "mining": ["mine_terms", "parse_phrases"],
        "named_classes": ["Named", "parse_named", "without_and"],
        "prediction": ["classes_above", "most_specific", "sure_classes", "sure_path", "top_classes"],
        "readers": [
            "merge_same_names",
            "parse_label_files",
            "parse_taxonomy_json",
            "render_path",
            "taxonomy_from_edges",
            "taxonomy_from_paths",
            "taxonomy_from_rows",
        ],
        "refinement": ["ClassVectors", "RefinedCores", "average_class_documents", "cut_at_largest_gap", "refine_cores"],
        "search": ["search_candidates", "search_candidates_by_path"],
        "similarities": ["class_similarities"],
        "taxonomy": ["Taxonomy", "readable_name"],
        "taxonomy_file": ["read_taxonomy"],
        "term_counts": ["TermCounts", "TextIndex", "count_terms", "find_mentions", "index_texts", "split_words"],
    },
)
