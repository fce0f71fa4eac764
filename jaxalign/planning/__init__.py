"""Planning for long texts in one turn (arXiv 2410.06203): articles with intermediate steps, and what is learnt of them.

    record = planning.from_row({"x": "Bees", "article": "# Life\\nBees live in colonies.", "outline": ["Life"]})
    planning.planned_article_task(record, parts=["outline"])  # x -> I + y, for supervised fine-tuning
    planning.parse_output(text, ["outline"]).article  # what a model wrote, without its plan

Names load on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "controls": ["headings_only", "shuffle_order", "shuffle_plans"],
        "entailment": ["EntailFn", "make_embedding_entailment", "make_model_entailment"],
        "grammar": [
            "OPENING",
            "ParsedOutput",
            "parse_output",
            "parse_plan",
            "render_article",
            "render_part",
            "render_plan",
        ],
        "local_writer": ["as_chat", "make_local_writer"],
        "matching": ["match_words"],
        "outlines": ["article_headings", "parse_outline", "render_outline"],
        "parsing": ["ParsedStep", "StepReason", "parse_step"],
        "prompts": ["ENTAILMENT_OPTIONS", "render_entailment", "render_step"],
        "records": ["FIELDS", "PARTS", "Fact", "Heading", "PlannedArticle", "from_row", "to_row"],
        "scores": ["StepScores", "score_plans", "score_step"],
        "selection": ["WritingReport", "WrittenSteps", "choose_best", "write_steps"],
        "shapes": ["SHAPE", "Range", "Shape", "length_score", "step_length", "structure_score"],
        "structure": ["BACK_MATTER", "CitedSentence", "StructureReport", "from_kilt", "from_structure"],
        "tasks": [
            "FORMATTERS",
            "WORDING",
            "Formatter",
            "Wording",
            "article_task",
            "continuation_task",
            "plan_task",
            "planned_article_task",
        ],
        "writing": [
            "AskFn",
            "Budget",
            "Draft",
            "WriteFn",
            "WrittenArticle",
            "make_budget_stop",
            "make_writer",
            "write_articles",
            "write_in_turns",
            "write_planned_articles",
        ],
    },
)
