"""Classify every text of a file: ``./tools/run tools.classify MODEL FILE OUT``.

MODEL is a classifier of texts, such as a training here exports: transformers' sequence classification with two or more
labels. FILE has one text a row. OUT is a file of JSON lines with the label and the probability of each class, one for
each text that can be read, in their order (:mod:`jaxalign.io.jobs.classifying`); the same command continues it where it
was killed. What the classes were made with stands in OUT.settings.json: with another model, tokenizer or limit the file
is refused.
"""

import functools
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import jax
import tyro

from jaxalign import data, models
from jaxalign.io import edge, hf, keys
from jaxalign.io.cluster import launch
from jaxalign.io.jobs import classifying
from jaxalign.io.jobs.classifying import ProbabilitiesFn
from jaxalign.typing import Params, TextBatch

SHORTEST_ROW = 16  # tokens; rows are this long, twice as long, and so on

_class_probabilities = jax.jit(models.class_probabilities, static_argnums=0)


class Labeller(NamedTuple):
    """A classifier, with its tokenizer and a name that no other model has."""

    probabilities_fn: ProbabilitiesFn
    tokenizer: data.Tokenizer
    describe_fn: classifying.DescribeFn
    max_length: int  # tokens that the model has positions for
    name: str
    key: Mapping[str, Any] = {}  # what the name is a hash of, part by part


def main(
    model: Annotated[str, tyro.conf.arg(metavar="MODEL")],
    file: Annotated[pathlib.Path, tyro.conf.arg(metavar="FILE")],
    out: Annotated[pathlib.Path, tyro.conf.arg(metavar="OUT")],
    /,
    text: str = "text",
    id: str | None = None,
    max_tokens: int = 512,
    batch_size: int = 32,
    skip_bad_rows: bool = False,
) -> None:
    """Classify every text of a file.

    Args:
        model: a directory or a hub id.
        file: a .parquet file, or JSON lines.
        out: the file to write or to continue.
        text: the column with the text.
        id: the column with a name for each row.
        max_tokens: tokens of a text that are read, at most those that the model has positions for; the rest of longer
            texts is left out, and they are counted.
        batch_size: texts at once.
        skip_bad_rows: leave out rows that cannot be read or classified and count them, instead of stopping there.
    """
    edge.check_least(1, max_tokens=max_tokens, batch_size=batch_size)
    columns = data.TextColumns(text, id=id)
    launch.keep_programs()
    classify(load_labeller(model), file, out, columns, max_tokens, batch_size, skip_bad_rows=skip_bad_rows)


def load_labeller(model: str) -> Labeller:
    """The classifier of texts in a directory."""
    directory = hf.resolve(model)
    config, params = hf.load_pretrained(directory)
    if not isinstance(config, models.ClassifierConfig):
        raise ValueError(
            f"expected a classifier of texts, which is a sequence classifier with two or more labels, got a "
            f"{type(config).__name__} in {directory}; tools.score takes reward models, "
            "tools.classify_hierarchy classifiers with a taxonomy"
        )
    tokenizer = data.load_tokenizer(directory)
    key = {**keys.of_model(config, params), "tokenizer": keys.of_tokenizer(tokenizer)}
    probabilities_fn = make_probabilities_fn(config, params)
    describe_fn = classifying.Classes(config.labels, config.multi_label).describe
    return Labeller(probabilities_fn, tokenizer, describe_fn, config.backbone.max_length, keys.digest(key)[:16], key)


def make_probabilities_fn(config: models.ClassifierConfig | models.MatchingConfig, params: Params) -> ProbabilitiesFn:
    """The probabilities of classes of a batch, compiled."""
    return functools.partial(_probabilities, models.build(config), params)


def _probabilities(model, params, batch: TextBatch):
    return _class_probabilities(model, params, batch.tokens, batch.mask)


def classify(
    labeller: Labeller,
    file: pathlib.Path,
    out: pathlib.Path,
    columns: data.TextColumns,
    max_tokens: int,
    batch_size: int,
    *,
    skip_bad_rows: bool,
) -> None:
    """Reads, classifies, writes, and prints what there was."""
    source = data.read_file(file, columns, skip_bad_rows=skip_bad_rows)
    limit = min(max_tokens, labeller.max_length)
    report = classifying.classify_file(
        source.records,
        labeller.probabilities_fn,
        labeller.tokenizer,
        labeller.describe_fn,
        out,
        model=f"{labeller.name}/{limit}",
        batch_size=batch_size,
        row_lengths=row_lengths(limit),
        settings={**labeller.key, "max_tokens": limit},
        rows=source.rows,
        skip_bad_rows=skip_bad_rows,
    )
    print(
        f"{out}: {report.texts - report.skipped} of {source.report.rows} rows classified ({report.resumed} lines were "
        f"there), {source.report.skipped} not readable, {report.skipped} not classified, {report.truncated} cut to "
        f"{limit} tokens"
    )
    for problem in (*source.report.problems, *report.problems):
        print(f"  skipped {problem}")


def row_lengths(limit: int) -> list[int]:
    """The lengths of rows, each twice the one before, up to the limit."""
    lengths = [SHORTEST_ROW]
    while lengths[-1] < limit:
        lengths.append(2 * lengths[-1])
    return [*lengths[:-1], limit]


if __name__ == "__main__":
    edge.explain_errors()
    tyro.cli(main, prog=f"./tools/run {__spec__.name}", description=__doc__)
