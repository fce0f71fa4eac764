"""Long work whose results go to a file line by line, so that the same command continues it after any end.

    jobs.write_completions("samples.jsonl", model, params, tokenizer, prompts, key, ...)  # samples of prompts
    jobs.score_file(records, reward_fn, encode_fn, "scores.jsonl", ...)  # rewards of responses
    jobs.classify_file(texts, probabilities_fn, tokenizer, classes.describe, "classes.jsonl", ...)  # classes of texts
    records = jobs.stored_records("pairs.jsonl", provenance, make)  # records that a run makes once
    task = jobs.kept_task("run", "values", task, make, ...)  # a stage of AttrPrompt, which a person may edit
    jobs.write_document_file("documents.jsonl", generate, requests, ...)  # generated documents

Names load on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    ["classifying", "completions", "document_rows", "documents", "records", "scoring", "stages"],
    {
        "classifying": ["Classes", "ClassifyingReport", "classify_file"],
        "completions": ["CompletionsReport", "Prompt", "read_prompts", "write_completions"],
        "document_rows": ["StoredDocument", "check_prompts", "read_documents"],
        "documents": [
            "ATTEMPT_SEEDS",
            "DocumentFileReport",
            "retry_failed",
            "write_document_file",
        ],
        "records": ["read_provenance", "stored_records", "write_records"],
        "scoring": ["ScoringReport", "read_scores", "score_file"],
        "stages": ["kept_task"],
    },
)
