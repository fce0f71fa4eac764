"""Preference data, from files to batches. Each room below stands on those above it:

- ``records``: what one preference, pair or question is.
- ``readers``: records from files of the usual layouts. ``text``: records as token ids.
- ``batches``: token ids as streams of batches of few static shapes.
- ``labelling``: labels, pairs and reference log-probabilities that models make.

Names load on first use, because each file needs another of the optional libraries (``pip install 'jaxalign[io]'``).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "batches.comparison_rows": ["all_pairs", "comparison_batches", "hard_verdict", "soft_verdict"],
        "batches.counts": ["count_tokens", "padding_share"],
        "batches.lists": ["list_batches"],
        "batches.mixtures": ["mixture_batches"],
        "batches.packed_lists": ["RowShape", "fit_row", "packed_list_batches"],
        "batches.packing": ["first_fit", "sft_batches"],
        "batches.pair_rows": ["PairStream", "pair_batches", "probability_record"],
        "batches.text_rows": ["ordered_text_batches", "text_batches"],
        "labelling.reference": ["fingerprint", "load_reference_logps"],
        "labelling.scoring": ["compare_lists", "label_lists", "make_preference_fn", "relabel", "score_lists"],
        "labelling.teacher_pairs": ["Outputs", "PairReport", "QualityReport", "order_by_quality", "pseudo_pairs"],
        "labelling.triplets": ["TripletChunks", "TripletPairs", "TripletReport", "augmented_pairs", "training_pairs"],
        "readers.any_source": ["plain_rows", "read_any"],
        "readers.collecting": ["Source", "SourceReport"],
        "readers.columns": ["ListColumns", "PairColumns", "RankColumns", "ResponseColumns", "UnlabelledColumns"],
        "readers.demonstration_columns": [
            "ConversationColumns",
            "DemonstrationColumns",
            "UnpairedColumns",
            "each_turn",
        ],
        "readers.layouts": ["LAYOUTS", "Layout", "named_layout", "recognise"],
        "readers.question_columns": [
            "ANLI",
            "BooleanColumns",
            "CSQA_COSE",
            "ChoiceColumns",
            "ESNLI",
            "JudgedPairColumns",
            "LLMBAR",
            "NliColumns",
            "OPENBOOKQA",
            "STRATEGYQA",
        ],
        "readers.score_columns": ["ScoreColumns"],
        "readers.sources": ["read_file", "read_jsonl", "read_parquet", "read_rows", "read_tfds"],
        "readers.tables": ["read_csv"],
        "readers.text_columns": ["TextColumns", "TextRow"],
        "readers.transcripts": ["TranscriptColumns", "parse_transcript"],
        "records.pairs": ["PairSource", "PreferencePair", "inject_artifact", "pairs_from_record"],
        "records.questions": ["Question", "QuestionSplit", "split_questions"],
        "records.unpaired": ["unpaired_records", "with_mismatched"],
        "records.record": ["Answer", "Message", "PreferenceRecord", "answer_text", "labels_from_ranks"],
        "text.chat": ["render_template"],
        "text.comparison_encoding": ["comparison_format", "comparison_length", "encode_comparison_lists"],
        "text.comparisons": ["ComparisonParts", "parse_comparison", "render_comparison", "render_context"],
        "text.encoding": [
            "EncodedLists",
            "EncodingReport",
            "encode_lists",
            "encode_reward_lists",
            "join_lists",
            "lists_from_tokens",
        ],
        "text.options": ["EncodedOptions", "encode_options"],
        "text.spm": ["load_sentencepiece", "train_sentencepiece"],
        "text.single_texts": ["EncodedTexts", "class_ids", "encode_text", "encode_texts", "join_texts", "label_matrix"],
        "text.tokenizer": ["HfTokenizer", "Tokenizer"],
        "text.tokenizer_files": ["load_tokenizer", "tokenizer_fingerprint"],
        "text.turns": ["EncodedRecord", "encode_continued", "encode_prompt", "encode_rendered", "encode_written"],
    },
)
