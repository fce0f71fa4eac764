"""In-context caching for serving language models (EchoLM, IC-Cache, arXiv 2501.12689): the policies, as pure functions.

Names load on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "blocks": ["Blocks"],
        "changes": ["Change", "apply_changes", "rebuild_index"],
        "contexts": ["context_width", "router_contexts"],
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
        "index": ["Hits", "VectorIndex"],
        "ivf": ["IvfState", "ivf_index"],
        "kmeans": ["nearest_centres", "spherical_kmeans"],
        "learning": ["RouterState", "feedback_differences", "init_router_state", "make_router_update", "router_loss"],
        "library": ["library_index"],
        "load": ["cost_penalties", "update_load"],
        "partitions": ["delete_from_partitions", "delete_partition", "insert_in_partition", "search_partitions"],
        "policy_value": ["logged_value", "routing_regret"],
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
    },
)
