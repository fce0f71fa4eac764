"""Explanation-aware soft ensemble (EASE, arXiv 2311.07099), and the ways to answer that it is measured against.

A model explains each question several times; each explanation has a weight, and gives a probability to every option.
The model is injected, as functions that write texts and that score options::

    shots = ensemble.FewShot(demonstrations)
    samples = ensemble.draw_samples(generate, shots, questions)
    samples = ensemble.score_samples(score_options, shots, questions, samples)
    scorer = ensemble.make_bootstrapped_scorer(score_options, ensemble.bootstrap_shots(generate, shots))
    samples = ensemble.weigh_samples(scorer, questions, samples)
    predictions = ensemble.predict(questions, samples, ensemble.ease, scorer=scorer.name)

``self_consistency``, ``soft_aggregation`` and ``weighted_votes`` instead of ``ease`` add up the same samples otherwise.
Names load on first use.
"""

import importlib

_MODULE_OF = {
    name: module
    for module, names in {
        "aggregation": ("ease", "self_consistency", "soft_aggregation", "weighted_votes"),
        "baselines": ("predict_in_context", "predict_then_explain"),
        "bootstrap": (
            "BootstrapConfig",
            "Bootstrapped",
            "bootstrap_shots",
            "justified_shots",
            "make_bootstrapped_scorer",
        ),
        "parsing": ("ExplainedAnswer", "mask_labels", "parse_explained_answer", "strip_answer"),
        "prompts": (
            "BY_LETTER",
            "BY_TEXT",
            "AnswerStyle",
            "FewShot",
            "fit_demonstrations",
            "render_answer",
            "render_explained_answer",
            "render_explanation",
            "render_first_answer",
            "render_justification",
            "render_question",
        ),
        "records": ("Explained", "Prediction", "Sample"),
        "sampling": ("draw_samples", "predict", "score_samples", "weigh_samples"),
        "scorers": (
            "COHERENT",
            "HELPFUL",
            "LEXICAL",
            "NONSENSE",
            "TRUE_FALSE",
            "YES_NO",
            "Scorer",
            "Shot",
            "Template",
            "make_entailment_scorer",
            "make_pairwise_scorer",
            "make_scorer",
            "normalised_weight",
            "raw_weight",
            "render_scorer",
            "weigh_by_overlap",
            "with_masked_labels",
        ),
    }.items()
    for name in names
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
