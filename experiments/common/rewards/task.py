"""What a reward model experiment needs to know of its data, and of whatever judges responses."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from jaxalign import data
from jaxalign.data import EncodedLists, HfTokenizer, PreferencePair, PreferenceRecord


class Opinion(NamedTuple):
    """What a reward model, or any other rule, says of N records with up to n responses."""

    scores: np.ndarray  # [N, n], higher is better; anything where a record has fewer
    chances: np.ndarray | None = None  # [N, n, n]: at [i, j] that response i, shown first, beats j; None: it has none


OpinionFn = Callable[[Sequence[PreferenceRecord]], Opinion]


class Artifact(NamedTuple):
    """A cue that says nothing about a response, and where it stands."""

    phrase: str
    at: Literal["start", "end"] = "start"

    def put(self, pair: PreferencePair, side: Literal["chosen", "first", "second"]) -> PreferencePair:
        """The pair with the cue at one response, once."""
        marked = data.inject_artifact(pair, side, phrase=self.phrase, at=self.at)
        return pair if self.is_in(getattr(pair, side)) else marked

    def is_in(self, response: str) -> bool:
        """Tells whether the response has the cue where it would be put."""
        return response.startswith(self.phrase) if self.at == "start" else response.endswith(self.phrase)


class RewardTask(NamedTuple):
    """Data of one world."""

    tokenizer: HfTokenizer
    demonstrations: EncodedLists  # what a backbone from scratch first learns to imitate
    pairs: list[PreferencePair]  # what reward models are trained on
    lists: list[PreferenceRecord]  # the same prompts with graded lists, for those that learn from lists
    tests: Mapping[str, list[PreferenceRecord]]  # held-out lists and pairs
    artifact: Artifact
