"""Metrics of rankings, preferences, texts, data sets, likelihoods, classifications and regressions.

Each is a :class:`jaxalign.numerics.Ratio`: sums that add up, divided at the end. What does not add up, such as a fitted
win rate, has no ``_metric`` in its name.
"""

from jaxalign.metrics.artifacts import choice_change_metric
from jaxalign.metrics.best_of_n import best_of_n_kl_bound, best_of_n_metric
from jaxalign.metrics.calibration import (
    ReliabilityTable,
    brier_score_metric,
    expected_calibration_error,
    reliability_table,
)
from jaxalign.metrics.citations import CitationScores, citation_metrics, remove_citations
from jaxalign.metrics.classification import (
    TWENTY_THRESHOLDS,
    FmaxTable,
    average_precision,
    exact_fmax,
    fmax_table,
    macro_average_precision,
)
from jaxalign.metrics.diversity import (
    SubsampledStatistic,
    at_equal_counts,
    distinct_n,
    inter_sample_ngram_frequency,
    self_repetition,
    vocabulary_size,
)
from jaxalign.metrics.faithfulness import faithfulness_along, faithfulness_metric
from jaxalign.metrics.headings import (
    content_headings,
    heading_recall_metric,
    normalize_heading,
    outline_order_metric,
    soft_heading_recall,
    soft_heading_recall_metric,
)
from jaxalign.metrics.hierarchy import (
    attainable_precision_metric,
    example_f1_metric,
    filtered_mrr_metric,
    hierarchical_metrics,
    label_mrr_metric,
)
from jaxalign.metrics.identity import IDENTITY_BINS, within_identity
from jaxalign.metrics.length_control import LengthControlled, instruction_difficulty, length_controlled_win_rate
from jaxalign.metrics.lengths import (
    count_paragraphs,
    count_words,
    length_ratio_metric,
    length_score_metric,
    split_units,
)
from jaxalign.metrics.likelihood import likelihood_edges, likelihood_table
from jaxalign.metrics.multilabel import LabelCounts, label_counts, label_ranking_metrics
from jaxalign.metrics.pairs import (
    longer_wins_metric,
    position_bias_metric,
    preference_accuracy_metric,
    swap_consistency_metric,
)
from jaxalign.metrics.preference import Interval, bootstrap_interval, side_by_side_verdict, win_rate_metric
from jaxalign.metrics.ranking import (
    kendall_tau_metric,
    length_matched,
    mrr_metric,
    ndcg_metric,
    pairwise_accuracy_metric,
    precision_metric,
    spearman_rho_metric,
)
from jaxalign.metrics.regression import (
    PearsonMoments,
    absolute_error_metric,
    pearson_moments,
    rmse,
    squared_error_metric,
)
from jaxalign.metrics.repetition import repeated_sentences_metric, repetition_metric
from jaxalign.metrics.routing import (
    RoutingCurve,
    average_performance_gap_recovered,
    bootstrap_statistic,
    call_performance_threshold,
    performance_gap_recovered,
    routing_curve,
)
from jaxalign.metrics.shares import (
    AttributeShares,
    ReferenceDistance,
    attribute_shares,
    distance_to_reference,
    jensen_shannon_distance,
    normalized_entropy,
    total_variation,
)
from jaxalign.metrics.similarity import average_pairwise_similarity, inter_class_similarity, intra_class_similarity
from jaxalign.metrics.subsets import overall_accuracy, section_accuracies, subset_accuracies
from jaxalign.metrics.support import make_embedding_support, word_support
from jaxalign.metrics.temperature import fit_temperature
from jaxalign.metrics.text import (
    ROUGE_TYPES,
    RougeScores,
    prose_sentences,
    rouge,
    rouge_settings,
    split_paragraphs,
    split_sentences,
    split_words,
)

__all__ = [
    "IDENTITY_BINS",
    "ROUGE_TYPES",
    "TWENTY_THRESHOLDS",
    "AttributeShares",
    "CitationScores",
    "FmaxTable",
    "Interval",
    "LabelCounts",
    "LengthControlled",
    "PearsonMoments",
    "ReferenceDistance",
    "ReliabilityTable",
    "RougeScores",
    "RoutingCurve",
    "SubsampledStatistic",
    "absolute_error_metric",
    "at_equal_counts",
    "attainable_precision_metric",
    "attribute_shares",
    "average_pairwise_similarity",
    "average_performance_gap_recovered",
    "average_precision",
    "best_of_n_kl_bound",
    "best_of_n_metric",
    "bootstrap_interval",
    "bootstrap_statistic",
    "brier_score_metric",
    "call_performance_threshold",
    "choice_change_metric",
    "citation_metrics",
    "content_headings",
    "count_paragraphs",
    "count_words",
    "distance_to_reference",
    "distinct_n",
    "exact_fmax",
    "example_f1_metric",
    "expected_calibration_error",
    "faithfulness_along",
    "faithfulness_metric",
    "filtered_mrr_metric",
    "fit_temperature",
    "fmax_table",
    "heading_recall_metric",
    "hierarchical_metrics",
    "instruction_difficulty",
    "inter_class_similarity",
    "inter_sample_ngram_frequency",
    "intra_class_similarity",
    "jensen_shannon_distance",
    "kendall_tau_metric",
    "label_counts",
    "label_mrr_metric",
    "label_ranking_metrics",
    "length_controlled_win_rate",
    "length_matched",
    "length_ratio_metric",
    "length_score_metric",
    "likelihood_edges",
    "likelihood_table",
    "longer_wins_metric",
    "macro_average_precision",
    "make_embedding_support",
    "mrr_metric",
    "ndcg_metric",
    "normalize_heading",
    "normalized_entropy",
    "outline_order_metric",
    "overall_accuracy",
    "pairwise_accuracy_metric",
    "pearson_moments",
    "performance_gap_recovered",
    "position_bias_metric",
    "precision_metric",
    "preference_accuracy_metric",
    "prose_sentences",
    "reliability_table",
    "remove_citations",
    "repeated_sentences_metric",
    "repetition_metric",
    "rmse",
    "rouge",
    "rouge_settings",
    "routing_curve",
    "section_accuracies",
    "self_repetition",
    "side_by_side_verdict",
    "soft_heading_recall",
    "soft_heading_recall_metric",
    "spearman_rho_metric",
    "split_paragraphs",
    "split_sentences",
    "split_units",
    "split_words",
    "squared_error_metric",
    "subset_accuracies",
    "swap_consistency_metric",
    "total_variation",
    "vocabulary_size",
    "win_rate_metric",
    "within_identity",
    "word_support",
]
