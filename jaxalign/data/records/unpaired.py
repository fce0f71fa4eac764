"""Single responses that are marked good or bad, and what KTO compares them with."""

import dataclasses
from collections.abc import Sequence

from jaxalign.data.records.record import PreferenceRecord

DESIRABLE, UNDESIRABLE, MISMATCHED = 1.0, 0.0, 0.5
"""Labels of a response to learn, of one to unlearn, and of one to another prompt."""


def unpaired_records(records: Sequence[PreferenceRecord]) -> list[PreferenceRecord]:
    """Returns the best and the worst response of each list as records of their own, with the labels 1 and 0.

    Args:
      records: lists with labels; those whose best and worst labels are equal say nothing and are left out.
    """
    found = []
    for record in records:
        best, worst = (pick(record.labels) for pick in (max, min))
        for label, kind in ((best, DESIRABLE), (worst, UNDESIRABLE)):
            if best > worst:
                found.append(_only(record, record.labels.index(label), kind))
    return found


def with_mismatched(records: Sequence[PreferenceRecord]) -> list[PreferenceRecord]:
    """Returns the records with a second response each, which answers another prompt and has the label 0.5.

    It is the response of the next record with another prompt. :func:`jaxalign.training.make_kto_loss` takes its
    reference point from these, and their reference log-probabilities are computed and kept like all others.

    Args:
      records: one response each, with the label 1 or 0.

    Raises:
      ValueError: a record has several responses or another label, or all have the same prompt.
    """
    for number, record in enumerate(records):
        if len(record.responses) != 1 or record.labels[0] not in (DESIRABLE, UNDESIRABLE):
            raise ValueError(
                f"record {number}, counted from 0: expected one response with the label 1 or 0, got labels "
                f"{record.labels}; lists become such records by data.unpaired_records"
            )
    return [_with_another(record, _next(records, number)) for number, record in enumerate(records)]


def _next(records: Sequence[PreferenceRecord], number: int) -> PreferenceRecord:
    later = (records[(number + step) % len(records)] for step in range(1, len(records)))
    for record in later:
        if record.prompt != records[number].prompt:
            return record
    raise ValueError(
        f"expected at least two prompts, got {len(records)} records of one; what KTO compares with are responses to "
        "other prompts: add some, or use apo-zero-unpaired"
    )


def _with_another(record: PreferenceRecord, other: PreferenceRecord) -> PreferenceRecord:
    tokens = record.tokens or (None,), other.tokens or (None,)
    return dataclasses.replace(
        record,
        responses=(*record.responses, *other.responses),
        labels=(*record.labels, MISMATCHED),
        tokens=(*tokens[0], *tokens[1]) if record.tokens or other.tokens else (),
    )


def _only(record: PreferenceRecord, index: int, label: float) -> PreferenceRecord:
    return dataclasses.replace(
        record, responses=(record.responses[index],), labels=(label,), tokens=record.tokens[index : index + 1]
    )
