"""A world of text pairs with a known truth: reports that make points about subjects.

A context asks for some subjects. A report makes points about them ("It gives point 3 of the causes."), points about
subjects that nobody asked for, and empty sentences. The better report makes more points about what was asked for, so
that length says little, and reading with care says all.
"""

import random
import re
from typing import NamedTuple

from experiments.common.llm.chance import rng_of
from jaxalign.data import PreferencePair, PreferenceRecord, pairs_from_record

SUBJECTS = ("causes", "dates", "people", "places", "results", "sources")
ASKED = 4  # subjects that a context asks for
POINTS = 6  # that there are about a subject
EMPTY = "It says so at some length."
_POINT = re.compile(r"It gives point (\d+) of the (\w+)\.")


class Report(NamedTuple):
    """A report as it was read."""

    points: frozenset[tuple[str, int]]  # subject and number
    sentences: int


def make_pairs(seed: int, count: int, *, source: str = "made") -> list[PreferencePair]:
    """Makes pairs of reports of different quality; target 1 where the first one is better, else 0."""
    records = (make_list(seed, n, 2, source=source) for n in range(count))
    return [pairs_from_record(record)[0] for record in records]


def make_list(seed: int, number: int, length: int, *, source: str = "made") -> PreferenceRecord:
    """Makes ``length`` reports to one context, no two of equal quality; labels are their quality in [0, 1]."""
    rng = rng_of("list", seed, number)
    asked = rng.sample(SUBJECTS, ASKED)
    context = f"Report {seed}-{number} on {', '.join(asked)}."
    share, texts = rng.uniform(0.3, 0.6), {}
    while len(texts) < length:
        text = _make_report(rng, asked, share + rng.uniform(-0.1, 0.1))
        texts.setdefault(true_quality(context, text), text)
    order = rng.sample(sorted(texts), length)
    labels = tuple(quality / (ASKED * POINTS) for quality in order)
    return PreferenceRecord(context, tuple(texts[q] for q in order), labels, source=source, id=f"{seed}-{number}")


def true_quality(context: str, text: str) -> int:
    """Counts the points that a report makes about what the context asks for.

    >>> true_quality("Report 0-0 on causes, dates.", "It gives point 1 of the dates. It gives point 2 of the people.")
    1
    """
    return sum(subject in asked_for(context) for subject, _ in read_report(text).points)


def asked_for(context: str) -> list[str]:
    """Returns the subjects of a context."""
    return context.partition(" on ")[2].rstrip(".").split(", ")


def read_report(text: str) -> Report:
    """Reads the points and the length of a report."""
    return Report(frozenset((subject, int(n)) for n, subject in _POINT.findall(text)), text.count("."))


def point(subject: str, number: int) -> str:
    """Writes a point as a sentence."""
    return f"It gives point {number} of the {subject}."


def _make_report(rng: random.Random, asked: list[str], share: float) -> str:
    others = [subject for subject in SUBJECTS if subject not in asked]
    sentences = [point(subject, n) for subject in asked for n in range(POINTS) if rng.random() < share]
    off_topic = rng.random()
    sentences += [point(subject, n) for subject in others for n in range(POINTS) if rng.random() < off_topic]
    sentences += [EMPTY] * rng.randrange(10)
    rng.shuffle(sentences)
    return " ".join(sentences)
