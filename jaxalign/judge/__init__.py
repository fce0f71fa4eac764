"""Text preference by structured comparison (SC2, arXiv 2311.08390), and the judges that it is measured against.

A judge takes pairs of texts and gives a :class:`Judgement` of each: the probability that the first text is the better
one, in both orders of presentation, and what it rests on. The model behind it is injected, as functions that write
texts and that score options::

    judge = judge.make_structured_judge(generate, score_options, judge.RATING)
    judgements = judge(pairs)

Names load on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "baselines": ["judge_by_length", "make_direct_judge", "make_reasoning_judge"],
        "calibration": ["fit_judge_temperature", "with_temperature"],
        "consistency": ["SampledContrast", "make_critic"],
        "contrasts": ["Column", "Contrast", "swap_table"],
        "parsing": ["parse_aspects", "parse_contrast", "parse_joint_contrast"],
        "prompts": [
            "JudgeTask",
            "RATING",
            "RETRIEVAL",
            "SUMMARISATION",
            "render_aspects",
            "render_contrast",
            "render_joint_contrast",
            "render_match",
            "render_rating",
            "render_reasoning",
            "render_verdict",
        ],
        "selection": ["Critic", "first", "knockout", "make_random", "pointwise", "round_robin"],
        "structured": ["StructuredConfig", "make_structured_judge"],
        "verdicts": ["JudgeFn", "Judgement", "OrderArrays", "antisymmetric", "order_arrays"],
    },
)
