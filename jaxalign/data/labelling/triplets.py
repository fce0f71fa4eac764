"""RRM augmentation of preference pairs, in chunks that fit in memory.

Examples may be anything with a length that gives pairs by number, for instance by reading them from a file. Each chunk
takes other ones of them at random, and the triplets of a chunk stay inside it. Only indices are kept; texts are looked
up when a pair is asked for. The order of work::

    chunks = TripletChunks(examples, share=0.5, excluded_sources=["safety"])
    kept = []
    for triplets, report in chunks:
        probabilities = ...  # of a reward model, for each of TripletPairs(examples, triplets)
        kept.append(triplets.take(np.asarray(augment.keep_informative(probabilities, triplets.target))))
    dataset = training_pairs(examples, kept)  # all of the originals, and what was kept
"""

import functools
import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple, SupportsIndex

import grain
import jax
import numpy as np

from jaxalign import augment
from jaxalign.augment import Triplets
from jaxalign.data.batches import pipeline
from jaxalign.data.records.pairs import PairSource, PreferencePair


class TripletReport(NamedTuple):
    """What became of the examples of a chunk; reports add up."""

    examples: int
    excluded: int  # examples of excluded sources, which take no part
    ties: int  # other examples that are ties, which give the 6 neutral triplets and not the 14
    repeated: int  # triplets left out because two of their texts are equal, see augment.rrm_triplets
    unsampled: int  # triplets that the share left out
    triplets: int  # what remains

    def __add__(self, other: "TripletReport") -> "TripletReport":
        return TripletReport(*(mine + its for mine, its in zip(self, other, strict=True)))


class TripletChunk(NamedTuple):
    """Triplets in random order, arrays ``[rows]`` of NumPy, all valid; examples are counted over the whole data set."""

    triplets: Triplets
    report: TripletReport


