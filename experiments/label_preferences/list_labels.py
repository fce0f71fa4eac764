"""The labels of judged lists, which responses have one, and what to tell of the others."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxalign.data import PreferenceRecord
from jaxalign.judge import Judgement


class Place(NamedTuple):
    """The list and the places in it from which the two responses of a pair come."""

    list: int
    first: int
    second: int


def num_responses(records: Sequence[PreferenceRecord]) -> int:
    """Counts the responses of all lists."""
    return sum(len(record.responses) for record in records)


def label(
    unlabelled: Sequence[PreferenceRecord], judgements: Sequence[Judgement], owners: Sequence[Place]
) -> list[PreferenceRecord]:
    """Returns the lists with new labels: each response's chance to win, averaged over those it was compared with.

    Against itself, which counts too, the chance is one half.
    """
    won = [np.full(len(record.responses), 0.5) for record in unlabelled]
    met = [np.ones(len(record.responses)) for record in unlabelled]
    for judgement, (n, i, j) in zip(judgements, owners, strict=True):
        if judgement.probability is not None:
            won[n][[i, j]] += judgement.probability, 1 - judgement.probability
            met[n][[i, j]] += 1
    return [
        dataclasses.replace(record, labels=tuple((mine / count).tolist()))
        for record, mine, count in zip(unlabelled, won, met, strict=True)
    ]


def read_places(
    unlabelled: Sequence[PreferenceRecord], judgements: Sequence[Judgement], owners: Sequence[Place]
) -> list[list[int]]:
    """Finds the places in each list of the responses with a comparison that could be read."""
    met: list[set[int]] = [set() for _ in unlabelled]
    for judgement, (n, *places) in zip(judgements, owners, strict=True):
        if judgement.probability is not None:
            met[n].update(places)
    return [sorted(places) for places in met]


def keep(lists_: Sequence[PreferenceRecord], places: Sequence[Sequence[int]]) -> list[PreferenceRecord]:
    """Keeps these responses of the lists, without the lists that have none."""
    return [
        dataclasses.replace(
            record,
            responses=tuple(record.responses[place] for place in kept),
            labels=tuple(record.labels[place] for place in kept),
        )
        for record, kept in zip(lists_, places, strict=True)
        if kept
    ]


def tell(
    unlabelled: Sequence[PreferenceRecord], labelled: Sequence[PreferenceRecord], beyond: int, list_size: int
) -> None:
    """Says how many responses have a label, and why the others have none."""
    judged, given = num_responses(unlabelled), num_responses(labelled)
    print(f"labelled {given} of {judged + beyond} responses, in {len(labelled)} of {len(unlabelled)} lists")
    if beyond:
        print(f"  {beyond} are beyond the first {list_size} of their list: --list-size says how many are compared")
    if judged > given:
        alone = sum(len(record.responses) == 1 for record in unlabelled)
        print(f"  {judged - given} have no comparison that could be read, {alone} of them being alone in their list")
