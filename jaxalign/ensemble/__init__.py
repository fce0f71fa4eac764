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

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "aggregation": ["ease", "self_consistency", "soft_aggregation", "weighted_votes"],
        "baselines": ["predict_in_context", "predict_then_explain"],
        "bootstrap": [
            "BootstrapConfig",
            "Bootstrapped",
            "bootstrap_shots",
            "justified_shots",
            "make_bootstrapped_scorer",
        ],
        "parsing": ["ExplainedAnswer", "mask_labels", "parse_explained_answer", "strip_answer"],
        "prompts": [
            "AnswerStyle",
            "BY_LETTER",
            "BY_TEXT",
            "FewShot",
            "fit_demonstrations",
            "render_answer",
            "render_explained_answer",
            "render_explanation",
            "render_first_answer",
            "render_justification",
            "render_question",
        ],
        "records": ["Explained", "Prediction", "Sample"],
        "sampling": ["draw_samples", "predict", "score_samples", "weigh_samples"],
        "scorers": [
            "COHERENT",
            "HELPFUL",
            "LEXICAL",
            "NONSENSE",
            "Scorer",
            "Shot",
            "TRUE_FALSE",
            "Template",
            "YES_NO",
            "make_entailment_scorer",
            "make_pairwise_scorer",
            "make_scorer",
            "normalised_weight",
            "raw_weight",
            "render_scorer",
            "weigh_by_overlap",
            "with_masked_labels",
        ],
    },
)
