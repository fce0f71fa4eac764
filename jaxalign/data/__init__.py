"""Preference data: sources, tokenizers and batches.

Names load on first use, because each file needs another of the optional libraries (``pip install 'jaxalign[io]'``).
"""

import importlib

_MODULE_OF = {
    name: module
    for module, names in {
        "answers": (
            "make_frequency_scores",
            "option_probabilities",
            "parse_option",
            "per_token_probabilities",
            "softmax",
        ),
        "chat": ("render_template",),
        "columns": ("ListColumns", "PairColumns", "RankColumns", "ResponseColumns", "UnlabelledColumns"),
        "comparison_encoding": ("comparison_format", "comparison_length", "encode_comparison_lists"),
        "comparison_rows": ("all_pairs", "comparison_batches", "hard_verdict", "soft_verdict"),
        "comparisons": ("ComparisonParts", "parse_comparison", "render_comparison", "render_context"),
        "encoding": (
            "EncodedLists",
            "EncodingReport",
            "encode_lists",
            "encode_reward_lists",
            "join_lists",
            "lists_from_tokens",
        ),
        "lists": ("list_batches",),
        "packed_lists": ("RowShape", "fit_row", "packed_list_batches", "padding_share"),
        "options": ("EncodedOptions", "encode_options"),
        "packing": ("first_fit", "sft_batches"),
        "pair_rows": ("PairStream", "pair_batches", "probability_record"),
        "pairs": ("PairSource", "PreferencePair", "inject_artifact", "pairs_from_record"),
        "question_columns": (
            "ANLI",
            "CSQA_COSE",
            "ESNLI",
            "LLMBAR",
            "OPENBOOKQA",
            "STRATEGYQA",
            "BooleanColumns",
            "ChoiceColumns",
            "JudgedPairColumns",
            "NliColumns",
        ),
        "questions": ("Question", "QuestionSplit", "split_questions"),
        "record": ("Answer", "Message", "PreferenceRecord", "answer_text", "labels_from_ranks"),
        "reference": ("fingerprint", "load_reference_logps"),
        "scoring": ("compare_lists", "label_lists", "make_preference_fn", "relabel", "score_lists"),
        "sources": ("Source", "SourceReport", "read_file", "read_jsonl", "read_parquet", "read_rows", "read_tfds"),
        "spm": ("load_sentencepiece", "train_sentencepiece"),
        "teacher_pairs": ("Outputs", "PairReport", "QualityReport", "order_by_quality", "pseudo_pairs"),
        "tokenizer": ("HfTokenizer", "Tokenizer"),
        "tokenizer_files": ("load_tokenizer", "tokenizer_fingerprint"),
        "transcripts": ("TranscriptColumns", "parse_transcript"),
        "triplets": ("TripletChunks", "TripletPairs", "TripletReport", "augmented_pairs", "training_pairs"),
        "turns": ("EncodedRecord", "encode_continued", "encode_prompt", "encode_rendered", "encode_written"),
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
