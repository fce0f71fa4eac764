"""Attributed training data from a language model (AttrPrompt, arXiv 2306.15895), and what it is measured against.

A task is a file that a person edits between the steps; each step takes it and gives it back with more in it::

    task = attributes.parse_task(text)
    task = attributes.find_similar_classes(generate, task).task
    topics = attributes.propose_values(generate, task, task.attribute("subtopics")).attribute
    topics, report = attributes.filter_values(generate, task, topics)  # CAF
    task = task.with_attribute(topics)
    requests = attributes.make_requests(task, attributes.sample_assignments(task, 100))
    rows = list(attributes.write_documents(generate, requests))

SimPrompt and MetaPrompt are the same with ``plain_assignments`` and other renderers. ``merge_values`` makes tasks with
several labels. Names load on first use; ``merge_values`` needs the extra ``text``, ``render_task`` the extra ``io``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "controls": ["change_alike", "mask_words", "match_lengths", "shuffle_values"],
        "documents": [
            "Document",
            "DocumentReport",
            "DocumentRequest",
            "Failure",
            "make_requests",
            "read_document",
            "report_documents",
            "write_documents",
        ],
        "filtering": ["FilterReport", "Filtered", "ambiguous_values", "filter_values"],
        "merging": ["Merged", "MergedValue", "merge_values"],
        "parsing": [
            "Matched",
            "find_class",
            "match_classes",
            "parse_classes",
            "parse_yes_no",
        ],
        "prompts": [
            "prompt_hash",
            "render_class_values",
            "render_dimensions",
            "render_document",
            "render_filter",
            "render_instructed_document",
            "render_instruction",
            "render_shared_values",
            "render_similar_classes",
            "render_simple_document",
        ],
        "proposals": [
            "Dimensions",
            "Instructions",
            "ProposedValues",
            "SimilarClasses",
            "find_similar_classes",
            "propose_dimensions",
            "propose_values",
            "write_instructions",
        ],
        "readers": ["AttributeReport", "AttributeValues", "read_attributes", "read_labels"],
        "sampling": [
            "Assignment",
            "balance_assignments",
            "labels_of",
            "length_values",
            "plain_assignments",
            "sample_assignments",
        ],
        "task": ["Attribute", "ClassAttribute", "LENGTH", "OTHER", "SharedAttribute", "Task"],
        "task_file": ["parse_task", "render_task"],
    },
)
