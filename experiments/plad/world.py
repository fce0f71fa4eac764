"""What a distillation experiment needs to know of its data, its teacher and its student."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from jaxtyping import Array

from experiments.common.task import Policy, Row
from jaxalign.data import EncodedLists, HfTokenizer, PreferenceRecord
from jaxalign.data.labelling.teacher_pairs import QualityFn

Texts = Mapping[str, Sequence[str]]
"""Texts by the id of their prompt."""


class World(NamedTuple):
    """One data set with a teacher, and a student that has not learnt from it."""

    tokenizer: HfTokenizer  # the student's
    student: Policy
    train: list[PreferenceRecord]  # prompts with ids; their responses are the gold targets, if there are any
    texts: Texts  # what the teacher writes to these prompts
    teacher: Policy | None  # with the student's vocabulary, for those that need logits; None: texts are all there is
    pool: Callable[[Policy, Array], EncodedLists] | None
    """(warm start, key): held-out texts of known quality, the same for all methods, that likelihood may rank."""
    quality_fn: QualityFn | None  # of training texts, for "real" instead of pseudo preferences
    evaluate: Callable[[Mapping[str, Policy], Array], dict[str, Row]]  # (policies, key): figures of what each writes
