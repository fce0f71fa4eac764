"""In-context caching for serving language models (EchoLM, IC-Cache, arXiv 2501.12689): the policies, as pure functions.

Names load on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "admission": ["Admission", "AdmissionReport", "admit", "report_admissions"],
        "combination": ["Combination", "combine_examples"],
        "eviction": ["evict_examples", "keep_greedily"],
        "forgetting": ["ServingState", "forget_rows", "forget_user"],
        "gain": ["gains_at", "offloads_at", "record_uses"],
        "index": ["Hits", "VectorIndex"],
        "proxy": ["Feedback", "collect_feedback", "init_proxy", "make_proxy_loss", "proxy_utilities"],
        "rendering": ["ShownExample", "render_examples"],
        "replay": [
            "ReplayPlan",
            "ReplayRule",
            "Replays",
            "init_replay_rule",
            "observe_replays",
            "plan_random_replays",
            "plan_replays",
            "record_replays",
            "replay_pays",
        ],
        "selector": ["Chosen", "choose_examples"],
        "table": ["ExampleTable", "NewExamples", "forget_examples", "ids_of_user", "init_table", "insert_examples"],
        "threshold": ["Thresholds", "best_threshold", "init_thresholds", "record_gains", "try_threshold"],
    },
)
