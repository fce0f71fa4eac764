"""Pairs of a teacher and a student: nothing but what they wrote may tell the sides apart, and every pair is counted."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxalign import data
from jaxalign.data import Outputs, PairReport, PreferenceRecord, QualityReport
from jaxalign.io.jobs.records import stored_records


def pair(outputs, tokenizer, max_response=16, **options):
    return data.pseudo_pairs(outputs, tokenizer, max_response=max_response, **options)


def test_pairs_by_hand(letters):
    outputs = [
        Outputs("q", ("ab", "cd"), ("ba", "cd", "xy"), id="7"),  # the second pair is identical
        Outputs("r", (), ("ba",)),
        Outputs("s", ("ab",), ()),
    ]
    pairs, report = pair(outputs, letters)
    assert pairs == [
        PreferenceRecord("q", ("ab", "ba"), (1.0, 0.0), id="7"),
        PreferenceRecord("q", ("ab", "xy"), (1.0, 0.0), id="7"),
    ]
    assert report == PairReport(prompts=3, unanswered=2, identical=1, pairs=2)


def test_texts_that_are_equal_once_cut_are_identical(letters):
    outputs = [Outputs("q", ("abcd",), ("abce",))]
    assert pair(outputs, letters, max_response=4)[1].pairs == 1
    assert pair(outputs, letters, max_response=3)[1] == PairReport(1, 0, 1, 0)
    # A text that ends is another one than its continuation.
    assert pair([Outputs("q", ("abc",), ("abcd",))], letters, max_response=4)[1].pairs == 1


def test_a_students_tokens_are_those_that_it_wrote(letters, tmp_path):
    """ "ab" may be written with other tokens than it is encoded in, and without an end where it was stopped."""
    written = [4, 3, 5], [3, 4, 1]
    outputs = [Outputs("q", ("abc", "cba"), ("bac", "ab"), student_tokens=written)]
    pairs, _ = pair(outputs, letters, max_response=5)
    path = tmp_path / "pairs.jsonl"
    for records in pairs, stored_records(path, {}, lambda: pairs), stored_records(path, {}, list):
        lists = data.encode_lists(records, letters, max_prompt=8, max_response=5)
        assert [lists.response(n).tolist() for n in range(4)] == [[3, 4, 5, 1], written[0], [5, 4, 3, 1], written[1]]
        assert [lists.prompt(n).tolist() for n in range(2)] == [[2, 19], [2, 19]]


def test_similarities_become_labels(letters):
    def shared(reference, text):
        return len(set(reference) & set(text)) / len(set(reference) | set(text))

    pairs, report = pair([Outputs("q", ("ab",), ("bc", "ba"))], letters, similarity_fn=shared)
    assert [record.labels for record in pairs] == [(1.0, 1 / 3)]
    assert report.identical == 1  # "ba" has the same letters: no preference between the two
    with pytest.raises(ValueError, match=r"a similarity in \[0, 1\], got 7 for prompt 'q'"):
        pair([Outputs("q", ("ab",), ("c",))], letters, similarity_fn=lambda *texts: 7)


def test_both_sides_end_alike(letters):
    """Neither a missing nor an additional end of sequence may give a side away, whatever its length."""
    teacher, student = ("ab", "abcdefgh"), ("ba", "hgfedcba")
    pairs, _ = pair([Outputs("q", teacher, student)], letters, max_response=5)
    lists = data.encode_lists(pairs, letters, max_prompt=8, max_response=5)
    ends = [bool(lists.response(m)[-1] == letters.eos_id) for m in range(4)]
    assert ends == [True, True, False, False]
    assert np.diff(lists.response_starts).tolist() == [3, 3, 5, 5]


def test_quality_reorders_and_drops(letters):
    pairs, _ = pair([Outputs("q", ("aa", "ab", "ac", "ad"), ("ba", "b", "bb", "bd"))], letters)
    quality = {"aa": 0.9, "ba": 0.1, "ab": 0.2, "b": 0.8, "ac": 0.5, "bb": 0.5, "ad": 0.55, "bd": 0.5}
    judge = lambda prompt, texts: [quality[text] for text in texts]  # noqa: E731
    ordered, report = data.order_by_quality(pairs, judge, min_gap=0.1)
    assert report == QualityReport(kept=1, flipped=1, dropped=2)
    assert [record.labels for record in ordered] == [(0.9, 0.1), (0.2, 0.8)]
    assert data.order_by_quality(pairs, judge)[1] == QualityReport(kept=2, flipped=1, dropped=1)
    with pytest.raises(ValueError, match="labels: expected numbers in"):
        data.order_by_quality(pairs, lambda prompt, texts: [2.0, 0.0])


TEXTS = st.lists(st.text("abc", max_size=4), max_size=3)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXTS, TEXTS)))
def test_nothing_is_lost(letters, written):
    outputs = [Outputs("q" * (n + 1), teacher, student) for n, (teacher, student) in enumerate(written)]
    pairs, report = pair(outputs, letters, max_response=3)
    possible = sum(max(len(t), len(s)) for t, s in written if t and s)
    assert report.pairs + report.identical == possible
    assert len(pairs) == report.pairs and report.prompts == len(written)
    assert all(record.responses[0] != record.responses[1] for record in pairs)
