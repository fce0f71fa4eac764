"""Preference labels by a judge: lists or pairs in, and out the files that LiPO and reward models are trained on.

    ./tools/run experiments.label_preferences              # lists with a known truth, a simulated model
    ./tools/run experiments.label_preferences files --data FILE --model NAME --endpoint URL --method direct
    ./tools/run experiments.lipo alpacaeval --data runs/label_preferences    # then, on what was written

Claims: none of a paper's. All pairs of a list are judged in both orders; a response's label is its mean chance to win,
itself counting one half, as LiPO makes labels (arXiv 2402.01878). A comparison that could not be read is left out of
the mean and counted; a response without any that could be read has no label, and is in no file. ``train.parquet`` and
``validation.parquet`` have one row a response (prompt_id, source, prompt, response, preference), ``labels.jsonl`` one
a list. In the world that is made here the labels are held against the truth; experiments/RESULTS.md has what came out.
A server is asked as in ``experiments.judge``, with the same flags.
"""

import dataclasses
import functools
import itertools
import pathlib
import warnings
from collections.abc import Sequence
from typing import Annotated, Literal

from experiments.common import lists, machines, origin, report
from experiments.common.fields import Count, CountOrNone, Range
from experiments.common.judging.methods import METHODS, STRUCTURED, TASKS, make_setup, name_left_out, open_judge
from experiments.common.llm import accounts, counting, forecast
from experiments.common.llm.engine import Engine
from experiments.common.llm.server import LanguageModel, settings
from experiments.label_preferences import list_labels, outputs, worlds
from experiments.label_preferences.list_labels import num_responses
from jaxalign import metrics
from jaxalign.data import PreferencePair
from jaxalign.io import edge
from jaxalign.io.run import run_folder
from jaxalign.judge import Judgement


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: Literal["made", "files"] = "made"  # lists made on the spot, or from files
    data: pathlib.Path | None = None  # files: JSON lines or parquet
    prompt_column: str = "prompt"  # files: the column of prompts
    response_columns: tuple[str, ...] = ("responses",)  # files: a column of lists, or several with a response each
    group_by: str = ""  # the column whose rows of one value are one list, where a row has only one response
    question: Literal["rating", "summarisation", "retrieval"] = "rating"  # what the judge is asked about the texts
    llm: LanguageModel = LanguageModel()  # which model is asked, and how
    generator: str = ""  # the model that wrote the responses, to be told if it is the judge
    method: Literal[*METHODS] = STRUCTURED  # how the judge is asked
    num_aspects: CountOrNone = 4  # that texts are compared by
    num_candidates: Count = 4  # contrasts of each aspect, of which one is chosen
    temperature: Annotated[float, Range(0)] = 0.7  # of contrasts
    max_tokens: Count = 256  # of a contrast; a chain of thought has twice as many
    num_lists: Annotated[int, Range(2)] = 60  # made: how many, some to train on and some to validate on
    list_size: Annotated[int, Range(2)] = 4  # responses of each list that are judged, the first ones
    validation: float = 0.2  # the share of the lists that goes to validation.parquet
    seed: int = 0  # of the lists that are made and of what the judge draws
    output: pathlib.Path = pathlib.Path("runs/label_preferences")  # the folder of the run


TOO_LONG = "What did not fit is unread: it is counted among the unparsed texts, pairs and scores, and is no vote."
DEFAULT = Config()
PRESETS = {"default": DEFAULT, "files": dataclasses.replace(DEFAULT, task="files")}


