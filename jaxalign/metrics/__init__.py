"""Ranking and preference metrics. Each is a :class:`jaxalign.numerics.Ratio`: sums that add up, divided at the end."""

from jaxalign.metrics.preference import Interval, bootstrap_interval, side_by_side_verdict, win_rate_metric
from jaxalign.metrics.ranking import (
    kendall_tau_metric,
    mrr_metric,
    ndcg_metric,
    pairwise_accuracy_metric,
)

__all__ = [
    "Interval",
    "bootstrap_interval",
    "kendall_tau_metric",
    "mrr_metric",
    "ndcg_metric",
    "pairwise_accuracy_metric",
    "side_by_side_verdict",
    "win_rate_metric",
]
