"""Batches of preference pairs: lists of two for a reward model that scores each response by itself."""

from typing import Protocol, runtime_checkable

import grain
import numpy as np

from jaxalign.data.batches import pipeline
from jaxalign.data.batches.lists import Selection, make_list_batch
from jaxalign.data.records.pairs import PreferencePair
from jaxalign.data.records.record import PreferenceRecord
from jaxalign.data.text.encoding import encode_reward_lists
from jaxalign.data.text.tokenizer import Tokenizer
from jaxalign.typing import ListBatch


@runtime_checkable
class PairStream(Protocol):
    """Pairs by number, epoch after epoch, as ``data.training_pairs(...).repeat()`` gives them."""

    def __getitem__(self, index: int) -> PreferencePair: ...


def pair_batches(
    pairs: PairStream,
    tokenizer: Tokenizer,
    *,
    batch_size: int,
    max_prompt: int,
    max_response: int,
    process_index: int = 0,
    process_count: int = 1,
    num_workers: int = 0,
) -> grain.IterDataset[ListBatch]:
    """Returns a stream without end of :class:`~jaxalign.typing.ListBatch` with K = 2, of NumPy arrays ``[B, 2, ...]``.

    ``labels`` are the probabilities that each of the two responses wins, q and 1 - q, so they sum to 1. Texts are read
    and encoded when a batch is made, so memory does not grow with the data. Batch n holds the pairs from
    ``n * batch_size`` on, whatever epoch they are in.

    Args:
      pairs: without end, for instance a Grain ``MapDataset`` that is repeated.
      tokenizer: of the reward model.
      batch_size: pairs of a batch, over all processes.
      max_prompt: the most tokens of a prompt, which keeps its end.
      max_response: the most tokens of a response, which keeps its beginning.
      process_index: which part of each batch to prepare, ``jax.process_index()``.
      process_count: the parts that a batch is divided into, ``jax.process_count()``.
      num_workers: processes that prepare batches; 0 prepares them in threads. Workers are spawned: a script needs its
        ``if __name__ == "__main__":``. A state fits the number of workers it came from.
    """
    rows = pipeline.process_rows(batch_size, process_index, process_count)
    limits = {"max_prompt": max_prompt, "max_response": max_response}

    def make_batch(step: int) -> ListBatch:
        own = [pairs[index] for index in range(step * batch_size + rows.start, step * batch_size + rows.stop)]
        lists = encode_reward_lists(map(probability_record, own), tokenizer, **limits)
        selection = Selection(np.arange(len(own)), np.tile(np.arange(2), (len(own), 1)))
        return make_list_batch(lists, None, lists.limits, selection, len(own))

    stream = pipeline.Stream(lambda epoch: [epoch], make_batch, batches_per_epoch=1)
    return pipeline.to_dataset(stream, num_epochs=None, num_workers=num_workers)


def probability_record(pair: PreferencePair) -> PreferenceRecord:
    """Returns a pair as a list of two whose labels are the chances of winning, q and 1 - q.

    Args:
      pair: with q, the probability that its first response wins, as its target.
    """
    labels = pair.target, 1 - pair.target
    return PreferenceRecord(pair.prompt, (pair.first, pair.second), labels, source=pair.source, id=pair.id)
