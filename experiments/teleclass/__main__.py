"""TELEClass (arXiv 2403.00165): hierarchical text classification from class names only, beside its ablations.

    ./tools/run experiments.teleclass          # a made world with a simulated model; a minute or two on a CPU
    ./tools/run experiments.teleclass files --taxonomy FILE --corpus FILE --encoder DIR --model DIR   # your documents
    ./tools/run experiments.teleclass amazon --taxonomy amazon531_classes.parquet --corpus reviews.parquet \
        --terms amazon531_classes.parquet --phrases amazon531_phrases.parquet \
        --documents amazon531_generated.parquet --encoder DIR     # real reviews; --model DIR asks a model too
    ./tools/run experiments.teleclass amazon-531 --taxonomy FOLDER --model NAME --endpoint URL   # the paper's data
    ./tools/run experiments.teleclass dbpedia-298 --taxonomy FOLDER --model NAME --endpoint URL

Classes form a DAG; documents have no label. A model names terms of each class, and picks among the candidates of each
document; terms of the corpus are added, core classes refined, documents written for each path, and a classifier that
matches states of texts with embeddings of class names learns from both. What files have (--terms, --documents) is not
asked for; without a model the most similar candidate is a document's core class. Labels are read for figures, and for
the ceiling that learns from them. OUTPUT/seed-0 has the classifier (model/, for tools.classify_hierarchy), the core
classes of the documents and what test texts are given. Everything that a model answers is kept in answers.jsonl.

Claims (Example-F1 of the paper on Amazon-531 and DBPedia-298): TELEClass .648 and .863; without terms of the model
.552 and .832, without terms of the corpus .614 and .819, without generation .645 and .849, level-wise prompting .662
and .665.
In the made world the words of a class, what the model knows of them and how often it errs are put in
(``experiments/teleclass/world.py``, ``simulated_labeller.py``); which steps help, and what they cost, is what comes
out. experiments/RESULTS.md has it.

Departures: prompts are ours; logits are plain (the paper's ``sigma(exp(.))`` is always 0.5 or more); a document keeps
three core classes at most, as in the authors' code; by default the classifier learns on states of a frozen encoder.
The paper's presets fine-tune BERT-base as the paper does, and compare texts and terms by all-MiniLM-L6-v2, where the
paper has all-mpnet-base-v2, which is of no family here.
"""

import dataclasses
import pathlib
from typing import Literal, NamedTuple

import numpy as np

from experiments.common import machines, origin, report, task
from experiments.common.encoding import Encoder
from experiments.common.fields import Count, CountOrNone, check_names, flattened
from experiments.common.llm import accounts, forecast
from experiments.common.llm.engine import Engine, open_engine
from experiments.common.llm.server import LanguageModel
from experiments.teleclass import controls, exporting, figures, methods, worlds
from experiments.teleclass.methods import FULL, METHODS, NAMES, PATHS
from experiments.teleclass.settings import Files, Training
from experiments.teleclass.simulated_labeller import SimulatedLabeller
from experiments.teleclass.source import Source
from experiments.teleclass.stand_in import write_longest
from experiments.teleclass.study import Dials, Study
from jaxalign.io import edge
from jaxalign.io.llm.service import Ledger
from jaxalign.io.report import Facts
from jaxalign.io.run import run_folder

TEXTS, CORES = "texts to test on", "core classes of the documents to learn from"
AGAINST = "Example-F1 of TELEClass minus that of each"
CONTROLLED = (NAMES, PATHS, FULL)  # the methods that controls show


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: Literal["made", "files"] = "made"  # a world made on the spot, or documents from files
    num_texts: tuple[CountOrNone, CountOrNone] = (1500, 500)  # documents without labels, texts to test on; 0: all
    files: Files = Files()  # files: which are read
    num_terms: Count = 10  # of each class, that the model is asked for
    num_documents: CountOrNone = 5  # that the model writes for each path
    methods: tuple[str, ...] = ()  # rows of the table; none: all that are possible
    controls: tuple[str, ...] = ()  # settings in which it should fail, or no worse: experiments/teleclass/controls.py
    training: Training = Training(learning_rate=0.03)  # of the classifier
    llm: LanguageModel = LanguageModel()  # the model that is asked; made: not needed
    seeds: Count = 5  # repetitions of everything, of which figures are means
    output: pathlib.Path = pathlib.Path("runs/teleclass")  # the folder of the run; the same command continues it


