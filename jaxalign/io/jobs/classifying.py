"""Classes for the texts of a file, in one file of JSON lines that a killed run continues.

One line a text, in the order of the texts, so that nothing is lost and nothing is there twice:

    {"index": 0, "row": 0, "id": "a", "record": "<hash>", "model": "<name>", "truncated": false, "label": "Sports",
     "probabilities": {"World": 0.1, "Sports": 0.9}}
    {"index": 1, "row": 2, "id": "b", "record": "<hash>", "model": "<name>", "skipped": "text: it is empty, ..."}

A classifier of several labels writes ``"labels"``, those of a probability of at least one half (:class:`Classes`);
other fields of classes are the caller's. ``index`` counts texts
from 0, ``row`` the rows that they were read from, skipped ones included. ``record`` is a hash of the text, and
``model`` is what the caller says: a file is never continued with other data or another model. Beside it stands
``<file>.settings.json``, where the caller names what the classes depend on.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxalign.data import EncodedTexts, TextRow, Tokenizer, encode_text, join_texts
from jaxalign.data.batches.text_rows import check_row_lengths, make_text_batch
from jaxalign.io import keys, line_file
from jaxalign.io.jobs.scoring import place_of, resume_lines
from jaxalign.io.run.progress import Progress
from jaxalign.typing import TextBatch

ProbabilitiesFn = Callable[[TextBatch], Any]
"""``probabilities_fn(batch) -> [B, C]``: the probability of each class, in [0, 1]."""

DescribeFn = Callable[[Float[np.ndarray, "C"]], Mapping[str, Any]]
"""``describe_fn(probabilities) -> fields``: what the line of one text says of its classes, as JSON."""

FORMAT = 1  # of the lines
BATCHES_AT_ONCE = 16  # batches of texts between two writes: what a killed run computes again at most


class Classes(NamedTuple):
    """What a classifier says of a text.

    Attributes:
      names: of the classes, in the order of the probabilities.
      several: whether a text may have several of them, or none.
    """

    names: tuple[str, ...]
    several: bool = False

    def describe(self, probabilities: Float[np.ndarray, "C"]) -> dict[str, Any]:
        """Returns what a line says of a text: its class, or its classes, and the probability of each.

        Args:
          probabilities: ``[C]``, in the order of ``names``.
        """
        each = dict(zip(self.names, map(float, probabilities), strict=True))
        if self.several:
            said = {"labels": [name for name, probability in each.items() if probability >= 0.5]}
        else:
            said = {"label": self.names[int(np.argmax(probabilities))]}
        return {**said, "probabilities": each}


class ClassifyingReport(NamedTuple):
    """What a file of classes holds.

    Attributes:
      texts: its lines.
      skipped: texts that have no class.
      resumed: lines that were there before this call.
      truncated: texts of which only the beginning was read.
      problems: why texts were skipped, the first ten.
    """

    texts: int
    skipped: int
    resumed: int
    truncated: int
    problems: tuple[str, ...]


def classify_file(
    texts: Sequence[TextRow],
    probabilities_fn: ProbabilitiesFn,
    tokenizer: Tokenizer,
    describe_fn: DescribeFn,
    out: str | os.PathLike,
    *,
    model: str,
    batch_size: int,
    row_lengths: Sequence[int],
    settings: Mapping[str, Any] | None = None,
    rows: Sequence[int] | None = None,
    skip_bad_rows: bool = False,
    show: bool = True,
) -> ClassifyingReport:
    """Writes the classes of all texts to a file; the same call continues where an earlier one was killed.

    Args:
      texts: the texts.
      probabilities_fn: gives the probability of each class of a :class:`~jaxalign.typing.TextBatch`.
      tokenizer: of the classifier.
      describe_fn: makes the fields of a text's line of its probabilities, such as :meth:`Classes.describe`; what it
        depends on belongs to ``settings``.
      out: the file of JSON lines, with the fields that stand in this module's docstring.
      model: what identifies ``probabilities_fn`` and ``tokenizer``, for instance a hash of weights and config.
      batch_size: texts in a batch.
      row_lengths: lengths of rows in tokens, growing; each text has the first that holds it. A text that is longer than
        the last is cut there, and counted.
      settings: what identifies them, part by part as in :mod:`jaxalign.io.keys`: an error says which part differs.
      rows: the row that each text was read from, as :class:`~jaxalign.data.Source` has them.
      skip_bad_rows: a text that has no token, or no finite probability, gets a line with the reason and is counted,
        instead of being an error.
      show: whether to show the progress.

    Returns:
      Counts of what the file holds.

    Raises:
      ValueError: naming the text, if it is bad; naming the line, if ``out`` holds something else.
      OSError: a line could not be written; those before it stay.
    """
    out = pathlib.Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    if settings is not None:
        keys.begin(out, {keys.FORMAT: FORMAT, **settings})
    identities = [_identity(index, text, model, rows) for index, text in enumerate(texts)]
    lines = resume_lines(out, identities)
    resumed, step = len(lines), batch_size * BATCHES_AT_ONCE
    shown = Progress(f"classifying {out.name}", len(texts), start=resumed, show=show)
    with shown as progress, line_file.Writer(out, promise="it continues there") as file:
        for start in range(resumed, len(texts), step):
            chunk = texts[start : start + step]
            for index, result in enumerate(
                _classify(chunk, probabilities_fn, tokenizer, row_lengths, batch_size), start
            ):
                if isinstance(result, str) and not skip_bad_rows:
                    raise ValueError(f"{place_of(identities[index])}: {result}. Correct it, or skip bad rows")
                lines.append(identities[index] | _line(result, describe_fn))
                file.append(json.dumps(lines[-1]), f"text {index}")
            progress.update(len(lines), {}, 0.0)
    problems = [f"{place_of(line)}: {line['skipped']}" for line in lines if "skipped" in line]
    truncated = sum(line.get("truncated", False) for line in lines)
    return ClassifyingReport(len(lines), len(problems), resumed, truncated, tuple(problems[:10]))


class _Result(NamedTuple):
    probabilities: Float[np.ndarray, "C"]
    truncated: bool


def _classify(
    texts: Sequence[TextRow], probabilities_fn, tokenizer, row_lengths, batch_size: int
) -> list[_Result | str]:
    """Each text's probabilities, or why it has none."""
    encoded = [_encode(text.text, tokenizer, row_lengths[-1]) for text in texts]
    places = [place for place, each in enumerate(encoded) if not isinstance(each, str)]
    results: list[_Result | str] = [each if isinstance(each, str) else "" for each in encoded]
    if not places:
        return results
    joined = join_texts([encoded[place] for place in places], pad_id=tokenizer.pad_id, limit=row_lengths[-1])
    found = _probabilities(joined, probabilities_fn, check_row_lengths(joined, row_lengths), batch_size)
    for place, row in zip(places, found, strict=True):
        bad = not np.isfinite(row).all()
        results[place] = "text: the model gives no finite probabilities" if bad else _Result(row, encoded[place][1])
    return results


