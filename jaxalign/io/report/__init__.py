"""``report.html``: one file that shows what a run did, without scripts and without anything from elsewhere.

Names load on first use, since drawing needs matplotlib.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    ["figures", "pages", "sections", "tree"],
    {
        "pages": ["format_number", "metric_series", "without_secrets", "write_report"],
        "sections": [
            "Code",
            "Curves",
            "Estimate",
            "Facts",
            "Groups",
            "Histogram",
            "Panels",
            "Reliability",
            "Section",
            "Table",
            "Texts",
        ],
        "tree": ["Node", "Tree"],
    },
)