DEFAULT = Config()
FILES = dataclasses.replace(
    DEFAULT,
    task="files",
    num_texts=(0, 0),
    training=Training(steps=150),
    seeds=1,
    output=pathlib.Path("runs/teleclass-files"),
)
PAPER = dataclasses.replace(
    FILES,
    training=Training(
        encoder="sentence-transformers/all-MiniLM-L6-v2",
        classifier="fine-tuned",
        network="google-bert/bert-base-uncased",
        pooling="first",
        text_lengths=(32, 64, 128, 256, 512),
    ),
)
PRESETS = {
    "default": DEFAULT,
    "files": FILES,
    "amazon": dataclasses.replace(
        FILES,
        files=Files(
            text=("title", "text"),
            label=("cat1", "cat2", "cat3"),
            group="title",
            terms_column="llm_terms",
            kind="product review",
        ),
        controls=controls.CONTROLS,
        seeds=5,
        output=pathlib.Path("runs/teleclass-amazon"),
    ),
    "amazon-531": dataclasses.replace(
        PAPER, files=Files(kind="product review"), output=pathlib.Path("runs/teleclass-amazon-531")
    ),
    "dbpedia-298": dataclasses.replace(
        PAPER, files=Files(kind="Wikipedia article"), output=pathlib.Path("runs/teleclass-dbpedia-298")
    ),
}


class Setting(NamedTuple):
    """What all seeds share."""

    source: Source | None  # None: each seed makes its own
    encoder: Encoder | None


def main(config: Config) -> dict[str, float]:
    """Runs every method on every seed and returns the figures; what was asked is not asked again."""
    run = origin.begin(__package__, PRESETS, config)
    check_names("methods", config.methods, METHODS)
    check_names("controls", config.controls, controls.CONTROLS)
    run_folder.open_run(
        config.output,
        flattened(config),
        experiment="teleclass",
        may_differ=("output", "seeds", "methods", "controls"),
        files=dict.fromkeys(("taxonomy", "corpus", "test", "terms", "phrases", "documents"), ("**/*.txt", "**/*.json")),
        models=(*config.llm.files, "encoder", "network"),
    )
    made = config.task == "made"
    if made and 0 in config.num_texts:
        raise ValueError(f"--num-texts: made texts have no end; expected at least 1 of each, got {config.num_texts}")
    setting = Setting(None, None) if made else read(config)
    with accounts.limited(config.llm, simulated=made or not config.llm.model) as ledger:
        engine = open_engine(config.llm, config.output, ledger) if config.llm.model and not made else None
        if engine is not None:
            announce(config, setting, engine)
        runs = [run_seed(config, setting, seed, engine, ledger) for seed in range(config.seeds)]
    tables = report.summarise_tables([tables for tables, _ in runs])
    sections = [*runs[0][1], *told(setting)]
    if made or engine is not None:
        sections.append(accounts.bill(ledger, *((engine.paid(), engine.cost()) if engine else ([],))))
    name = "simulated labeller" if made else engine.name if engine else "none was asked"
    said = {"caption": report.spread(config.seeds, "texts"), "sections": sections, "model": name}
    return report.report_tables(run, f"TELEClass: {config.task}", tables, **said)


def read(config: Config) -> Setting:
    """Reads the files, and the encoder."""
    if not config.training.encoder:
        raise ValueError(
            "expected --encoder DIR, a sentence encoder such as all-MiniLM-L6-v2, to read documents; got none"
        )
    source = worlds.read_source(config.files)
    return Setting(source, Encoder(config.training.encoder, config.training.text_lengths))


