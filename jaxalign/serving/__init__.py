"""In-context caching for serving language models (EchoLM, IC-Cache, arXiv 2501.12689): the policies, as pure functions.

Names load on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "admission": ["Admission", "AdmissionReport", "admit", "report_admissions"],
        "blocks": ["Blocks"],
        "changes": ["Change", "apply_changes", "rebuild_index"],
        "combination": ["Combination", "combine_examples"],
        "contexts": ["context_width", "router_contexts"],
        "eviction": ["evict_examples", "keep_greedily"],
        "exact": ["ExactState", "exact_index"],
        "feedback": [
            "BetaPosterior",
            "confidence_spread",
            "init_posterior",
            "relative_confidence_spread",
            "sample_opponents",
            "update_posterior",
            "wants_feedback",
        ],
        "forgetting": ["ServingState", "forget_rows", "forget_user"],
        "gain": ["gains_at", "offloads_at", "record_uses"],
        "index": ["Hits", "VectorIndex"],
        "ivf": ["IvfState", "ivf_index"],
        "kmeans": ["nearest_centres", "spherical_kmeans"],
        "learning": ["RouterState", "feedback_differences", "init_router_state", "make_router_update", "router_loss"],
        "library": ["library_index"],
        "load": ["cost_penalties", "update_load"],
        "pair_buffer": ["PairBuffer", "add_pairs", "init_pairs"],
        "partitions": ["delete_from_partitions", "delete_partition", "insert_in_partition", "search_partitions"],
        "policy_value": ["logged_value", "routing_regret"],
        "proxy": ["ProxyFeedback", "collect_feedback", "init_proxy", "make_proxy_loss", "proxy_utilities"],
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
        "replay_buffer": [
            "ReplayBuffer",
            "RouterFeedback",
            "add_feedback",
            "forget_feedback",
            "init_buffer",
            "sample_rows",
            "set_priorities",
        ],
        "router": ["Decision", "RouterConfig", "best_models", "choose_models", "init_router", "router_logits"],
        "selector": ["Chosen", "choose_examples"],
        "table": ["ExampleTable", "NewExamples", "forget_examples", "ids_of_user", "init_table", "insert_examples"],
        "threshold": ["Thresholds", "best_threshold", "init_thresholds", "record_gains", "try_threshold"],
    },
)