class TripletChunks(Sequence):
    """Chunk number c of the augmentation is ``chunks[c]``, a pure function of c and the arguments.

    Texts are compared without regard to white space, and a text as prompt equals a chat of that one user turn.

    Args:
      examples: N pairs.
      seed: of the order of the examples and of all that is drawn.
      share: of the triplets of each chunk, in [0, 1]; RRM scores a half (recalled).
      chunk_size: the most examples of a chunk, which are divided evenly.
      excluded_sources: sources whose pairs take no part, see :func:`jaxalign.augment.rrm_triplets`.

    Raises:
      ValueError: if there is no example or the arguments do not serve; on access, if fewer than three different
        prompts take part in a chunk.
    """

    def __init__(
        self,
        examples: PairSource,
        *,
        seed: int = 0,
        share: float = 1.0,
        chunk_size: int = 65_536,
        excluded_sources: Collection[str] = (),
    ):
        if not len(examples) or chunk_size < 3 or not 0 <= share <= 1 or isinstance(excluded_sources, str):
            raise ValueError(
                "expected at least one example, chunks of at least 3, a share in [0, 1] and a collection of sources, "
                f"got {len(examples)}, {chunk_size}, {share} and {excluded_sources!r}"
            )
        self.examples, self.seed, self.share = examples, seed, share
        self.excluded_sources = frozenset(excluded_sources)
        self._order = grain.MapDataset.range(len(examples)).shuffle(seed=seed)
        self._num_chunks = -(-len(examples) // chunk_size)

    def __len__(self) -> int:
        return self._num_chunks

    def __getitem__(self, chunk: SupportsIndex) -> TripletChunk:
        number = range(len(self))[chunk]
        bounds = [len(self.examples) * n // len(self) for n in (number, number + 1)]
        members = np.array([self._order[place] for place in range(*bounds)])
        prompts, responses, is_tie, excluded = self._describe(members)
        different = len(np.unique(prompts[~excluded]))
        if different < 3:
            raise ValueError(
                f"expected three different prompts or more in chunk {number}, got {different} in {len(members)} "
                f"examples, {excluded.sum()} of them excluded; give more prompts or larger chunks"
            )
        key = jax.random.fold_in(jax.random.key(self.seed), number)
        drawn, taken = jax.device_get(_draw(key, prompts, responses, is_tie, excluded, share=self.share))
        rows = np.random.default_rng((self.seed, number)).permutation(np.flatnonzero(taken))
        ties = int((is_tie & ~excluded).sum())
        possible = 14 * int((~excluded).sum()) - 8 * ties
        valid = int(drawn.valid.sum())
        report = TripletReport(
            len(members), int(excluded.sum()), ties, possible - valid, valid - len(rows), triplets=len(rows)
        )
        flat = Triplets(*(column.reshape(-1)[rows] for column in drawn))
        places = {name: members[getattr(flat, name)] for name in ("prompt", "first_example", "second_example")}
        return TripletChunk(flat._replace(**places), report)

    def __iter__(self) -> Iterator[TripletChunk]:
        return (self[number] for number in range(len(self)))

    def _describe(self, members):
        """Ids of prompts ``[n]`` and of chosen and rejected responses ``[n, 2]``, ties and exclusions ``[n]``."""
        prompt_ids, response_ids, rows = {}, {}, []
        for member in members:
            pair = self.examples[int(member)]
            prompt = prompt_ids.setdefault(_digest(pair.prompt), len(prompt_ids))
            both = [response_ids.setdefault(_digest(text), len(response_ids)) for text in (pair.chosen, pair.rejected)]
            rows.append((prompt, *both, pair.is_tie, pair.source in self.excluded_sources))
        table = np.array(rows, np.int32)
        return table[:, 0], table[:, 1:3], table[:, 3].astype(bool), table[:, 4].astype(bool)


class TripletPairs(Sequence):
    """Triplets as pairs: ``pairs[row]`` looks up three texts, prompts with all of their context.

    Pairs have the source and the id of the example whose prompt they have.

    Args:
      examples: those that the triplets were drawn from, in the same order.
      triplets: arrays ``[rows]``, all valid.

    Raises:
      ValueError: if a row is not valid or names an example that is not there.
    """

    def __init__(self, examples: PairSource, triplets: Triplets):
        columns = (triplets.prompt, triplets.first_example, triplets.second_example)
        low, high = min(c.min(initial=0) for c in columns), max(c.max(initial=0) for c in columns)
        if not triplets.valid.all() or low < 0 or high >= len(examples):
            raise ValueError(
                f"expected valid triplets of {len(examples)} examples, got {int((~triplets.valid).sum())} rows that "
                f"are not valid and examples {low} to {high}; take the valid rows, and pair them with their own data"
            )
        self.examples, self.triplets = examples, triplets

    def __len__(self) -> int:
        return len(self.triplets.prompt)

    def __getitem__(self, row: SupportsIndex) -> PreferencePair:
        one = self.triplets.take(range(len(self))[row])
        own, first, second = (self.examples[int(n)] for n in (one.prompt, one.first_example, one.second_example))
        return PreferencePair(
            own.prompt,
            first.chosen if one.first_is_chosen else first.rejected,
            second.chosen if one.second_is_chosen else second.rejected,
            float(one.target),
            source=own.source,
            id=own.id,
        )


def augmented_pairs(chunks: TripletChunks) -> grain.IterDataset[PreferencePair]:
    """Returns one pass over the triplets of all chunks, as pairs, with one chunk in memory at a time.

    Row number n of a chunk is a pure function of both, so an iterator's state continues exactly.

    Args:
      chunks: the augmentation.
    """
    most = 14 * -(-len(chunks.examples) // len(chunks))
    stream = pipeline.Stream(
        lambda chunk: _FilledUp(TripletPairs(chunks.examples, chunks[chunk].triplets)), lambda pair: pair, most
    )
    return pipeline.to_dataset(stream, num_epochs=len(chunks), num_workers=0)


def training_pairs(
    examples: PairSource, kept: Sequence[Triplets], *, seed: int = 0
) -> grain.MapDataset[PreferencePair]:
    """Returns all of the originals and the kept triplets, shuffled: pair number n is a pure function of n and the seed.

    Every epoch has each of them once, in an order of its own, the originals with their sides drawn anew. Batches come
    from Grain, for instance ``training_pairs(...).repeat().map(encode).batch(size).to_iter_dataset()``.

    Args:
      examples: the originals, which no filter touches.
      kept: the triplets of each chunk that a filter left; empty for the originals alone.
      seed: of the order and of the sides.
    """
    parts = [grain.MapDataset.source(examples).random_map(_draw_sides, seed=seed)]
    if kept:
        triplets = Triplets(*map(np.concatenate, zip(*kept, strict=True)))
        parts += [grain.MapDataset.source(TripletPairs(examples, triplets))] if len(triplets.prompt) else []
    return grain.MapDataset.concatenate(parts).shuffle(seed=seed)


class _FilledUp:
    """Pairs, and None behind the last, which Grain leaves out."""

    def __init__(self, pairs: TripletPairs):
        self.pairs = pairs

    def __getitem__(self, row: int) -> PreferencePair | None:
        return self.pairs[row] if row < len(self.pairs) else None


@functools.partial(jax.jit, static_argnames="share")
def _draw(key, prompt_ids, response_ids, is_tie, excluded, *, share: float):
    key_triplets, key_share = jax.random.split(key)
    triplets = augment.rrm_triplets(
        key_triplets, prompt_ids, response_ids=response_ids, is_tie=is_tie, excluded=excluded
    )
    return triplets, augment.random_share(key_share, triplets.valid, share).reshape(-1)


def _draw_sides(pair: PreferencePair, rng: np.random.Generator) -> PreferencePair:
    return pair.swapped() if rng.random() < 0.5 else pair


def _digest(text) -> bytes:
    """Returns a digest of a prompt or a response; equal for texts that differ in white space only."""
    messages = [{"role": "user", "content": text}] if isinstance(text, str) else text
    words = [[message["role"], " ".join(message["content"].split())] for message in messages]
    return hashlib.blake2b(json.dumps(words).encode(), digest_size=16).digest()
