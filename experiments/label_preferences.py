"""Preference labels by a judge: lists or pairs in, and out the files that LiPO and reward models are trained on.

    ./tools/run experiments.label_preferences              # lists with a known truth, a simulated model
    ./tools/run experiments.label_preferences files --data FILE --model NAME --endpoint URL --method direct
    ./tools/run experiments.lipo alpacaeval --data runs/label_preferences    # then, on what was written

Claims: none of a paper's. All pairs of a list are judged in both orders; a response's label is its mean chance to win,
itself counting one half, as LiPO makes labels (arXiv 2402.01878). A comparison that could not be read is left out of
the mean and counted. ``train.parquet`` and ``validation.parquet`` have one row a response (prompt_id, source, prompt,
response, preference), ``labels.jsonl`` one a list. In the world that is made here the labels are held against the
truth; BUILD.md has what came out.
"""

import dataclasses
import functools
import itertools
import pathlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pyarrow
import pyarrow.parquet

from experiments.common import lists, machines, origin, report
from experiments.common.llm import accounts, forecast, reports_world
from experiments.common.llm.engine import Engine
from experiments.common.llm.judge_methods import METHODS, STRUCTURED, TASKS, Setting
from experiments.common.llm.judge_worlds import open_judge
from jaxalign import data, metrics
from jaxalign.data import PreferencePair, PreferenceRecord
from jaxalign.data.comparisons import render_context
from jaxalign.io import edge, records, writers
from jaxalign.io.report import Histogram, Table, Texts
from jaxalign.judge import Judgement, StructuredConfig


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: Literal["made", "files"] = "made"  # lists made on the spot, or from files
    data: pathlib.Path | None = None  # files: JSON lines or parquet
    columns: tuple[str, ...] = ("prompt", "responses")  # prompt; a column of lists, or several with a response each
    group_by: str = ""  # the column whose rows of one value are one list, where a row has only one response
    question: Literal["rating", "summarisation", "retrieval"] = "rating"  # what the judge is asked about the texts
    model: str = ""  # a Hugging Face directory or hub id, or the endpoint's name for its model; made: not needed
    endpoint: str = ""  # an OpenAI-compatible server, for instance http://127.0.0.1:8000/v1
    generator: str = ""  # the model that wrote the responses, to be told if it is the judge
    method: Literal[*METHODS] = STRUCTURED  # how the judge is asked
    num_aspects: int = 4  # that texts are compared by
    num_candidates: int = 4  # contrasts of each aspect, of which one is chosen
    temperature: float = 0.7  # of contrasts
    max_tokens: int = 256  # of a contrast; a chain of thought has twice as many
    num_lists: int = 60  # made: how many
    list_size: int = 4  # responses of each list that are judged, the first ones
    validation: float = 0.2  # the share of the lists that goes to validation.parquet
    seed: int = 0  # of the lists that are made and of what the judge draws
    budget_tokens: int | None = None  # stop, and keep what was answered, once a run has paid so many
    replay: pathlib.Path | None = None  # answers.jsonl of an earlier run, whose answers are taken; nobody is asked
    output: pathlib.Path = pathlib.Path("runs/label_preferences")  # the folder of the run


SHOWN = 6  # lists that the report shows
DEFAULT = Config()
PRESETS = {"default": DEFAULT, "files": dataclasses.replace(DEFAULT, task="files")}


