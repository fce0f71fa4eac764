import math

import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import data, losses

PAIR = data.PreferencePair("p", "a", "b", 0.8, source="s", id="7")


def test_sides():
    assert (PAIR.chosen, PAIR.rejected) == ("a", "b")
    swapped = PAIR.swapped()
    assert (swapped.first, swapped.second, swapped.target) == ("b", "a", pytest.approx(0.2))
    assert (swapped.chosen, swapped.rejected, swapped.prompt, swapped.source, swapped.id) == ("a", "b", "p", "s", "7")
    assert data.PreferencePair("p", "a", "b", 0.5).is_tie and not PAIR.is_tie


@pytest.mark.parametrize("target", [math.nan, -0.1, 1.1, "1", None])
def test_targets_are_probabilities(target):
    with pytest.raises(ValueError, match="target: expected a probability"):
        data.PreferencePair("p", "a", "b", target)


@pytest.mark.parametrize(
    "fields, message",
    [
        (([], "a", "b"), "prompt: expected a text or"),
        (("p", None, "b"), "first: .*None"),
        (("p", "a", 3), "second: .*3"),
    ],
)
def test_bad_fields_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        data.PreferencePair(*fields, 1.0)


def test_pairs_of_a_list():
    record = data.PreferenceRecord("p", ("a", "b", "c"), (0.5, 0.75, 0.5), source="s", id="i")
    pairs = data.pairs_from_record(record)
    assert [(pair.first, pair.second, pair.target) for pair in pairs] == [("a", "b", 0), ("a", "c", 0.5), ("b", "c", 1)]
    assert {(pair.prompt, pair.source, pair.id) for pair in pairs} == {("p", "s", "i")}


@pytest.mark.parametrize("min_gap, expected", [(0.01, "ab bc"), (0.25, "ab bc"), (0.26, "")])
def test_pairs_of_a_list_with_a_margin(min_gap, expected):
    record = data.PreferenceRecord("p", ("a", "b", "c"), (0.5, 0.75, 0.5))
    pairs = data.pairs_from_record(record, min_gap=min_gap)
    assert [pair.first + pair.second for pair in pairs] == expected.split()


def test_a_pair_as_record_has_the_labels_of_its_target():
    for target in (0.0, 0.3, 0.5, 1.0):
        record = data.PreferencePair("p", "a", "b", target, source="s", id="i").to_record()
        expected = losses.labels_from_preferences(jnp.array([[0.5, target], [1 - target, 0.5]]))
        np.testing.assert_allclose(record.labels, expected, rtol=1e-6)
        assert (record.responses, record.source, record.id) == (("a", "b"), "s", "i")
    assert data.PreferencePair("p", "a", "b", 1).to_record() == data.PreferenceRecord.from_pair("p", "a", "b")


@pytest.mark.parametrize(
    "side, target, expected",
    [
        ("chosen", 0.9, ("X a", "b")),
        ("chosen", 0.1, ("a", "X b")),
        ("rejected", 0.9, ("a", "X b")),
        ("rejected", 0.1, ("X a", "b")),
        ("first", 0.5, ("X a", "b")),
        ("second", 0.5, ("a", "X b")),
    ],
)
def test_an_artifact_goes_before_one_response(side, target, expected):
    pair = data.PreferencePair("p", "a", "b", target)
    out = data.inject_artifact(pair, side, phrase="X")
    assert (out.first, out.second) == expected
    assert (out.prompt, out.target) == ("p", target)


def test_an_artifact_goes_behind_a_response():
    pair = data.PreferencePair("p", "a", "b", 1.0)
    assert data.inject_artifact(pair, "chosen", phrase="X", at="end").first == "a X"


def test_the_default_artifact():
    assert data.inject_artifact(PAIR, "first").first == "Sure, here is the response: a"


@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_a_tie_has_no_chosen_response(side):
    with pytest.raises(ValueError, match=f"a tie has no {side} response"):
        data.inject_artifact(data.PreferencePair("p", "a", "b", 0.5), side)
