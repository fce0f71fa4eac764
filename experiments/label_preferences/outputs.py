"""What the run leaves: labelled lists as files, and the sections of a report."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow
import pyarrow.parquet

from jaxalign.data import PreferenceRecord
from jaxalign.data.text.comparisons import render_context
from jaxalign.io.jobs import records
from jaxalign.io.report import Histogram, Table, Texts

SHOWN = 6  # lists that the report shows


def write(
    folder: pathlib.Path, labelled: Sequence[PreferenceRecord], provenance: Mapping[str, Any], *, validation: float
) -> None:
    """Writes ``labels.jsonl``, and the two files that experiments take as ``--data``.

    Args:
      validation: the share of the lists that goes to ``validation.parquet``.
    """
    records.write_records(folder / "labels.jsonl", labelled, provenance)
    count = min(max(round(validation * len(labelled)), 1), len(labelled) - 1)
    for part, some in (("validation", labelled[:count]), ("train", labelled[count:])):
        rows = [
            {
                "prompt_id": f"{part}-{n}",
                "source": record.source,
                "prompt": record.prompt,
                "response": response,
                "preference": preference,
            }
            for n, record in enumerate(some)
            for response, preference in zip(record.responses, record.labels, strict=True)
        ]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / f"{part}.parquet")


def show(figures: Mapping[str, float], labelled: Sequence[PreferenceRecord]) -> list:
    """Shows the figures, how labels are spread, and the first lists with theirs, as sections of a report."""
    labels = [label for record in labelled for label in record.labels]
    texts = [
        {"prompt": render_context(record.prompt)}
        | {
            f"response {n}, label {preference:.3f}": response
            for n, (response, preference) in enumerate(zip(record.responses, record.labels, strict=True), 1)
        }
        for record in labelled[:SHOWN]
    ]
    caption = "A label is the response's mean chance to win against the others of its list, itself counting one half."
    return [
        Table("Figures", ("figure", "value"), list(figures.items())),
        Histogram("Labels", {"all responses": labels}, x_label="label", caption=caption),
        Texts("The first lists", texts),
    ]