def run_seed(config: Config, setting: Setting, seed: int, engine: Engine | None, ledger: Ledger):
    """Returns figures by table and method, and what the report shows beside them."""
    study, truth = open_study(config, setting, seed, engine, ledger)
    names = rows_of(config, study, truth)
    answers = {name: methods.answer(study, name) for name in names}
    tables, estimates = {}, task.estimates if config.seeds == 1 else task.points
    if len(study.test.texts):
        tables[TEXTS] = figures.table(answers, study.test, study.corpus.taxonomy, estimates)
        tables |= {AGAINST: figures.against(tables[TEXTS])} if FULL in names and len(names) > 1 else {}
    if truth is not None and (labelled := figures.labelled_by(study, names)):
        tables[CORES] = figures.pseudo_labels(labelled, truth, study.corpus.taxonomy, estimates)
    for control in config.controls:
        changed, _ = open_study(config, setting, seed, engine, ledger, control)
        found = {name: methods.answer(changed, name) for name in CONTROLLED}
        tables[control] = figures.table(found, changed.test, changed.corpus.taxonomy, estimates)
    sections = figures.sections(answers, study, truth) if seed == 0 else []
    tuned = config.training.classifier == "fine-tuned"
    if tuned and seed == 0:
        sections.append(Facts("Texts that were cut in fine-tuning, seed 0", study.learn.truncated))
    if setting.encoder is not None and FULL in answers:
        network = study.learn if tuned else setting.encoder
        exporting.write_classes(study, answers[FULL], config.output / f"seed-{seed}")
        exporting.export(study, answers[FULL], network, config.output / f"seed-{seed}/model")
    return tables, sections


def rows_of(config: Config, study: Study, truth: np.ndarray | None) -> tuple[str, ...]:
    """Returns the methods to run: without texts to test on the one that is exported, as nobody would see others."""
    if not study.test.texts:
        if config.controls:
            raise ValueError(
                "--controls: expected labelled documents to test on, got none; pass --label, or no control"
            )
        return config.methods or (FULL,)
    return config.methods or methods.possible(model=study.engine is not None, labels=truth is not None)


def open_study(config: Config, setting: Setting, seed: int, engine: Engine | None, ledger: Ledger, control: str = ""):
    """Returns what a seed classifies, and the classes of the documents to learn from if anybody knows them."""
    source, embed = setting
    if source is None:
        made, source = worlds.make_world(seed, config.num_texts)
        embed, engine = made.embed, SimulatedLabeller(made).open(ledger)
        parts = (source.corpus, source.test)
    if control:
        source = controls.change(source, control, seed)
    if setting.source is not None:
        parts = source.split(config.files.test_share, config.num_texts, seed)
    if config.training.classifier == "fine-tuned":
        folder = config.output / f"seed-{seed}" / control.replace(" ", "-")
        make_learn = worlds.fine_tuner(config.training, folder, seed)
    else:
        make_learn = worlds.head_learner(config.training, embed, seed)
    ground = worlds.ground(source, parts, embed, make_learn, config.files.kind)
    dials = Dials(config.num_documents, config.num_terms, seed)
    return Study(ground.corpus, ground.test, engine, ground.learn, dials, ground.given), ground.truth


def announce(config: Config, setting: Setting, engine: Engine) -> None:
    """Prints what the run asks for at most; nothing is asked."""

    def run(stand_in: Engine) -> None:
        for control in ("", *config.controls):
            study, truth = open_study(config, setting, 0, stand_in, stand_in.ledger, control)
            methods.ask(study, CONTROLLED if control else rows_of(config, study, truth))

    forecast.announce(config.llm, engine, run, times=config.seeds, simulated=False, write=write_longest)


def told(setting: Setting) -> list[Facts]:
    """Returns what was cut and left out on the way."""
    if setting.source is None:
        return []
    notes = {f"left out {number}": note for number, note in enumerate(setting.source.notes, 1)}
    return [Facts("What was read", {"texts that were cut": setting.encoder.truncated, **notes})]


if __name__ == "__main__":
    edge.explain_errors()
    machines.run_alone(main, PRESETS, __doc__)
