"""The lists that are labelled, and the pairs of their responses that a judge compares."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from experiments.common.judging import reports_world
from experiments.label_preferences.list_labels import Place, num_responses
from jaxalign import data
from jaxalign.data import PreferencePair, PreferenceRecord

if TYPE_CHECKING:
    from experiments.label_preferences.__main__ import Config


class LabellingWorld(NamedTuple):
    """Lists without labels."""

    unlabelled: list[PreferenceRecord]
    truth: list[PreferenceRecord] | None = None  # the same lists with true labels, where these are known
    beyond: int = 0  # responses that are not among the first ``list_size`` of their list


def make_world(config: "Config") -> LabellingWorld:
    """Makes or reads the lists that ``config.task`` names.

    Raises:
      ValueError: no file is named, or it is not as the flags say.
    """
    if config.task == "made":
        truth = [reports_world.make_list(config.seed, n, config.list_size) for n in range(config.num_lists)]
        return LabellingWorld(truth, truth)
    if config.data is None:
        raise ValueError("expected --data FILE with prompts and responses, got none")
    responses = config.response_columns
    columns = data.UnlabelledColumns(
        config.prompt_column,
        # One column of one response a row is named as a tuple of one, or its text would be taken for a list.
        responses if config.group_by or len(responses) > 1 else responses[0],
        id=config.group_by or None,
    )
    rows = data.read_file(config.data, columns, group_by_id=bool(config.group_by)).records
    cut = [_first_responses(row, config.list_size) for row in rows]
    return LabellingWorld(cut, beyond=num_responses(rows) - num_responses(cut))


def all_pairs(unlabelled: Sequence[PreferenceRecord]) -> tuple[list[PreferencePair], list[Place]]:
    """Returns every two responses of every list, and where they come from."""
    owners = [
        Place(n, *places)
        for n, record in enumerate(unlabelled)
        for places in itertools.combinations(range(len(record.responses)), 2)
    ]
    pairs = [
        PreferencePair(
            unlabelled[n].prompt,
            unlabelled[n].responses[i],
            unlabelled[n].responses[j],
            0.5,
            id=f"list {n + 1}, responses {i + 1} and {j + 1}",
        )
        for n, i, j in owners
    ]
    return pairs, owners


def _first_responses(record: PreferenceRecord, count: int) -> PreferenceRecord:
    return dataclasses.replace(record, responses=record.responses[:count], labels=record.labels[:count])
