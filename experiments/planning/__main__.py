"""Planning inside one turn (arXiv 2410.06203): students that learn to plan a long text before they write it.

    ./tools/run experiments.planning          # articles of a made grammar with a hidden plan; a few minutes on a CPU
    ./tools/run experiments.planning table    # every mixture, plans of others and outlines alone; five seeds
    ./tools/run experiments.planning files --data FILE --student DIR     # your articles; --teacher DIR|URL, --encoder
    ./tools/run experiments.planning freshwiki --data FOLDER --student DIR --encoder DIR   # real articles, short ones
    ./tools/run experiments.planning scinews --data FILE --test FILE --student DIR --teacher URL --teacher-name NAME
    ./tools/run experiments.planning kilt-wiki --data FILE --student DIR --teacher URL --teacher-name NAME

A mixture has tasks: T1 asks for the article, T4 for a plan and then the article in the same answer, T3 for the article
behind a plan that is given, T2 for the plan alone. Each mixture learns from as many target tokens; then it is asked for
the article at once, for a plan first, or in several turns. What is cut off inside a plan is an empty article, and no
text of a plan is ever scored. Steps of plans are those of the articles' own structure (lead, headings, cited
sentences), or a teacher writes candidates of each, of which the best by length, form and coherence is kept:
OUTPUT/seed-0 has them in records.jsonl. ``--model`` (``--endpoint``) names a judge that compares articles side by side;
``--requests FILE`` has prompts with lengths (LongBench-Write's), of which a table says how near students come.

Claims (ROUGE-Lsum of the paper): direct 44.14 on SciNews and 41.28 on Wikipedia; T1 + T4 asked directly 46.61 and
45.67, several turns 43.73; T4 alone, asked directly, 34.28 on Wikipedia. experiments/RESULTS.md has what came out here.

Departures: the paper's prompts, ratios and scores of candidates were not at hand, so these are ours, and no table is
matched; T2 is ours. Weights of a mixture are shares of the examples. Texts are the most likely ones, or drawn at
``--temperature``, each in files of their own, so that a trained run can be asked in another way.
"""

import dataclasses
import pathlib
import sys
from typing import Literal

import jax

from experiments.common import machines, origin, report, task
from experiments.common.encoding import Encoder
from experiments.common.fields import Count, CountOrNone, check_names, flattened
from experiments.common.llm import accounts
from experiments.common.llm.server import LanguageModel
from experiments.planning import models, sources, study, teaching, worlds
from experiments.planning.methods import BASELINE, METHODS
from experiments.planning.models import NOBODY, Setting
from experiments.planning.settings import Files, Part, Student, Teacher
from jaxalign import metrics, planning
from jaxalign.io import edge
from jaxalign.io.llm.service import Ledger
from jaxalign.io.report import Facts
from jaxalign.io.run import run_folder

MAIN = (BASELINE, "T4: direct", "T4: plan first", "T1 + T4: direct", "T1 + T4: plan first", "T2 + T3: several turns")
TEXT_LENGTHS = (8, 16, 32, 64, 128, 256)
"""Tokens of the rows in which the encoder reads sentences; longer ones are cut."""


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: Literal["made", "files"] = "made"  # articles of a made grammar, or from files
    num_articles: tuple[CountOrNone, CountOrNone] = (2800, 256)  # to learn from, and to test on; files: 0 takes all
    files: Files = Files()  # files: which are read
    parts: tuple[Part, ...] = planning.PARTS  # files: the steps of a plan, in order
    taught_by: Teacher = Teacher()  # files: who writes them
    student: Student = Student()  # the model that learns
    methods: tuple[str, ...] = MAIN  # rows of the tables, experiments/planning/methods.py has all; none: all
    encoder: str = ""  # files: a sentence encoder, of headings and sentences; none: figures that need it are left out
    llm: LanguageModel = LanguageModel()  # files: the judge of articles side by side; none: length alone judges
    judged: CountOrNone = 0  # articles that are compared side by side, the first ones of the test; 0: all
    seeds: Count = 1  # repetitions of everything, of which figures are means
    output: pathlib.Path = pathlib.Path("runs/planning")  # the folder of the run; the same command continues in it


