"""Long work whose results go to a file line by line, so that the same command continues it after any end.

Names load on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    ["completions", "records", "scoring"],
    {
        "completions": ["CompletionsReport", "Prompt", "read_prompts", "write_completions"],
        "records": ["read_provenance", "stored_records", "write_records"],
        "scoring": ["ScoringReport", "read_scores", "score_file"],
    },
)