def main(config: Config) -> dict[str, float]:
    """Judges, writes and returns what it took; against the truth where that is known."""
    if config.method not in METHODS:
        raise ValueError(f"unknown method {config.method!r}; there are {', '.join(METHODS)}")
    if config.model and config.model == config.generator:
        warnings.warn(f"{config.model} judges its own texts, which judges are known to prefer", stacklevel=2)
    run = origin.begin(__spec__.name, PRESETS, config)
    writers.write_config(config.output, dataclasses.replace(config, budget_tokens=None, replay=None))
    unlabelled, truth = make_lists(config)
    pairs, owners = all_pairs(unlabelled)
    with accounts.limited(config) as ledger:
        judge = open_judge(config, ledger)
        forecast.announce(config, judge, functools.partial(ask, config, pairs), times=1)
        judgements = ask(config, pairs, judge)
    labelled = label(unlabelled, judgements, owners)
    write(config, labelled)
    figures = {
        "lists": len(labelled),
        "pairs": len(pairs),
        "unparsed pairs": sum(judgement.probability is None for judgement in judgements),
        "unparsed texts": sum(judgement.unparsed for judgement in judgements),
        "tokens a pair": ledger.asked.tokens / max(len(pairs), 1),
    }
    if truth:
        found, true = lists.padded(labelled), lists.padded(truth)
        accuracy = lists.over_prompts(metrics.pairwise_accuracy_metric, found.labels, true.labels, where=true.where)
        figures["pairwise accuracy"] = accuracy.value
        print(f"pairwise accuracy {accuracy.value:.4f} [{accuracy.low:.4f}, {accuracy.high:.4f}]")
    print(", ".join(f"{name} {value:.4g}" for name, value in figures.items()) + f"; written to {config.output}")
    print(
        f"asked for {ledger.asked.tokens:,} tokens in {ledger.seconds:.1f} s, {ledger.paid.tokens:,} of them paid now"
    )
    sections = [*show(figures, labelled), accounts.bill(ledger)]
    report.write_sections(
        run, f"Preference labels: {config.task}", sections, model=judge.name, told=accounts.told(judge)
    )
    return figures


def ask(config: Config, pairs: Sequence[PreferencePair], engine: Engine) -> list[Judgement]:
    """What the judge says of every pair."""
    structured = StructuredConfig(
        config.num_aspects,
        config.num_candidates,
        temperature=config.temperature,
        max_tokens=config.max_tokens,
        seed=config.seed,
    )
    setting = Setting(engine, TASKS[config.question], structured, max_tokens=2 * config.max_tokens)
    return METHODS[config.method](setting)(pairs)


def make_lists(config: Config) -> tuple[list[PreferenceRecord], list[PreferenceRecord]]:
    """Lists without labels, and the same with true ones, or nothing."""
    if config.task == "made":
        truth = [reports_world.make_list(config.seed, n, config.list_size) for n in range(config.num_lists)]
        return truth, truth
    if config.data is None:
        raise ValueError("expected --data FILE with prompts and responses, got none")
    prompt, *responses = config.columns
    columns = data.UnlabelledColumns(
        prompt,
        # One column of one response a row is named as a tuple of one, or its text would be taken for a list.
        tuple(responses) if config.group_by or len(responses) > 1 else responses[0],
        id=config.group_by or None,
    )
    rows = data.read_file(config.data, columns, group_by_id=bool(config.group_by)).records
    cut = [_first_responses(row, config.list_size) for row in rows]
    return cut, []


def all_pairs(unlabelled: Sequence[PreferenceRecord]) -> tuple[list[PreferencePair], list[tuple[int, int, int]]]:
    """Every two responses of every list, and where they come from: list, first and second response."""
    owners = [
        (n, *places)
        for n, record in enumerate(unlabelled)
        for places in itertools.combinations(range(len(record.responses)), 2)
    ]
    pairs = [
        PreferencePair(unlabelled[n].prompt, unlabelled[n].responses[i], unlabelled[n].responses[j], 0.5)
        for n, i, j in owners
    ]
    return pairs, owners


def label(
    unlabelled: Sequence[PreferenceRecord], judgements: Sequence[Judgement], owners: Sequence[tuple[int, int, int]]
) -> list[PreferenceRecord]:
    """The lists with each response's mean chance to win, over itself (one half) and those it was compared with."""
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


def write(config: Config, labelled: Sequence[PreferenceRecord]) -> None:
    """``labels.jsonl``, and the two files that experiments take as ``--data``."""
    provenance = {name: str(value) for name, value in dataclasses.asdict(config).items() if name != "output"}
    records.write_records(config.output / "labels.jsonl", labelled, provenance)
    count = min(max(round(config.validation * len(labelled)), 1), len(labelled) - 1)
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
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), config.output / f"{part}.parquet")


def show(figures: Mapping[str, float], labelled: Sequence[PreferenceRecord]) -> list:
    """The figures, how labels are spread, and the first lists with theirs, as sections of a report."""
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


def _first_responses(record: PreferenceRecord, count: int) -> PreferenceRecord:
    return dataclasses.replace(record, responses=record.responses[:count], labels=record.labels[:count])


if __name__ == "__main__":
    edge.explain_errors()
    machines.run_alone(main, PRESETS, __doc__)