DEFAULT = Config()
FILES = dataclasses.replace(
    DEFAULT,
    task="files",
    num_articles=(0, 0),
    student=Student(size=(256, 6), vocab_size=8192, batch=(1, 0), learning_rate=1e-4),
    methods=(BASELINE, "T1 + T4: direct", "T1 + T4: plan first"),
    output=pathlib.Path("runs/planning-files"),
)
PAPER = dataclasses.replace(
    FILES,
    student=Student(
        prompt_tokens=4096,
        plan_tokens=1024,
        article_tokens=4096,
        target_tokens=30_000_000,
        batch=(16, 0),
        learning_rate=1e-5,
    ),
    methods=(BASELINE, "T1 + T4: direct", "T1 + T4: plan first", "T4: direct", "T2 + T3: several turns"),
)
PRESETS = {
    "default": DEFAULT,
    "table": dataclasses.replace(DEFAULT, methods=(), seeds=5, output=pathlib.Path("runs/planning-table")),
    "files": FILES,
    "freshwiki": dataclasses.replace(
        FILES,
        files=Files(layout="freshwiki", max_words=300, facts_per_section=2, lead_sentences=2),
        student=Student(
            prompt_tokens=512,
            plan_tokens=384,
            article_tokens=640,
            target_tokens=40_000,
            batch=(1, 1024),
            learning_rate=1e-4,
        ),
        output=pathlib.Path("runs/planning-freshwiki"),
    ),
    "scinews": dataclasses.replace(
        PAPER,
        files=Files(x_column="Paper_Body", article_column="News_Body"),
        output=pathlib.Path("runs/planning-scinews"),
    ),
    "kilt-wiki": dataclasses.replace(
        PAPER, files=Files(layout="kilt", max_words=3000), output=pathlib.Path("runs/planning-kilt-wiki")
    ),
}


def main(config: Config) -> dict[str, float]:
    """Runs all stages and returns the figures; the same command again continues a run, or reports it once more."""
    run = origin.begin(__package__, PRESETS, config)
    check_names("methods", config.methods, METHODS)
    run_folder.open_run(
        config.output,
        flattened(config),
        experiment="planning",
        may_differ=("output", "seeds", "methods", "model", "endpoint", "judged", "temperature"),
        files={"data": ("*.parquet",), "test": ("*.parquet",), "requests": ()},
        models=(*config.llm.files, "student", "teacher", "encoder"),
    )
    made = config.task == "made"
    with accounts.limited(config.llm, simulated=made) as ledger:
        setting = Setting(None, None, NOBODY) if made else read(config, ledger)
        runs = [run_seed(config, setting, seed) for seed in range(config.seeds)]
    tables = report.summarise_tables([tables for tables, _ in runs])
    told = {"ROUGE": metrics.rouge_settings()} if not made else {}
    said = {"caption": report.spread(config.seeds, "articles"), "told": told | setting.models.told()}
    shown = [*runs[0][1], *setting.models.bills()]
    width, layers = config.student.size
    network = config.student.student or f"a decoder from scratch: width {width}, {layers} layers"
    return report.report_tables(run, f"Planning: {config.task}", tables, **said, sections=shown, model=network)


def read(config: Config, ledger: Ledger) -> Setting:
    """Reads the files and the encoder, and opens whoever teaches and judges."""
    encoder = Encoder(config.encoder, TEXT_LENGTHS) if config.encoder else None
    return Setting(sources.read(config.files), encoder, models.open_models(config, ledger))


def run_seed(config: Config, setting: Setting, seed: int):
    """Returns figures by table and method, and what the report shows beside them."""
    start_key, learn_key = jax.random.split(jax.random.key(seed))
    if setting.source is None:
        ground = worlds.make(config, seed, start_key)
    else:
        ground = worlds.read(config, setting.source, seed, setting.encoder, start_key)
    ground, taught = teaching.teach(config, ground, setting, seed)
    ground = worlds.with_steps(ground, ground.parts)
    directory = config.output / f"seed-{seed}"
    sources.write_records(directory / "records.jsonl", ground.train)
    found = study.run(config, ground, directory, seed, learn_key)
    judges = models.judges(setting.models, ground)
    estimates = task.estimates if config.seeds == 1 else task.points
    tables = study.tables(found, judges, estimates, config.judged)
    warnings = models.warnings(setting.models, ground.train)
    for line in (*ground.notes, *warnings):
        print(f"seed {seed}: {line}", file=sys.stderr)
    if setting.encoder is not None and setting.encoder.truncated:
        warnings.append(f"{setting.encoder.truncated} sentences were cut, to be read by the encoder")
    notes = Facts("What was left out, and what to mind", {"": [*ground.notes, *warnings] or ["nothing"]})
    return tables, [notes, *taught, *study.sections(found)]


if __name__ == "__main__":
    edge.explain_errors()
    machines.run_alone(main, PRESETS, __doc__)
