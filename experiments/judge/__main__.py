"""SC2 (arXiv 2311.08390): which of two texts is better, by structured comparison that is chosen for its consistency.

    ./tools/run experiments.judge                 # a world with a known truth, a simulated model; under a minute
    ./tools/run experiments.judge sweeps          # other selectors, ablations, numbers of aspects and of candidates
    ./tools/run experiments.judge llmbar --data FOLDER --model NAME --endpoint URL   # LLMBar's pairs, a real model
    ./tools/run experiments.judge files --data FILE --model NAME --endpoint URL      # any pairs, JSON lines or parquet

What a real model says is kept in ``answers.jsonl`` in the output folder, and neither paid nor computed twice: after a
kill, Ctrl-C or the end of ``--budget-tokens N`` the same command goes on, and with more pairs or methods it asks for
what is new. ``--replay FILE`` takes such a file instead of a model or a server. Of a server that moved, ``--known-as
URL`` says where its answers were asked. ``--timeout``, ``--concurrency``, ``--max-tokens`` and ``--thinking-tokens``
fit the client to the server; its API key comes from the environment (``OPENAI_API_KEY``). A model in this process
(``--model DIR``) is asked as a server asks it: each prompt is a turn of the user where it has a chat template.

Of a file ``--columns`` names prompt, responses and label, and ``--labels 0=first 1=second 2=tie`` says what the label's
values mean; words such as A, model_b and tie are known. ``--skip-bad-rows`` leaves out, and names, what is not
understood. A pair that is too long for the model is unread, counted and named.

Claims: comparing by aspects, and choosing the consistent ones among sampled comparisons, beats asking outright, chains
of thought, and as many of these as cost the same tokens. The simulated model reads real prompts and errs at known
rates (``experiments/common/judging/simulated_judge.py``): that it reads one subject with more care than all of them is
put in, so its table shows that the methods do what they should, not that models are so. experiments/RESULTS.md has what
came out.

Departures from the paper: prompts and counts are ours, as its own were not at hand, and none of its figures is matched.
Every judge is asked in both orders. A temperature, fitted on validation pairs, calibrates each. "Longer wins" stands
beside every figure.
"""

import dataclasses
import functools
import pathlib
import sys
from typing import Annotated, Literal

from experiments.common import machines, origin, report
from experiments.common.fields import Count, CountOrNone, Range, check_names
from experiments.common.judging import methods
from experiments.common.judging.methods import CHAIN, LONGER, METHODS, STRUCTURED, TASKS
from experiments.common.llm import accounts, counting, forecast
from experiments.common.llm.engine import Engine
from experiments.common.llm.server import LanguageModel, settings
from experiments.judge import figures, sections, worlds
from experiments.judge.results import MATCHED, JudgeResult, run_methods
from jaxalign.io import edge
from jaxalign.io.run import run_folder

TOO_LONG = "What did not fit is unread: it is counted among the unparsed texts, judgements and scores, and is no vote."
Method = Literal[*METHODS, MATCHED]


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: Literal["made", "llmbar", "files"] = "made"  # pairs made on the spot, or from files
    data: pathlib.Path | None = None  # llmbar: the folder with pairs.parquet; files: a file of pairs
    # files: the names of the columns; a label of "" says that the first response of each row is the better one
    columns: tuple[str, str, str, str] = ("prompt", "response_a", "response_b", "label")
    labels: tuple[str, ...] = ()  # files: VALUE=first, VALUE=second, VALUE=tie; else 1, 2, or words such as A, B, tie
    skip_bad_rows: bool = False  # files: leave out rows that are not understood, and count them
    question: Literal["rating", "summarisation", "retrieval"] = "rating"  # what the judge is asked about the texts
    llm: LanguageModel = LanguageModel()  # which model is asked, and how
    methods: tuple[Method, ...] = (LONGER, "direct", CHAIN, "self-consistency", STRUCTURED, MATCHED)  # a row each
    num_pairs: tuple[Count, Count] = (150, 300)  # to calibrate on, and to test on; others take what there is
    num_aspects: CountOrNone = 4  # that texts are compared by
    num_candidates: Count = 4  # contrasts of each aspect, of which one is chosen
    aspect_counts: tuple[CountOrNone, ...] = ()  # a structured judge with each, besides
    candidate_counts: tuple[Count, ...] = ()  # likewise, a judge with each
    temperature: Annotated[float, Range(0)] = 0.7  # of contrasts
    max_tokens: Count = 256  # of a contrast; a chain of thought has twice as many
    seeds: Count = 3  # repetitions of everything, of which figures are means
    output: pathlib.Path = pathlib.Path("runs/judge")  # the folder of the run; the same command continues in it


