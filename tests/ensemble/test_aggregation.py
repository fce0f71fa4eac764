import math

import numpy as np
import pyarrow.parquet
import pytest

from jaxalign import ensemble
from jaxalign.ensemble import Sample

METHODS = (ensemble.self_consistency, ensemble.soft_aggregation, ensemble.weighted_votes, ensemble.ease)


def sample(choice, probabilities, weight=None):
    return Sample("text", "why", choice, (), probabilities, weight)


def test_every_method_by_hand():
    """Three samples, and a different answer by each method but one."""
    samples = [sample(0, (0.4, 0.35, 0.25), 0.2), sample(0, (0.5, 0.2, 0.3), 0.1), sample(1, (0.1, 0.5, 0.4), 0.9)]
    votes, soft, weighted, both = (method(samples, 3) for method in METHODS)
    assert votes == pytest.approx((2 / 3, 1 / 3, 0))
    assert soft == pytest.approx((1.0 / 3, 1.05 / 3, 0.95 / 3))
    assert weighted == pytest.approx((0.3 / 1.2, 0.9 / 1.2, 0))
    # 0.2 * 0.4 + 0.1 * 0.5 + 0.9 * 0.1; 0.2 * 0.35 + 0.1 * 0.2 + 0.9 * 0.5; 0.2 * 0.25 + 0.1 * 0.3 + 0.9 * 0.4
    assert both == pytest.approx((0.22 / 1.2, 0.54 / 1.2, 0.44 / 1.2))
    choices = [ensemble.Prediction(shares).choice for shares in (votes, soft, weighted, both)]
    assert choices == [0, 1, 1, 1]


def test_what_cannot_be_read_does_not_vote():
    samples = [sample(None, (0.2, 0.8), 1.0), sample(1, None, 1.0), sample(0, (0.6, 0.4), None)]
    assert ensemble.self_consistency(samples, 2) == (0.5, 0.5)
    assert ensemble.soft_aggregation(samples, 2) == pytest.approx((0.4, 0.6))
    assert ensemble.weighted_votes(samples, 2) == (0.0, 1.0)
    assert ensemble.ease(samples, 2) == (0.2, 0.8)
    unread = [Sample("?", "", None, ())] * 3
    assert [method(unread, 2) for method in METHODS] == [None] * 4
    prediction = ensemble.Prediction(None, tuple(unread))
    assert prediction.choice is None and prediction.unparsed == 3


@pytest.mark.parametrize("method", METHODS)
def test_what_is_no_number_has_no_vote(method):
    read = sample(1, (0.2, 0.8), 0.5)
    unread = [
        sample(None, (math.nan, 0.5), 0.5),
        sample(None, None, math.nan),
        sample(None, (0.9, math.nan), math.nan),
        sample(None, (math.inf, 0.0), 1.0),
    ]
    assert method([*unread, read], 2) == pytest.approx(method([read], 2)) and method(unread, 2) is None
    if method in (ensemble.weighted_votes, ensemble.ease):
        assert method([read, sample(0, (0.9, 0.1), math.nan)], 2) == pytest.approx(method([read], 2))


@pytest.mark.parametrize("shares", [None, (math.nan, 0.5), (0.5, math.nan), (math.inf, 0.0)])
def test_shares_that_are_no_numbers_are_no_answer(shares):
    assert ensemble.Prediction(shares).choice is None


def test_weights_of_zero_throughout_are_no_weights():
    samples = [sample(0, (0.9, 0.1), 0.0), sample(1, (0.3, 0.7), 0.0)]
    assert ensemble.ease(samples, 2) == pytest.approx(ensemble.soft_aggregation(samples, 2))


def test_recorded_probabilities_of_eight_models(shared_data):
    """ANLI's development sets: single models as their README says, all eight as an independent computation says."""
    table = pyarrow.parquet.read_table(shared_data / "anli_dev" / "dev.parquet")
    models = [name for name in table.schema.names if name.startswith("p_")]
    recorded = np.array([table[name].to_pylist() for name in models]).swapaxes(0, 1)  # [questions, models, labels]
    labels = np.array(["enc".index(label) for label in table["gold_label"].to_pylist()])
    rounds = np.array(table["round"].to_pylist())
    samples = [[sample(int(np.argmax(p)), tuple(p)) for p in each.tolist()] for each in recorded]

    def by_round(right):
        return [round(float(right[rounds == n].mean()), 3) for n in (1, 2, 3)]

    def accuracy(method, places):
        shares = [method([each[place] for place in places], 3) for each in samples]
        return by_round(np.array([ensemble.Prediction(each).choice for each in shares]) == labels)

    published = {
        "albert_xxlarge": [0.760, 0.570, 0.568],
        "roberta_large": [0.738, 0.506, 0.461],
        "bert_r1": [0.0, 0.282, 0.319],
    }
    for name, expected in published.items():
        (place,) = (n for n, model in enumerate(models) if model.endswith(name))
        assert accuracy(ensemble.soft_aggregation, [place]) == accuracy(ensemble.self_consistency, [place]) == expected
    soft = recorded.mean(axis=1).argmax(axis=1) == labels
    assert accuracy(ensemble.soft_aggregation, range(8)) == by_round(soft)
    voted = (recorded.argmax(axis=2)[:, :, None] == np.arange(3)).sum(axis=1).argmax(axis=1) == labels
    assert accuracy(ensemble.self_consistency, range(8)) == by_round(voted)
    assert by_round(soft) != by_round(voted)
