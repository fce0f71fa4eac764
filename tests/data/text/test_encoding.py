import dataclasses
import functools

import numpy as np
import pytest

from jaxalign import data

# Letters are a = 3, b = 4, c = 5, ...; 1 ends, 2 begins.


def encode(letters, prompt, *responses, max_prompt=4, max_response=3):
    record = data.PreferenceRecord(prompt, responses, tuple(0.5 for _ in responses))
    lists = data.encode_lists([record], letters, max_prompt=max_prompt, max_response=max_response)
    return lists.prompt(0).tolist(), [lists.response(m).tolist() for m in range(len(responses))], lists.report


def test_what_fits_is_whole_and_ends(letters):
    assert encode(letters, "abc", "ab", "") == ([2, 3, 4, 5], [[3, 4, 1], [1]], (1, 2, 0, 0))


def test_a_long_prompt_keeps_its_beginning_token_and_its_end(letters):
    assert encode(letters, "abcd", "a")[0] == [2, 4, 5, 6]
    assert encode(letters, "abcd", "a")[2].prompts_truncated == 1


def test_a_long_prompt_without_a_beginning_token_keeps_its_end(letters):
    letters.bos_id = None
    assert encode(letters, "abcde", "a")[0] == [4, 5, 6, 7]


def test_a_long_response_keeps_its_beginning_and_does_not_end(letters):
    # Two letters and the end make three tokens; three letters do not leave room for the end.
    assert encode(letters, "a", "ab", "abc", "abcd") == ([2, 3], [[3, 4, 1], [3, 4, 5], [3, 4, 5]], (1, 3, 0, 2))


def test_a_chat_is_written_by_its_template(letters):
    assert encode(letters, [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "c")[0] == [
        2,
        3,
        4,
    ]


def test_lists_keep_their_order_and_length(letters):
    records = [
        data.PreferenceRecord("a", ("b", "cd"), (0.25, 0.5)),
        data.PreferenceRecord("ab", ("",), (1.0,)),
    ]
    lists = data.encode_lists(records, letters, max_prompt=4, max_response=4)
    assert len(lists) == 2
    assert lists.list_starts.tolist() == [0, 2, 3]
    assert lists.owners.tolist() == [0, 0, 1]
    assert lists.labels.tolist() == [0.25, 0.5, 1.0] and lists.labels.dtype == np.float32
    assert lists.prompt(1).tolist() == [2, 3, 4] and lists.prompt(1).dtype == np.int32
    assert [lists.response(m).tolist() for m in range(3)] == [[4, 1], [5, 6, 1], [1]]


def test_lists_from_tokens_equal_encoded_ones(letters):
    records = [data.PreferenceRecord("a", ("b", "cd"), (0.25, 0.5))]
    encoded = data.encode_lists(records, letters, max_prompt=4, max_response=4)
    sampled = data.lists_from_tokens([[2, 3]], [[[4, 1], [5, 6, 1]]], [[0.25, 0.5]], pad_id=0, limits=(4, 4))
    for name in ("prompt_tokens", "prompt_starts", "response_tokens", "response_starts", "list_starts", "labels"):
        np.testing.assert_array_equal(getattr(sampled, name), getattr(encoded, name))
        assert getattr(sampled, name).dtype == getattr(encoded, name).dtype
    assert sampled.fingerprint() == encoded.fingerprint()


def test_joined_lists_are_those_of_all_records(letters):
    records = [
        data.PreferenceRecord("abcd", ("b", "cd"), (0.25, 0.5)),
        data.PreferenceRecord("ab", ("",), (1.0,)),
        data.PreferenceRecord("a", ("b", "abcd", "e"), (0.0, 0.5, 1.0)),
    ]
    encode = functools.partial(data.encode_lists, tokenizer=letters, max_prompt=4, max_response=4)
    whole, joined = encode(records), data.join_lists([encode(records[:2]), encode(records[2:])])
    for field in dataclasses.fields(whole):
        ours, theirs = getattr(joined, field.name), getattr(whole, field.name)
        np.testing.assert_array_equal(ours, theirs, err_msg=field.name)
        assert type(ours) is type(theirs) and getattr(ours, "dtype", None) == getattr(theirs, "dtype", None)
    assert joined.report == (3, 6, 1, 1)
    with pytest.raises(ValueError, match=r"equal limits and padding, got \[\(4, 4\), \(5, 4\)\]"):
        data.join_lists([whole, encode(records, max_prompt=5)])


def test_fingerprint_is_that_of_tokens_and_not_of_labels(letters):
    def fingerprint(prompt, responses, labels):
        record = data.PreferenceRecord(prompt, responses, labels)
        return data.encode_lists([record], letters, max_prompt=4, max_response=4).fingerprint()

    base = fingerprint("a", ("b", "cd"), (0.25, 0.5))
    assert base == fingerprint("a", ("b", "cd"), (0.5, 0.0))
    others = [("b", ("b", "cd")), ("a", ("b", "ce")), ("a", ("bc", "d")), ("a", ("cd", "b")), ("a", ("b", "cd", ""))]
    assert base not in {fingerprint(prompt, responses, (0.0,) * len(responses)) for prompt, responses in others}


def test_a_prompt_needs_a_token(letters):
    assert encode(letters, "", "a")[0] == [2]
    letters.bos_id = None
    with pytest.raises(ValueError, match="an empty prompt needs a tokenizer with a beginning-of-sequence token"):
        encode(letters, "", "a")


def test_limits_and_emptiness_are_errors(letters):
    with pytest.raises(ValueError, match="got 0 prompts"):
        data.encode_lists([], letters, max_prompt=4, max_response=4)
    with pytest.raises(
        ValueError, match="responses of at most 2, got 1 prompts of 1 to 1 and 1 responses of at most 3"
    ):
        data.lists_from_tokens([[2]], [[[3, 4, 1]]], [[1.0]], pad_id=0, limits=(4, 2))
