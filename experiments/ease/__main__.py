"""EASE (arXiv 2311.07099): an ensemble of explanations, weighed by how good they are and by what they make of options.

    ./tools/run experiments.ease                 # puzzles with a known truth, a simulated model; under a minute
    ./tools/run experiments.ease scorers         # other scorers, templates, verbalizers and weights
    ./tools/run experiments.ease files --data FILE --kind csqa --model NAME --endpoint URL   # questions of your own

What a real model says is kept in ``answers.jsonl`` in the output folder, and neither paid nor computed twice: after a
kill, Ctrl-C or the end of ``--budget-tokens N`` the same command goes on, and with more questions or scorers it asks
for what is new. ``--replay FILE`` takes such a file instead of a model or a server. Of a server that moved,
``--known-as URL`` says where its answers were asked. ``--timeout``, ``--concurrency``, ``--max-tokens`` and
``--thinking-tokens`` fit the client to the server; its API key comes from the environment (``OPENAI_API_KEY``). A model
in this process (``--model DIR``) is asked as a server asks it: each prompt is a turn of the user where it has a chat
template.

Claims: soft aggregation of probabilities (SPA) beats counting answers (self-consistency), and weights from a scorer
that is bootstrapped from the demonstrations (BLS) help on top; in the paper's seven-task averages for PaLM 2-S 69.2
(self-consistency), 71.4 (without BLS), 71.9 (EASE). The simulated model explains and scores at known rates
(``experiments/ease/simulated_answerer.py``): that valid explanations lead to right answers and that examples help
a scorer is put in, so its table shows that the methods do what they should, not that models are so.
experiments/RESULTS.md has what came out.

Departures from the paper: prompts are ours; FLamE, which trains a classifier, is not there; weights are normalised
over Yes and No, demonstrations shuffled once for each question, and answers given as texts, unless a flag says
otherwise. Servers without probabilities of tokens are sampled, and frequencies stand in.
"""

import dataclasses
import functools
import pathlib
import sys
from typing import Annotated, Literal

from experiments.common import machines, origin, report
from experiments.common.fields import Count, CountOrNone, Range, check_names
from experiments.common.llm import accounts, counting, forecast
from experiments.common.llm.engine import Engine
from experiments.common.llm.server import LanguageModel, settings
from experiments.ease import figures, methods, worlds
from experiments.ease.methods import BOOTSTRAPPED, SCORERS, EnsembleSetup, MethodResult
from jaxalign.data import Question
from jaxalign.ensemble import BootstrapConfig
from jaxalign.io import edge
from jaxalign.io.run import run_folder

TOO_LONG = "What did not fit is unread: it is counted among the unparsed texts and the unread scores, and is no vote."
Scorer = Literal[*SCORERS]


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: Literal["made", "files"] = "made"  # puzzles made on the spot, or questions from files
    data: pathlib.Path | None = None  # files: JSON lines or parquet
    # files: the data set whose columns they have, or the kind of their questions
    kind: Literal["esnli", "anli", "csqa", "openbookqa", "strategyqa", "nli", "choice", "boolean"] = "choice"
    llm: LanguageModel = LanguageModel()  # which model is asked, and how
    answers: Literal["text", "letter"] = "text"  # how options are named; letter where one option begins another
    scorers: tuple[Scorer, ...] = (BOOTSTRAPPED, "zero-shot", "lexical overlap")  # of explanations, a row each
    num_questions: tuple[CountOrNone, Count] = (48, 300)  # demonstrations, and questions to test on
    max_prompt: Count = 3500  # tokens that demonstrations and a question may have
    num_samples: Count = 9  # explanations of each question
    temperature: Annotated[float, Range(0)] = 0.7  # that they are drawn at
    shuffle: Literal["once", "each"] = "once"  # demonstrations: for each question, or for each of its samples
    num_shown: CountOrNone = 8  # other demonstrations before the one that is bootstrapped
    num_bootstrap: Count = 8  # explanations of each demonstration
    max_shots: CountOrNone = 32  # of the scorer, good and bad together
    max_tokens: Count = 256  # of an explanation
    seeds: Count = 3  # repetitions of everything, of which figures are means
    output: pathlib.Path = pathlib.Path("runs/ease")  # the folder of the run; the same command continues in it


DEFAULT = Config()
PRESETS = {
    "default": DEFAULT,
    "scorers": dataclasses.replace(DEFAULT, scorers=tuple(SCORERS), output=pathlib.Path("runs/ease-scorers")),
    "files": dataclasses.replace(DEFAULT, task="files", seeds=5, output=pathlib.Path("runs/ease-files")),
}


def main(config: Config) -> dict[str, float]:
    """Answers every question in every way and returns the figures; what a server said is kept and not asked again."""
    run = origin.begin(__package__, PRESETS, config)
    check(config)
    run_folder.open_run(
        config.output,
        settings(config),
        experiment="ease",
        may_differ=("output", "seeds", "num_questions", "scorers"),
        files={"data": ()},
        models=config.llm.files,
    )
    made = config.task == "made"
    with accounts.limited(config.llm, simulated=made) as ledger:
        engine = worlds.open_answerer(config.llm, config.output, ledger, simulated=made)
        run_once = functools.partial(ask, config, 0)
        forecast.announce(config.llm, engine, run_once, times=config.seeds, simulated=made)
        runs = [run_seed(config, seed, engine) for seed in range(config.seeds)]
    tables = {"questions": report.summarise([table for table, _ in runs])}
    spread = report.spread(config.seeds, "questions")
    sections = [*runs[0][1], accounts.bill(ledger, engine.paid(), engine.cost())]
    asked = {"model": engine.name, "told": accounts.told(engine)}
    return report.report_tables(run, f"EASE: {config.task}", tables, caption=spread, sections=sections, **asked)


def check(config: Config) -> None:
    """Raises ValueError, naming the field, for what no run can be made of."""
    check_names("scorers", config.scorers, SCORERS)
    bootstrap_config(config, 0)


def run_seed(config: Config, seed: int, engine: Engine):
    """Returns figures by method, and the sections of a report."""
    results, questions = ask(config, seed, engine)
    file = config.output / f"seed-{seed}" / "predictions.jsonl"
    report.write_predictions(file, figures.predictions(results, questions))
    long = figures.name_left_out(engine.left_out, questions)
    for name, reason in long.items():
        print(f"seed {seed}, {name}: too long for the model: {reason}", file=sys.stderr)
    lacking = counting.table_of_left_out("Questions that are too long for the model", long, TOO_LONG)
    return figures.table(results, questions), [*lacking, *figures.sections(results, questions)]


def ask(config: Config, seed: int, engine: Engine) -> tuple[dict[str, MethodResult], list[Question]]:
    """Returns what every method answers to every question."""
    shots, questions = worlds.make_world(config, seed, engine)
    sampling = {"temperature": config.temperature, "max_tokens": config.max_tokens}
    bootstrap = bootstrap_config(config, seed)
    setup = EnsembleSetup(engine, shots, config.num_samples, shuffle=config.shuffle, bootstrap=bootstrap, **sampling)
    return methods.run_methods(setup, questions, config.scorers), questions


def bootstrap_config(config: Config, seed: int) -> BootstrapConfig:
    """Says how bad explanations are looked for."""
    sampling = {"temperature": config.temperature, "max_tokens": config.max_tokens}
    return BootstrapConfig(config.num_shown, config.num_bootstrap, max_shots=config.max_shots, seed=seed, **sampling)


if __name__ == "__main__":
    edge.explain_errors()
    machines.run_alone(main, PRESETS, __doc__)