def _encode(text: str, tokenizer: Tokenizer, max_tokens: int) -> tuple[list[int], bool] | str:
    try:
        return encode_text(text, tokenizer, max_tokens=max_tokens)
    except ValueError as error:
        return f"text: {error}"


def _probabilities(texts: EncodedTexts, probabilities_fn, row_lengths, batch_size: int) -> Float[np.ndarray, "N C"]:
    """A text is run at the length of its own tokens, whatever its neighbours are, so that they change nothing."""
    lengths, parts, order = np.searchsorted(row_lengths, texts.lengths), [], []
    for number in np.unique(lengths):
        rows = np.flatnonzero(lengths == number)
        for start in range(0, len(rows), batch_size):
            some = rows[start : start + batch_size]
            batch = make_text_batch(texts, some, row_lengths[number], batch_size)
            parts.append(np.asarray(probabilities_fn(batch))[: len(some)])
            order.append(some)
    found = np.concatenate(parts)
    return found[np.argsort(np.concatenate(order))]


def _line(result: _Result | str, describe_fn: DescribeFn) -> dict[str, Any]:
    if isinstance(result, str):
        return {"skipped": result}
    return {"truncated": result.truncated, **describe_fn(result.probabilities)}


def _identity(index: int, text: TextRow, model: str, rows: Sequence[int] | None) -> dict[str, Any]:
    row = {} if rows is None else {"row": int(rows[index])}
    record = hashlib.sha256(json.dumps(text.text).encode()).hexdigest()[:16]
    return {"index": index, **row, "id": text.id, "record": record, "model": model}
