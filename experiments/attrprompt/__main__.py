"""AttrPrompt (arXiv 2306.15895): training data from a language model, each document with attributes of its own.

    ./tools/run experiments.attrprompt            # a made world and a simulated writer; under three minutes on a CPU
    ./tools/run experiments.attrprompt files --task task.toml --gold gold.jsonl --model DIR
    ./tools/run experiments.attrprompt files --task task.toml --gold gold.jsonl --model NAME --endpoint URL
    ./tools/run experiments.attrprompt agnews --attributes FOLDER --gold FILE --model NAME --endpoint URL
    ./tools/run experiments.attrprompt sst-2 --attributes FOLDER ...    # one for each data set of the paper
    ./tools/run experiments.attrprompt yelp --attributes FOLDER ...
    ./tools/run experiments.attrprompt nyt --attributes FOLDER ...
    ./tools/run experiments.attrprompt amazon --attributes FOLDER ...
    ./tools/run experiments.attrprompt reddit --attributes FOLDER ...
    ./tools/run experiments.attrprompt stackexchange --attributes FOLDER ...
    ./tools/run experiments.attrprompt arxiv --attributes FOLDER ...    # several labels a document

``task.toml`` says what to write: the kind of document, the classes, what documents vary in (``jaxalign.attributes``).
What it lacks is asked for stage by stage, and each stage is a TOML file in the run's folder: dimensions, similar,
values, filtered. With ``--until STAGE`` the run ends there; what you edit counts, and the same command goes on.
``--preview 5`` prints the next five prompts and ends, ``--preview-answers`` their answers too. Before anything is paid
for, the run says what it will ask for; ``--budget-tokens`` and ``--budget-cost`` end it. Answers are in
``answers.jsonl`` and never paid twice; documents with their values in ``seed-0/AttrPrompt/documents.jsonl``; with
``--retry-failed`` those without a text are asked for again.

Claims: AttrPrompt reaches what SimPrompt does at 5 % of its queries (abstract); AG News 71.8 to 80.0, StackExchange
40.2 to 47.9 with one model (an independent paper). In the made world the writer's habits, its compliance and its
errors are put in (``experiments/attrprompt/simulated_writer.py``); what classifiers gain from attributes at equal
tokens, with the stages paid, is what comes out, and so is what is left of it with class names masked, lengths matched
and values shuffled. experiments/RESULTS.md has what came out.

Departures from the paper: prompts are ours; SimPrompt has no example; CAF may take votes; the best weights on a
development part are kept, and the test set is looked at once.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Annotated, Literal

from experiments.attrprompt import estimate, figures, gold, learning, preview, worlds
from experiments.attrprompt.comparison import compare, texts_of
from experiments.attrprompt.datasets import DATASETS
from experiments.attrprompt.dry import DryStore
from experiments.attrprompt.methods import ATTRPROMPT, METHODS, SIMPROMPT, Sizes, Written, write_all
from experiments.attrprompt.preparing import Asked, PauseError
from experiments.attrprompt.storage import FileStore, Stage, writing
from experiments.attrprompt.worlds import MADE, GoldTexts, Ground
from experiments.common import machines, origin, report
from experiments.common.classifiers.settings import ClassifierTraining
from experiments.common.fields import Count, CountOrNone, Range, check_names
from experiments.common.llm import accounts
from experiments.common.llm.engine import Engine
from experiments.common.llm.server import LanguageModel, settings
from jaxalign.io import edge
from jaxalign.io.llm import Usage
from jaxalign.io.run import run_folder

Method = Literal[*METHODS]
SEEDS_APART = 100_000_000  # so many attempts at documents of one seed, which are a million apart, meet no other seed's


@dataclasses.dataclass(frozen=True)
class Steps:
    """Flags of what a run does before its end."""

    preview: CountOrNone = 0  # print so many of the next prompts, and end
    preview_answers: bool = False  # and ask for their answers, which are kept
    until: Literal["", "dimensions", "similar", "values", "filtered", "documents"] = ""  # end after this stage
    retry_failed: bool = False  # ask again for documents that were refused or failed, once


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: str = MADE  # the made world, a data set of the paper, or a TOML file
    attributes: pathlib.Path | None = None  # data sets: the folder with attributes.parquet and labels.parquet
    llm: LanguageModel = LanguageModel()  # which model writes, and how it is asked
    steps: Steps = Steps()
    methods: tuple[Method, ...] = METHODS  # beside AttrPrompt, which is always there
    num_documents: Count = 50  # of each class and method; the others go on to as many tokens as AttrPrompt takes
    num_simple: CountOrNone = 900  # of each class by SimPrompt, if that is more
    num_similar: Count = 2  # classes that are easily confused with each
    num_values: Count = 11  # of each attribute
    votes: Count = 3  # answers to each question about a value; the paper has 1
    temperature: Annotated[float, Range(0)] = 1.0  # of documents
    max_tokens: Count = 256  # of a document
    texts: GoldTexts = GoldTexts()
    training: ClassifierTraining = ClassifierTraining(classifier="probe")
    seeds: Count = 5  # repetitions, of which figures are means; the stages of a real task are made once
    output: pathlib.Path = pathlib.Path("runs/attrprompt")  # the folder of the run; the same command continues in it


DEFAULT = Config()
FILES = dataclasses.replace(
    DEFAULT,
    task="",
    methods=(ATTRPROMPT, SIMPROMPT),
    num_documents=100,
    num_simple=0,
    num_similar=5,
    num_values=10,
    votes=1,
    texts=GoldTexts(num_gold=(2000, 2000)),
    training=ClassifierTraining(),
    seeds=1,
    output=pathlib.Path("runs/attrprompt-files"),
)


def gold_texts(dataset: str) -> GoldTexts:
    """Returns which columns the gold file of a data set has, unless flags say otherwise."""
    columns = gold.COLUMNS.get(dataset, gold.GoldColumns())
    return dataclasses.replace(
        FILES.texts, gold_text=columns.text, gold_label=columns.label, gold_classes=columns.names
    )


PRESETS = {
    "default": DEFAULT,
    "files": FILES,
    **{
        name: dataclasses.replace(
            FILES,
            task=name,
            num_documents=dataset.per_class,
            texts=gold_texts(name),
            training=ClassifierTraining(encoder="google-bert/bert-base-uncased"),
            output=pathlib.Path(f"runs/attrprompt-{name}"),
        )
        for name, dataset in DATASETS.items()
    },
}


def main(config: Config) -> dict[str, float]:
    """Writes documents, trains classifiers on them and returns the figures; what was asked is not asked again."""
    run = origin.begin(__package__, PRESETS, config)
    check_names("methods", config.methods, METHODS)
    run_folder.open_run(
        config.output,
        settings(config),
        experiment="attrprompt",
        may_differ=("output", "seeds", "methods", *(field.name for field in dataclasses.fields(Steps))),
        files={"task": (), "attributes": ("*.parquet",), "gold": (), "gold_train": ()},
        models=(*config.llm.files, "encoder"),
    )
    if config.steps.preview_answers and not config.steps.preview:
        raise ValueError("--preview-answers: expected --preview N with it, the number of prompts to show and to ask")
    with accounts.limited(config.llm, simulated=config.task == MADE) as ledger:
        grounds = worlds.make_grounds(config.task, config.attributes, config.texts, config.seeds)
        engines = worlds.open_writers(config.llm, config.output, ledger, grounds)
        if config.steps.preview:
            look(config, grounds[0], engines[0])
            return {}
        announce(config, grounds, engines[0])
        written, pauses = write(config, grounds, engines)
    if pauses or config.steps.until == "documents":
        print("\n".join(pauses) or f"The documents are there: {config.output}/seed-*/*/documents*.jsonl")
        return {}
    count = config.num_documents * len(grounds[0].task.classes)
    runs = [judge(config, seed, *each, count) for seed, each in enumerate(zip(grounds, written, strict=True))]
    tables = report.summarise_tables(runs)
    sections = figures.sections(tables, written[0], grounds[0], count)
    sections.append(accounts.bill(ledger, engines[0].paid(), engines[0].cost()))
    asked = {"model": engines[0].name, "told": accounts.told(engines[0])}
    spread = report.spread(config.seeds, "texts")
    return report.report_tables(run, f"AttrPrompt: {config.task}", tables, caption=spread, sections=sections, **asked)


def write(
    config: Config, grounds: Sequence[Ground], engines: Sequence[Engine]
) -> tuple[list[dict[str, Written]], list[str]]:
    """Returns what every method wrote for each seed, or where the run pauses and what a person can do there."""
    written, pauses = [], []
    for seed, (ground, engine) in enumerate(zip(grounds, engines, strict=True)):
        sizes = sizes_of(config, seed)
        try:
            store = open_store(config, seed, engine)
            written.append(
                write_all(store, ground.task, config.methods, asked_of(config), sizes, until=config.steps.until)
            )
        except PauseError as pause:
            pauses.append(str(pause))
            if config.task != MADE:  # whose seeds have their stages in common
                break
    return written, pauses


def open_store(config: Config, seed: int, engine: Engine) -> FileStore:
    """Returns where the stages and documents of a seed are kept; a real task has its stages in common."""
    folder = config.output / f"seed-{seed}"
    return FileStore(
        folder if config.task == MADE else config.output,
        folder,
        writing(engine),
        {"model": engine.name},
        sampling_of(config, seed),
        retries=config.steps.retry_failed,
        show=config.task != MADE,
    )


def judge(config: Config, seed: int, ground: Ground, written: dict[str, Written], count: int) -> dict:
    """Returns the figures of classifiers, and of how varied the texts are."""
    texts = [text for each in written.values() for text in texts_of(each.rows).texts]
    learner = learning.Learner(config.training, ground, config.output / f"seed-{seed}" / "classifiers", seed, texts)
    names = [name for pair in ground.task.classes.items() for name in pair]
    tables = compare(written, ground.real, learner.learn, names, count)
    if config.training.classifier == "fine-tuned":
        learner.export(texts_of(written[ATTRPROMPT].rows), config.output / f"seed-{seed}" / "classifier")
    return tables | {figures.DIVERSITY: figures.diversity(written, ground.real, learner.embed, count)}


def look(config: Config, ground: Ground, engine: Engine) -> None:
    """Prints the next prompts of the first seed; nothing is written but answers that were asked for."""
    store = DryStore(open_store(config, 0, engine), preview.Looking(), {})
    try:
        write_all(store, ground.task, config.methods, asked_of(config), sizes_of(config, 0))
    except preview.Previewed as previewed:
        preview.show(previewed, config.steps.preview, writing(engine).ask if config.steps.preview_answers else None)
    except PauseError as pause:
        print(pause)
    else:
        print("Everything is written already; documents.jsonl in each method's folder has it.")


def announce(config: Config, grounds: Sequence[Ground], engine: Engine) -> None:
    """Prints what the run will ask for, if a real model is asked."""
    if config.task != MADE and config.llm.replay is None:
        estimate.announce(engine, expect(config, grounds, [engine] * len(grounds)))


def expect(config: Config, grounds: Sequence[Ground], engines: Sequence[Engine]) -> dict[str, Usage]:
    """Returns what the run will ask for by stage and method, for all seeds."""
    total: dict[str, Usage] = {}
    stages: dict[str, Stage] = {}
    for seed, (ground, engine) in enumerate(zip(grounds, engines, strict=True)):
        usage, paused = estimate.estimate(
            open_store(config, seed, engine),
            ground.task,
            config.methods,
            asked_of(config),
            sizes_of(config, seed),
            until=config.steps.until,
            made={} if config.task == MADE else stages,
        )
        total |= {name: total.get(name, Usage()).plus(each) for name, each in usage.items()}
        if paused and config.task != MADE:
            break
    return total


def asked_of(config: Config) -> Asked:
    """Returns how much the stages ask for."""
    return Asked(config.num_similar, config.num_values, config.votes)


def sizes_of(config: Config, seed: int) -> Sizes:
    """Returns how many documents there are to be."""
    return Sizes(config.num_documents, config.num_simple, seed)


def sampling_of(config: Config, seed: int) -> dict:
    """Returns how documents are sampled."""
    return {"temperature": config.temperature, "max_tokens": config.max_tokens, "seed": SEEDS_APART * seed}


if __name__ == "__main__":
    edge.explain_errors()
    machines.run_alone(main, PRESETS, __doc__)
