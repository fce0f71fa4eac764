"""Text preference by structured comparison (SC2, arXiv 2311.08390), and the judges that it is measured against.

A judge takes pairs of texts and gives a :class:`Judgement` of each: the probability that the first text is the better
one, in both orders of presentation, and what it rests on. The model behind it is injected, as functions that write
texts and that score options::

    judge = judge.make_structured_judge(generate, score_options, judge.RATING)
    judgements = judge(pairs)

Names load on first use.
"""

import importlib

_MODULE_OF = {
    name: module
    for module, names in {
        "baselines": ("judge_by_length", "make_direct_judge", "make_reasoning_judge"),
        "calibration": ("fit_judge_temperature", "with_temperature"),
        "consistency": ("SampledContrast", "make_critic"),
        "contrasts": ("Column", "Contrast", "swap_table"),
        "parsing": ("parse_aspects", "parse_contrast", "parse_joint_contrast", "parse_verdict"),
        "prompts": (
            "RATING",
            "RETRIEVAL",
            "SUMMARISATION",
            "JudgeTask",
            "render_aspects",
            "render_contrast",
            "render_joint_contrast",
            "render_match",
            "render_rating",
            "render_reasoning",
            "render_verdict",
        ),
        "selection": ("Critic", "first", "knockout", "make_random", "pointwise", "round_robin"),
        "structured": ("StructuredConfig", "make_structured_judge"),
        "verdicts": ("Judgement", "OrderArrays", "Orders", "Verdict", "antisymmetric", "order_arrays"),
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
