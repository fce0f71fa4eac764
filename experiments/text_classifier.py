"""A classifier of texts from labelled rows, tested once on others; beside it probes, which bound what tuning adds.

    ./tools/run experiments.text_classifier   # made texts of six topics; a minute on a CPU
    ./tools/run experiments.text_classifier files --train FILE --test FILE --label COLUMN --encoder DIR   # real ones

Claims: the recipe of AttrPrompt's classifier (arXiv 2306.15895) with the best weights on a development part. Rows of
the table: a logistic regression on words, one on the encoder's frozen embeddings (a linear probe), and the encoder
fine-tuned, which ``OUTPUT/seed-0/hf`` has for transformers and ``tools.classify``. A text with several labels, or none,
anywhere in the files makes all of them tasks of several labels. Intervals are by bootstrap over the texts of the test.

Departures: no dropout. ``files`` has a higher rate and fewer epochs than the paper, for small encoders such as MiniLM.
"""

import dataclasses
import pathlib
from typing import Literal, NamedTuple

import numpy as np

from experiments.common import machines, origin, report
from experiments.common.classifiers import figures, starts, training
from experiments.common.classifiers.settings import ClassifierTraining
from experiments.common.fields import Count, CountOrNone, flattened
from jaxalign import data
from jaxalign.io import edge
from jaxalign.io.report import Facts
from jaxalign.io.run import run_folder

TOPICS = 6  # of made texts
WORDS = 30  # of each topic, and of all texts


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: Literal["topics", "files"] = "topics"  # texts that are made on the spot, or from files
    train: pathlib.Path | None = None  # files: a .parquet file or JSON lines of texts to learn from
    test: pathlib.Path | None = None  # files: likewise of texts to test on
    text: str = "text"  # the column of the text
    label: str = "label"  # the column of its class, or of a list of classes
    num_train: CountOrNone = 600  # texts to learn from, drawn by the seed where there are more; 0: all
    tuning: ClassifierTraining = ClassifierTraining(classifier_learning_rate=2e-3, text_lengths=(64,))
    seeds: Count = 1  # repetitions of everything, of which figures are means
    output: pathlib.Path = pathlib.Path("runs/text_classifier")  # the folder of the run; the same command continues it


DEFAULT = Config()
PRESETS = {
    "default": DEFAULT,
    "files": dataclasses.replace(
        DEFAULT,
        task="files",
        num_train=0,
        tuning=ClassifierTraining(epochs=3, classifier_learning_rate=3e-4, text_lengths=(8, 12, 16, 24, 32, 64, 128)),
        output=pathlib.Path("runs/text_classifier-files"),
    ),
}


class Rows(NamedTuple):
    """Labelled texts."""

    texts: list[str]
    labels: list[tuple[str, ...]]


def main(config: Config) -> dict[str, float]:
    """Trains and tests; the same command again continues a run, or reports it once more."""
    run = origin.begin(__spec__.name, PRESETS, config)
    if config.task == "files" and None in (config.train, config.test):
        raise ValueError("expected a file to learn from and one to test on; pass --train FILE and --test FILE")
    if config.task == "topics" and not config.num_train:
        raise ValueError("--num-train: made texts have no end; expected at least 1, got 0")
    run_folder.open_run(
        config.output,
        flattened(config),
        experiment="text_classifier",
        may_differ=("output", "seeds"),
        files={"train": (), "test": ()},
        models=("encoder",),
    )
    runs = [run_seed(config, seed, config.output / f"seed-{seed}") for seed in range(config.seeds)]
    tables = report.summarise_tables([{"test": rows} for rows, _ in runs])
    sections = [Facts(f"Training, seed 0: {name}", told) for name, told in runs[0][1].items()]
    caption = report.spread(config.seeds, "texts")
    said = {"caption": caption, "sections": sections}
    return report.report_tables(run, "A classifier of texts", tables, **said, model=_network(config.tuning))


def run_seed(config: Config, seed: int, directory: pathlib.Path):
    """Figures on the test by method, and what each training has to say."""
    train, test = (
        (made_rows(config.num_train, 2 * seed), made_rows(1000, 2 * seed + 1))
        if config.task == "topics"
        else (draw(read(config.train, config), config.num_train, seed), read(config.test, config))
    )
    classes = sorted({label for labels in (*train.labels, *test.labels) for label in labels})
    several = any(len(labels) != 1 for labels in (*train.labels, *test.labels))
    targets, test_targets = (rows.labels if several else [label for (label,) in rows.labels] for rows in (train, test))
    rows, told = {}, {}
    for name, tuning in methods(config.tuning).items():
        start = starts.make_start(tuning, train.texts, seed)
        place = directory / name.replace(" ", "-")
        trained = training.train_classifier(train.texts, targets, classes, place, tuning, seed=seed, start=start)
        rows[name], told[name] = figures.evaluate(trained, test.texts, test_targets), trained.told
        if trained.network is not None:
            training.export(trained, directory / "hf")
    return rows, told


def _network(tuning: ClassifierTraining) -> str:
    width, layers = tuning.encoder_size
    return tuning.encoder or f"an encoder from scratch: width {width}, {layers} layers"


def methods(tuning: ClassifierTraining) -> dict[str, ClassifierTraining]:
    """The rows of the table: a probe of words, one of the encoder if it is pretrained, and what is asked for."""
    probe = dataclasses.replace(tuning, classifier="probe")
    rows = {"probe of words": dataclasses.replace(probe, encoder="")}
    rows |= {"probe of the encoder": probe} if tuning.encoder else {}
    return rows | ({"fine-tuned": tuning} if tuning.classifier == "fine-tuned" else {})


def read(file: pathlib.Path, config: Config) -> Rows:
    """The labelled texts of a file."""
    records = data.read_file(file, data.TextColumns(config.text, label=config.label)).records
    return Rows([record.text for record in records], [record.labels for record in records])


def draw(rows: Rows, number: int, seed: int) -> Rows:
    """So many of the rows, in their order; 0: all."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(rows.texts))[: number or None])
    return Rows([rows.texts[row] for row in chosen], [rows.labels[row] for row in chosen])


def made_rows(number: int, seed: int) -> Rows:
    """Texts of 20 to 60 words, one in six of which is of the text's topic and one in twelve of any topic."""
    rng = np.random.default_rng(seed)
    topics = rng.integers(TOPICS, size=number)
    texts = [" ".join(_word(rng, topic) for _ in range(rng.integers(20, 61))) for topic in topics]
    return Rows(texts, [(f"topic {topic}",) for topic in topics])


def _word(rng: np.random.Generator, topic: int) -> str:
    kind = rng.integers(12)
    of = f"t{topic}x" if kind < 2 else f"t{rng.integers(TOPICS)}x" if kind == 2 else "w"
    return f"{of}{rng.integers(WORDS)}"


if __name__ == "__main__":
    edge.explain_errors()
    machines.run(main, PRESETS, __doc__)