def main(config: Config) -> dict[str, float]:
    """Judges, writes and returns what it took; against the truth where that is known."""
    run = origin.begin(__package__, PRESETS, config)
    check(config)
    if config.llm.model and config.llm.model == config.generator:
        warnings.warn(f"{config.llm.model} judges its own texts, which judges are known to prefer", stacklevel=2)
    key = run_folder.open_run(
        config.output,
        settings(config),
        experiment="label_preferences",
        may_differ=("output",),
        files={"data": ()},
        models=config.llm.files,
    )
    unlabelled, truth, beyond = worlds.make_world(config)
    if len(unlabelled) < 2:
        raise ValueError(f"expected two lists or more, one to train on and one to validate on, got {len(unlabelled)}")
    pairs, owners = worlds.all_pairs(unlabelled)
    made = config.task == "made"
    with accounts.limited(config.llm, simulated=made) as ledger:
        judge = open_judge(config.llm, config.output, ledger, simulated=made)
        forecast.announce(config.llm, judge, functools.partial(ask, config, pairs), times=1, simulated=made)
        judgements = ask(config, pairs, judge)
    places = list_labels.read_places(unlabelled, judgements, owners)
    labelled = list_labels.keep(list_labels.label(unlabelled, judgements, owners), places)
    long = name_left_out(judge.left_out, TASKS[config.question], pairs)
    list_labels.tell(unlabelled, labelled, beyond, config.list_size)
    for name, reason in itertools.islice(long.items(), counting.SHOWN):
        print(f"  {name}: too long for the model: {reason}")
    if len(labelled) < 2:
        raise ValueError(
            f"expected comparisons that can be read in two lists or more, got them in {len(labelled)} of "
            f"{len(unlabelled)}, so that there is nothing to write; see what the model says, or take another --method"
        )
    outputs.write(config.output, labelled, key, validation=config.validation)
    labels = num_responses(labelled)
    figures = {
        "lists": len(labelled),
        "unlabelled lists": len(unlabelled) - len(labelled),
        "labelled responses": labels,
        "unlabelled responses": beyond + num_responses(unlabelled) - labels,
        "pairs": len(pairs),
        "unparsed pairs": sum(judgement.probability is None for judgement in judgements),
        "unparsed texts": sum(judgement.unparsed for judgement in judgements),
        "unread scores": judge.count.scored.share,
        "pairs too long": len(long),
        "tokens a pair": ledger.asked.tokens / max(len(pairs), 1),
    }
    if truth:
        found, true = lists.padded(labelled), lists.padded(list_labels.keep(truth, places))
        accuracy = lists.over_prompts(metrics.pairwise_accuracy_metric, found.labels, true.labels, where=true.where)
        figures["pairwise accuracy"] = accuracy.value
        print(f"pairwise accuracy {accuracy.value:.4f} [{accuracy.low:.4f}, {accuracy.high:.4f}]")
    print(", ".join(f"{name} {value:.4g}" for name, value in figures.items()) + f"; written to {config.output}")
    print(accounts.sentence(ledger, judge.paid(), judge.cost()))
    lacking = counting.table_of_left_out("Pairs that are too long for the model", long, TOO_LONG)
    sections = [*outputs.show(figures, labelled), *lacking, accounts.bill(ledger, judge.paid(), judge.cost())]
    report.write_sections(
        run, f"Preference labels: {config.task}", sections, model=judge.name, told=accounts.told(judge)
    )
    return figures


def ask(config: Config, pairs: Sequence[PreferencePair], engine: Engine) -> list[Judgement]:
    """Returns what the judge says of every pair."""
    setup = make_setup(
        engine,
        question=config.question,
        num_aspects=config.num_aspects,
        num_candidates=config.num_candidates,
        temperature=config.temperature,
        max_tokens=config.max_tokens,
        seed=config.seed,
    )
    return METHODS[config.method](setup)(pairs)


def check(config: Config) -> None:
    """Raises ValueError, naming the field, for what no run can be made of."""
    if config.method not in METHODS:
        raise ValueError(f"unknown method {config.method!r}; there are {', '.join(METHODS)}")
    if not 0 < config.validation < 1:
        raise ValueError(f"validation: expected a share of the lists between 0 and 1, got {config.validation}")
    if config.task == "files" and not config.response_columns:
        raise ValueError("response_columns: expected one column of responses or more, got none")


if __name__ == "__main__":
    edge.explain_errors()
    machines.run_alone(main, PRESETS, __doc__)
