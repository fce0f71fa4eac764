"""EASE (arXiv 2311.07099): an ensemble of explanations, weighed by how good they are and by what they make of options.

    ./tools/run experiments.ease                 # puzzles with a known truth, a simulated model; under a minute
    ./tools/run experiments.ease scorers         # other scorers, templates, verbalizers and weights
    ./tools/run experiments.ease files --data FILE --kind csqa --model NAME --endpoint URL   # questions of your own

What a real model says is kept in ``answers.jsonl`` in the output folder, and neither paid nor computed twice: after a
kill, Ctrl-C or the end of ``--budget-tokens N`` the same command goes on. ``--replay FILE`` takes such a file instead
of a model or a server. A server's file knows its model by name alone: one folder for each server.

Claims: soft aggregation of probabilities (SPA) beats counting answers (self-consistency), and weights from a scorer
that is bootstrapped from the demonstrations (BLS) help on top; in the paper's seven-task averages for PaLM 2-S 69.2
(self-consistency), 71.4 (without BLS), 71.9 (EASE). The simulated model explains and scores at known rates
(``experiments/common/llm/simulated_answerer.py``): that valid explanations lead to right answers and that examples help
a scorer is put in, so its table shows that the methods do what they should, not that models are so. BUILD.md has what
came out.

Departures from the paper: prompts are ours; FLamE, which trains a classifier, is not there; weights are normalised
over Yes and No, demonstrations shuffled once for each question, and answers given as texts, unless a flag says
otherwise. Servers without probabilities of tokens are sampled, and frequencies stand in.
"""

import dataclasses
import functools
import pathlib
from typing import Literal

from experiments.common import machines, report
from experiments.common.llm import accounts, ensemble_figures, ensemble_methods, ensemble_worlds, forecast
from experiments.common.llm.engine import Engine
from experiments.common.llm.ensemble_methods import BOOTSTRAPPED, SCORERS, Run, Setting
from jaxalign.data import Question
from jaxalign.ensemble import BootstrapConfig
from jaxalign.io import run_folder


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: Literal["made", "files"] = "made"
    data: pathlib.Path | None = None  # files: JSON lines or parquet
    kind: Literal["esnli", "anli", "csqa", "openbookqa", "strategyqa", "nli", "choice", "boolean"] = "choice"  # files
    model: str = ""  # a Hugging Face directory or hub id, or the endpoint's name for its model; made: not needed
    endpoint: str = ""  # an OpenAI-compatible server, for instance http://127.0.0.1:8000/v1
    answers: Literal["text", "letter"] = "text"  # how options are named; letter where one option begins another
    scorers: tuple[str, ...] = (BOOTSTRAPPED, "zero-shot", "lexical overlap")
    num_questions: tuple[int, int] = (48, 300)  # demonstrations, and questions to test on
    max_prompt: int = 3500  # tokens that demonstrations and a question may have
    num_samples: int = 9  # explanations of each question
    temperature: float = 0.7  # that they are drawn at
    shuffle: Literal["once", "each"] = "once"  # demonstrations: for each question, or for each of its samples
    num_shown: int = 8  # other demonstrations before the one that is bootstrapped
    num_bootstrap: int = 8  # explanations of each demonstration
    max_shots: int = 32  # of the scorer, good and bad together
    max_tokens: int = 256  # of an explanation
    seeds: int = 3
    budget_tokens: int | None = None  # stop, and keep what was answered, once a run has paid so many
    replay: pathlib.Path | None = None  # answers.jsonl of an earlier run, whose answers are taken; nobody is asked
    output: pathlib.Path = pathlib.Path("runs/ease")


DEFAULT = Config()
PRESETS = {
    "default": DEFAULT,
    "scorers": dataclasses.replace(DEFAULT, scorers=tuple(SCORERS), output=pathlib.Path("runs/ease-scorers")),
    "files": dataclasses.replace(DEFAULT, task="files", seeds=5, output=pathlib.Path("runs/ease-files")),
}


def main(config: Config) -> dict[str, float]:
    """Answers every question in every way and returns the figures; what a server said is kept and not asked again."""
    run_folder.open_run(
        config.output,
        dataclasses.replace(config, budget_tokens=None, replay=None),
        experiment="ease",
        may_differ=("output", "seeds", "scorers"),
        files={"data": ()},
        models=() if config.endpoint or config.replay else ("model",),
    )
    with accounts.limited(config) as ledger:
        engine = ensemble_worlds.open_answerer(config, ledger)
        forecast.announce(config, engine, functools.partial(ask, config, 0), times=config.seeds)
        runs = [run_seed(config, seed, engine) for seed in range(config.seeds)]
    tables = {"questions": report.summarise([table for table, _ in runs])}
    spread = "95 % bootstrap intervals over questions" if config.seeds == 1 else f"means of {config.seeds} seeds"
    return report.report_tables(
        config.output, f"EASE: {config.task}", tables, caption=spread, sections=[*runs[0][1], accounts.bill(ledger)]
    )


def run_seed(config: Config, seed: int, engine: Engine):
    """Figures by method, and the sections of a report."""
    runs, questions = ask(config, seed, engine)
    ensemble_figures.write_predictions(config.output / f"seed-{seed}" / "predictions.jsonl", runs, questions)
    return ensemble_figures.table(runs, questions), ensemble_figures.sections(runs, questions)


def ask(config: Config, seed: int, engine: Engine) -> tuple[dict[str, Run], list[Question]]:
    """What every method answers to every question."""
    shots, questions = ensemble_worlds.make_world(config, seed, engine)
    sampling = {"temperature": config.temperature, "max_tokens": config.max_tokens}
    bootstrap = BootstrapConfig(
        config.num_shown, config.num_bootstrap, max_shots=config.max_shots, seed=seed, **sampling
    )
    setting = Setting(engine, shots, config.num_samples, shuffle=config.shuffle, bootstrap=bootstrap, **sampling)
    return ensemble_methods.run_methods(setting, questions, config.scorers), questions


if __name__ == "__main__":
    machines.run_alone(main, PRESETS)
