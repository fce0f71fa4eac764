"""Batches of pairs: what a batch holds, whatever epoch, process or start it comes from."""

import grain
import numpy as np
import pytest

from experiments.common import sequences
from jaxalign import data
from jaxalign.data import PreferencePair

TOKENIZER = sequences.make_tokenizer()
PAIRS = [PreferencePair("sort b a =", "a b", "b a", 1.0), PreferencePair("next a =", "b", "c c", 0.25)]
LIMITS = {"max_prompt": 6, "max_response": 4}


def batches(pairs=PAIRS, **options):
    return data.pair_batches(grain.MapDataset.source(pairs).repeat(), TOKENIZER, **LIMITS, **options)


def test_labels_are_the_chances_of_winning_and_texts_are_encoded():
    batch = next(iter(batches(batch_size=2)))
    np.testing.assert_array_equal(batch.labels, [[1, 0], [0.25, 0.75]])
    assert batch.where.all()
    assert batch.response_tokens.shape == (2, 2, 4)
    for row, pair in enumerate(PAIRS):
        ids = batch.prompt_tokens[row][batch.prompt_mask[row]].tolist()
        assert ids == [TOKENIZER.bos_id, *TOKENIZER.encode(pair.prompt)]
        for slot, text in enumerate((pair.first, pair.second)):
            ids = batch.response_tokens[row, slot][batch.response_mask[row, slot]].tolist()
            assert ids == [*TOKENIZER.encode(text), TOKENIZER.eos_id]


def test_a_batch_may_cross_the_end_of_an_epoch():
    stream = iter(batches(batch_size=3))
    labels = np.concatenate([next(stream).labels, next(stream).labels])
    np.testing.assert_array_equal(labels, np.tile([[1, 0], [0.25, 0.75]], (3, 1)))


def test_processes_take_their_rows_of_the_same_batch():
    whole = next(iter(batches(batch_size=4)))
    parts = [next(iter(batches(batch_size=4, process_index=i, process_count=2))) for i in range(2)]
    for name in ("prompt_tokens", "response_tokens", "labels"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name), err_msg=name
        )


def test_resumes_at_the_next_batch():
    pairs = data.training_pairs([PreferencePair(f"sort {x} =", x, "a", 1.0) for x in "bcdefgh"], []).repeat()
    stream = iter(data.pair_batches(pairs, TOKENIZER, batch_size=2, **LIMITS))
    seen = [next(stream) for _ in range(9)]
    again = iter(data.pair_batches(pairs, TOKENIZER, batch_size=2, **LIMITS))
    for _ in range(3):
        next(again)
    state = again.get_state()
    fresh = iter(data.pair_batches(pairs, TOKENIZER, batch_size=2, **LIMITS))
    fresh.set_state(state)
    for expected in seen[3:]:
        np.testing.assert_array_equal(next(fresh).response_tokens, expected.response_tokens)


def test_a_prompt_without_a_token_is_an_error():
    class NoStart(type(TOKENIZER)):
        bos_id = None

    tokenizer = NoStart.__new__(NoStart)
    tokenizer.__dict__.update({k: v for k, v in TOKENIZER.__dict__.items() if k != "bos_id"})
    stream = data.pair_batches([PreferencePair("", "a", "b", 1.0)] * 2, tokenizer, batch_size=2, **LIMITS)
    with pytest.raises(ValueError, match="an empty prompt needs a tokenizer with a beginning-of-sequence token"):
        next(iter(stream))
