"""Single responses: made of lists, and each beside one to another prompt."""

import pytest

from jaxalign.data import PreferenceRecord, unpaired_records, with_mismatched


def test_lists_become_their_best_and_their_worst_response():
    lists = [PreferenceRecord("p", ("a", "b", "c"), (0.2, 0.9, 0.5)), PreferenceRecord("q", ("d", "e"), (0.5, 0.5))]
    assert unpaired_records(lists) == [PreferenceRecord("p", ("b",), (1.0,)), PreferenceRecord("p", ("a",), (0.0,))]


def test_each_response_stands_beside_the_next_one_to_another_prompt():
    rows = [PreferenceRecord(prompt, (text,), (label,)) for prompt, text, label in [("p", "a", 1), ("p", "b", 0)]]
    rows.append(PreferenceRecord("q", ("c",), (1,), tokens=((5, 6),)))
    found = with_mismatched(rows)
    assert [record.responses for record in found] == [("a", "c"), ("b", "c"), ("c", "a")]
    assert [record.labels for record in found] == [(1, 0.5), (0, 0.5), (1, 0.5)]
    assert [record.tokens for record in found] == [(None, (5, 6)), (None, (5, 6)), ((5, 6), None)]


def test_what_cannot_be_compared_is_refused():
    row = PreferenceRecord("p", ("a",), (1.0,))
    with pytest.raises(ValueError, match="at least two prompts"):
        with_mismatched([row, row])
    with pytest.raises(ValueError, match=r"record 1, counted from 0: expected one response.*\(0.75,\)"):
        with_mismatched([row, PreferenceRecord("q", ("b",), (0.75,))])
