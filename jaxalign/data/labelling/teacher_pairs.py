"""Pseudo-preference pairs: what a teacher writes is preferred to what a student writes, without anyone judging.

Only texts are needed, so the teacher may be of any family, with any tokenizer, or an endpoint. Both sides are
tokenized by the student's tokenizer, end with its end-of-sequence token and are cut at the same length by
:func:`~jaxalign.data.encode_lists`: with a limit of the student's ``max_new_tokens``, a sample that was stopped there
has no such token, as a teacher's text of that length has none.

A pair is a :class:`~jaxalign.data.PreferenceRecord` of two responses, teacher first: its labels are their similarities
to the reference, which the margin loss wants, and their order is the preference.

Source: PLaD (arXiv 2406.02886).
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from jaxalign.data.records.record import Message, PreferenceRecord
from jaxalign.data.text.tokenizer import TokenIds, Tokenizer
from jaxalign.data.text.turns import encode_written

SimilarityFn = Callable[[str, str], float]
"""``similarity_fn(reference, text)`` in [0, 1], 1 for texts that it cannot tell apart; for instance ROUGE-L."""

QualityFn = Callable[[str | Sequence[Message], Sequence[str]], Sequence[float]]
"""``quality_fn(prompt, texts)``: a number in [0, 1] for each text, higher is better, of a reward model or a metric."""


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What teacher and student wrote to one prompt.

    Attributes:
      prompt: a text, or a chat to which the texts are the next turn.
      teacher: the texts of the teacher.
      student: the texts of the student.
      id: what the source calls this prompt.
      student_tokens: the ids that the student wrote its texts in, where they are at hand: other ids may make the same
        text, and those it did not write.
    """

    prompt: str | Sequence[Message]
    teacher: Sequence[str]
    student: Sequence[str]
    id: str = ""
    student_tokens: Sequence[TokenIds] = ()


class PairReport(NamedTuple):
    """What became of the prompts, and of the pairs that could be made of their texts."""

    prompts: int
    unanswered: int  # prompts without a text of the teacher, or without one of the student
    identical: int  # pairs left out: no difference within the length that both are cut at, or by the similarity
    pairs: int  # what remains


class QualityReport(NamedTuple):
    """What a judge of quality did to pairs; they add up to what there was."""

    kept: int
    flipped: int  # the student's text is the better one
    dropped: int  # no difference of ``min_gap`` or more


def pseudo_pairs(
    outputs: Iterable[Outputs],
    tokenizer: Tokenizer,
    *,
    max_response: int,
    similarity_fn: SimilarityFn | None = None,
) -> tuple[list[PreferenceRecord], PairReport]:
    """Makes pairs of a text of the teacher, with the label 1, and one of the student, with its similarity to that text.

    Texts are paired by number; of a side that has fewer, each is used several times.

    Args:
      outputs: what both wrote to each prompt.
      tokenizer: the student's.
      max_response: the length in tokens that both sides will be cut at, end of sequence included.
      similarity_fn: of a text of the teacher and one of the student, in [0, 1], for instance ROUGE-L; None for 0.

    Returns:
      The pairs, and how many prompts and pairs gave none.

    Raises:
      ValueError: if a similarity is not in [0, 1], naming the prompt.
    """
    pairs, prompts, unanswered, identical = [], 0, 0, 0
    for each in outputs:
        prompts += 1
        unanswered += not (each.teacher and each.student)
        written = each.student_tokens or (None,) * len(each.student)
        for teacher, (student, tokens) in _by_number(each.teacher, list(zip(each.student, written, strict=True))):
            similarity = 0.0 if similarity_fn is None else similarity_fn(teacher, student)
            if not 0 <= similarity <= 1:
                raise ValueError(f"expected a similarity in [0, 1], got {similarity} for prompt {each.prompt!r}")
            pair = PreferenceRecord(each.prompt, (teacher, student), (1.0, similarity), id=each.id)
            first, second = (ids[:max_response] for ids in encode_written(pair, tokenizer).responses)
            if similarity == 1 or first == second:
                identical += 1
                continue
            pairs.append(pair if tokens is None else dataclasses.replace(pair, tokens=(None, tokens)))
    return pairs, PairReport(prompts, unanswered, identical, len(pairs))


def order_by_quality(
    pairs: Iterable[PreferenceRecord], quality_fn: QualityFn, *, min_gap: float = 0.0
) -> tuple[list[PreferenceRecord], QualityReport]:
    """Makes real preferences of pseudo preferences: labels by ``quality_fn``, where the student's text may win.

    Pairs whose qualities differ by less than ``min_gap``, or not at all, are left out and counted.

    Args:
      pairs: records of two responses, from :func:`pseudo_pairs`.
      quality_fn: of a prompt and texts: a number in [0, 1] for each text, higher is better.
      min_gap: the least difference of qualities, in [0, 1].

    Returns:
      The pairs with qualities as labels, and how many were kept, flipped and dropped.

    Raises:
      ValueError: if a quality is not in [0, 1].
    """
    ordered, kept, flipped, dropped = [], 0, 0, 0
    for pair in pairs:
        judged = dataclasses.replace(pair, labels=tuple(quality_fn(pair.prompt, pair.responses)))
        gap = judged.labels[0] - judged.labels[1]
        if gap == 0 or abs(gap) < min_gap:
            dropped += 1
            continue
        kept, flipped = kept + (gap > 0), flipped + (gap < 0)
        ordered.append(judged)
    return ordered, QualityReport(kept, flipped, dropped)


def _by_number(teacher: Sequence, student: Sequence) -> list[tuple]:
    if not teacher or not student:
        return []
    count = max(len(teacher), len(student))
    return [(teacher[n % len(teacher)], student[n % len(student)]) for n in range(count)]