DEFAULT = Config()
PRESETS = {
    "default": DEFAULT,
    "sweeps": dataclasses.replace(
        DEFAULT,
        methods=tuple(METHODS),
        aspect_counts=(1, 2, 6),
        candidate_counts=(2, 8),
        output=pathlib.Path("runs/judge-sweeps"),
    ),
    "llmbar": dataclasses.replace(
        DEFAULT, task="llmbar", num_pairs=(100, 800), seeds=1, output=pathlib.Path("runs/judge-llmbar")
    ),
    "files": dataclasses.replace(
        DEFAULT, task="files", num_pairs=(100, 400), seeds=1, output=pathlib.Path("runs/judge-files")
    ),
}


def main(config: Config) -> dict[str, float]:
    """Asks every judge about every pair and returns the figures; what a server said is kept and not asked again."""
    run = origin.begin(__package__, PRESETS, config)
    check_names("methods", config.methods, [*METHODS, MATCHED])
    worlds.read_targets(config.labels)
    run_folder.open_run(
        config.output,
        settings(config),
        experiment="judge",
        may_differ=("output", "seeds", "num_pairs", "methods", "aspect_counts", "candidate_counts"),
        files={"data": ("pairs.parquet",)},
        models=config.llm.files,
    )
    made = config.task == "made"
    with accounts.limited(config.llm, simulated=made) as ledger:
        engine = methods.open_judge(config.llm, config.output, ledger, simulated=made)
        run_once = functools.partial(ask, config, 0)
        forecast.announce(config.llm, engine, run_once, times=config.seeds, simulated=made)
        runs = [run_seed(config, seed, engine) for seed in range(config.seeds)]
    tables = report.summarise_tables([tables for tables, _ in runs])
    spread = report.spread(config.seeds, "pairs")
    shown = [*runs[0][1], accounts.bill(ledger, engine.paid(), engine.cost())]
    asked = {"model": engine.name, "told": accounts.told(engine)}
    return report.report_tables(run, f"Judges: {config.task}", tables, caption=spread, sections=shown, **asked)


def run_seed(config: Config, seed: int, engine: Engine):
    """Returns figures by test and by judge, and the sections of a report."""
    results, world = ask(config, seed, engine)
    pairs = world.test
    file = config.output / f"seed-{seed}" / "predictions.jsonl"
    report.write_predictions(file, sections.predictions(results, pairs))
    long = methods.name_left_out(engine.left_out, TASKS[config.question], [*world.validation, *pairs])
    for words, rows in (("are skipped", world.skipped), ("are too long for the model, in some step", long)):
        for name, reason in rows.items():
            print(f"seed {seed}, {name}: {reason}", file=sys.stderr)
        if rows:
            print(f"seed {seed}: {len(rows)} pairs {words}", file=sys.stderr)
    lacking = [
        *counting.table_of_left_out("Rows that were skipped", world.skipped, "They are in no figure."),
        *counting.table_of_left_out("Pairs that are too long for the model", long, TOO_LONG),
    ]
    return figures.tables(results, pairs), [*lacking, *sections.draw(results, pairs)]


def ask(config: Config, seed: int, engine: Engine) -> tuple[dict[str, JudgeResult], worlds.JudgeWorld]:
    """Returns what every judge says of every pair of the test."""
    world = worlds.make_world(config, seed)
    setup = methods.make_setup(
        engine,
        question=config.question,
        num_aspects=config.num_aspects,
        num_candidates=config.num_candidates,
        temperature=config.temperature,
        max_tokens=config.max_tokens,
        seed=seed,
    )
    results = run_methods(
        config.methods,
        setup,
        world.test,
        world.validation,
        aspect_counts=config.aspect_counts,
        candidate_counts=config.candidate_counts,
    )
    return results, world


if __name__ == "__main__":
    edge.explain_errors()
    machines.run_alone(main, PRESETS, __doc__)
