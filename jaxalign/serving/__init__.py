"""In-context caching for serving language models (EchoLM, IC-Cache, arXiv 2501.12689): the policies, as pure functions.

Names load on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "contexts": ["context_width", "router_contexts"],
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
        "learning": [
            "RouterState",
            "feedback_differences",
            "init_router_state",
            "make_router_update",
            "router_loss",
        ],
        "load": ["cost_penalties", "update_load"],
        "policy_value": ["logged_value", "routing_regret"],
        "replay_buffer": [
            "Feedback",
            "ReplayBuffer",
            "add_feedback",
            "forget_feedback",
            "init_buffer",
            "sample_rows",
            "set_priorities",
        ],
        "router": [
            "Decision",
            "RouterConfig",
            "best_models",
            "choose_models",
            "init_router",
            "router_logits",
        ],
    },
)
