"""Stop strings that name special tokens, which decoded text leaves out."""

import jax
import pytest
import tiny

from jaxalign import sampling
from jaxalign.sampling.jobs import never

SPECIAL = {"<end>": 1, "<|end|>": 2, "<end>2": 3, "<pad>": 0}


def decode(ids):
    """Letters of one token each; special tokens say nothing, and 4 to 8 spell ``<end>``."""
    return "".join({4: "<", 5: "e", 6: "nd", 7: ">"}.get(int(id), chr(int(id))) for id in ids if id > 3)


def ids(text):
    return list(map(ord, text))


CASES = [
    (["<end>"], [*ids("ab"), 1, *ids("c")], 3, "ab"),
    (["<end>"], ids("abc"), None, "abc"),
    (["<end>"], [*ids("ab"), 4, 5, 6, 7, *ids("c")], 6, "ab"),  # written in letters
    (["<|end|>"], [*ids("ab"), 1, *ids("c"), 2], 5, "abc"),  # another special token says nothing
    (["\n<end>"], [*ids("a"), 1, *ids("b\n"), 1], 5, "ab"),
    (["\n<end>"], [*ids("a\n"), 2, 1], 4, "a"),  # what is between says nothing
    (["x", "<end>"], [*ids("ab"), 1, *ids("x")], 3, "ab"),
    (["x", "<end>"], [*ids("axb"), 1], 2, "a"),
    (["<end><|end|>"], [*ids("a"), 1, 1, 2, 1], 4, "a"),
    (["<end>2"], [*ids("a"), 1, *ids("2"), 3], 4, "a2"),  # the longest token counts
    (["nd"], [*ids("a"), 1, 4, 5, 6], 5, "a<e"),  # a part of a spelling is ordinary text
    ([], [*ids("a"), 1], None, "a"),
]


@pytest.mark.parametrize(("strings", "tokens", "count", "text"), CASES)
def test_a_text_ends_where_the_stop_is_complete(strings, tokens, count, text):
    stops = sampling.Stops(strings, decode, SPECIAL)
    assert stops.find(tokens) == count
    assert stops.text(tokens[:count]) == text


def test_the_text_is_decoded_as_one():
    """SentencePiece leaves out the space that begins a text: pieces of it would lose theirs."""
    stops = sampling.Stops(["\n<end>", "<end>z"], lambda tokens: decode(tokens).removeprefix(" "), SPECIAL)
    tokens = [*ids(" a"), 1, *ids(" b\n"), 1]
    assert stops.find(tokens) == len(tokens)
    assert stops.text(tokens) == "a b"
    assert stops.text(tokens[:-2]) == "a b"
    assert stops.text([*ids(" a"), 2, *ids(" b"), 1, *ids("zy")]) == "a b"


def test_without_stop_strings_nothing_is_decoded():
    def decode(tokens):
        raise AssertionError("decoded")

    stops = sampling.Stops([], decode, SPECIAL)
    assert stops.find is never and sampling.stop_strings((), decode) is never
    model, params = tiny.init(tiny.MIXED)
    options = {"num_slots": 2, "max_prompt_tokens": 4, "max_new_tokens": 5, "eos_id": 1, "rule": sampling.sample()}
    jobs = [sampling.Job(0, [3, 4], range(3))]
    completions = list(sampling.run_jobs(model, params, jobs, jax.random.key(0), stop=stops.find, **options))
    assert len(completions) == 3


def test_stops_are_lists_of_texts():
    with pytest.raises(ValueError, match="not empty, got 'ab'"):
        sampling.Stops("ab", decode, {})
