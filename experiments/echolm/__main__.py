"""EchoLM, or IC-Cache (arXiv 2501.12689): answers of a large model as examples for a small one, and who answers what.

    ./tools/run experiments.echolm          # a made world of requests, models and queues; a few minutes on a CPU
    ./tools/run experiments.echolm load     # five times the load: bounded waiting, and a router that is blind to load
    ./tools/run experiments.echolm table    # every method, five seeds
    ./tools/run experiments.echolm table --trace FILE      # arrivals and lengths of a real service
    ./tools/run experiments.echolm serve    # the same world through a real server, beside the simulation
    ./tools/run experiments.echolm replay   # examples that are answered anew, by gain or at random; five seeds
    ./tools/run experiments.echolm duplicates --data FILE --encoder DIR      # real pairs of questions: topic and reuse
    ./tools/run experiments.echolm outcomes --data FILE --encoder DIR        # who to ask, of two real models
    ./tools/run experiments.echolm intents --data FOLDER --encoder DIR --model DIR   # a real small model with examples
    ./tools/run experiments.echolm sums --data FILE --encoder DIR --model DIR

Requests arrive at two models behind queues. A method keeps answers of the large model as examples; for each request it
finds similar ones, has a small network guess which of them help, shows those above a threshold that is learnt to the
small model, and a router, an ensemble that learns from ratings and comparisons, sends the request to the small model
with these examples or to the large one, by expected quality, cost and load. Feedback is partial and noisy. What models
can do, which examples help and how often judges err is put in (``experiments/echolm/world.py``); what methods make of
it is not. Methods meet the same requests and the same luck.

Claims of the paper: 1.4 to 5.9 times the throughput and 28 to 71 % less latency at the quality of the large model;
random examples hurt (37.4, 24.8 and 54.5 without, with random and with chosen ones on NL2Bash); reusing the nearest
answer as it is loses (a win rate of 18 instead of 50 %). experiments/RESULTS.md has what came out here.

Departures: there is no public code. The proxy model, the combination, the form of the router and all constants are
ours; exploration is Thompson sampling from an ensemble. Second answers and trials of single examples are paid for, but
take no time of the servers; replays do neither, whatever the hour: those by gain and at random have one budget.
"""

import dataclasses
import pathlib
from typing import Literal

import numpy as np

from experiments.common import machines, origin, report, task
from experiments.common.fields import Count, CountOrNone, Positive, check_names, flat, flattened
from experiments.common.llm.server import LanguageModel
from experiments.common.task import EstimatesFn
from experiments.echolm import figures, grounds, held_out, real, study, through_http
from experiments.echolm.learner import Dials
from experiments.echolm.methods import (
    CLASSIFIER,
    ECHOLM,
    LARGE_ONLY,
    LOAD_BLIND,
    METHODS,
    MIXES,
    NEAREST_EXAMPLES,
    NEAREST_GAIN,
    NEAREST_RANDOM,
    ORACLE,
    RANDOM_EXAMPLES,
    REUSE,
    SMALL_CHOSEN,
    SMALL_NEAREST,
    SMALL_ONLY,
    SMALL_RANDOM,
)
from experiments.echolm.settings import Policies
from experiments.echolm.simulate import BATCH
from jaxalign.io import edge
from jaxalign.io.report import Facts
from jaxalign.io.run import run_folder

SERVED, LOAD = "Served requests", "Load of the large model"
VERSIONS = "Versions of EchoLM's policy, with the store of the last"
DRAWN = (ECHOLM, LOAD_BLIND, SMALL_ONLY, SMALL_CHOSEN, LARGE_ONLY, REUSE, ORACLE)
"""Methods that curves show: more could not be told apart."""


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: Literal["made", "serve", "duplicates", "outcomes", "intents", "sums"] = "made"  # a made world, or real data
    num_requests: tuple[Count, CountOrNone] = (
        600,
        10_000,
    )  # earlier ones, the first examples; and those that are served
    load: Positive = 1.0  # times 5.5 requests a second, or times the trace's own rate
    trace: str = ""  # arrivals and lengths, a parquet file as of Azure's trace of 2023; none: they are drawn
    policies: Policies = Policies()  # what the policies weigh
    methods: tuple[str, ...] = ()  # rows of the table, experiments/echolm/methods.py has all; none: all
    data: str = ""  # real data: pairs of questions, outcomes of two models, a folder of intents, questions with answers
    encoder: str = ""  # real data: a sentence encoder, a Hugging Face directory
    text_lengths: tuple[Count, ...] = (16, 32, 64, 128, 256)  # tokens of the rows it reads; longer texts are cut
    questions: Count = 5000  # real data: that look for their nearest, or that the small model is asked
    llm: LanguageModel = LanguageModel()  # intents, sums: the small model
    seeds: Count = 1  # made: repetitions of everything, of which figures are means
    output: pathlib.Path = pathlib.Path("runs/echolm")  # the folder of the run; the same command continues in it


DEFAULT = Config(
    methods=(
        *(ECHOLM, NEAREST_EXAMPLES, RANDOM_EXAMPLES, SMALL_ONLY, SMALL_RANDOM, SMALL_CHOSEN, LARGE_ONLY),
        *(MIXES[1], REUSE, CLASSIFIER, ORACLE),
    )
)
PRESETS = {
    "default": DEFAULT,
    "load": dataclasses.replace(
        DEFAULT,
        load=5.0,
        policies=Policies(cost_weight=0.02),  # quality first: it is the load that sends requests to the small model
        methods=(ECHOLM, LOAD_BLIND, LARGE_ONLY, SMALL_ONLY),
        output=pathlib.Path("runs/echolm-load"),
    ),
    "replay": dataclasses.replace(
        DEFAULT,
        methods=(SMALL_NEAREST, NEAREST_GAIN, NEAREST_RANDOM),
        policies=Policies(replays=8),
        seeds=5,
        output=pathlib.Path("runs/echolm-replay"),
    ),
    "serve": dataclasses.replace(
        DEFAULT, task="serve", num_requests=(600, 4000), methods=(ECHOLM,), output=pathlib.Path("runs/echolm-serve")
    ),
    **{
        task: dataclasses.replace(
            DEFAULT, task=task, methods=(), questions=questions, output=pathlib.Path(f"runs/echolm-{task}")
        )
        for task, questions in (("duplicates", 5000), ("outcomes", 1), ("intents", 200), ("sums", 32))
    },
    "table": dataclasses.replace(DEFAULT, methods=(), seeds=5, output=pathlib.Path("runs/echolm-table")),
}


def main(config: Config) -> dict[str, float]:
    """Serves the traffic by every method and returns the figures; what was served is not served again."""
    run = origin.begin(__package__, PRESETS, config)
    check_names("methods", config.methods, METHODS)
    run_folder.open_run(
        config.output,
        flattened(config),
        experiment="echolm",
        may_differ=("output", "seeds", "methods"),
        files={"trace": (), "data": ("*.parquet",)},
        models=("encoder", *config.llm.files),
    )
    if config.task == "serve":
        return serve_over_http(config, run)
    if config.task != "made":
        found = real.run(config)
        caption = report.spread(1, found.over)
        told = {"caption": caption, "sections": found.sections, "told": found.told}
        return report.report_tables(
            run, f"EchoLM: {config.task}", found.tables, model=config.llm.model or config.encoder, **told
        )
    estimates = task.estimates if config.seeds == 1 else task.points
    seeds = [serve(config, seed, estimates) for seed in range(config.seeds)]
    tables = report.summarise_tables([tables for *_, tables in seeds])
    ground, served, _ = seeds[0]
    drawn = {name: served[name] for name in DRAWN if name in served}
    sections = figures.curves(drawn or served, ground.traffic.arrivals) + [describe(ground)]
    caption = report.spread(config.seeds, "requests")
    return report.report_tables(
        run, "EchoLM: a made world", tables, caption=caption, sections=sections, model="two simulated models"
    )


def serve_over_http(config: Config, run) -> dict[str, float]:
    """Serves the traffic through a server and by the simulation, and returns figures of both."""
    estimates = task.estimates if config.seeds == 1 else task.points
    dials, tables = Dials(**flat(config.policies)), []
    for seed in range(config.seeds):
        directory = config.output / f"seed-{seed}"
        ground = grounds.make(seed, config.num_requests, config.load, config.trace)
        simulated = study.serve((ECHOLM,), ground, dials, seed, directory / "served")[ECHOLM]
        answered = through_http.serve(ground, dials, seed, directory)
        tables.append({SERVED: through_http.table(simulated, answered, estimates)})
    return report.report_tables(
        run,
        "EchoLM: a made world through a server",
        report.summarise_tables(tables),
        caption=report.spread(config.seeds, "requests"),
        model="two simulated models behind HTTP",
    )


def serve(config: Config, seed: int, estimates: EstimatesFn):
    """Returns the ground of a seed, what came of every method on it, and figures by table and method."""
    ground = grounds.make(seed, config.num_requests, config.load, config.trace)
    dials, directory = Dials(**flat(config.policies)), config.output / f"seed-{seed}"
    served = study.serve(config.methods or tuple(METHODS), ground, dials, seed, directory / "served")
    loads = {name: figures.load_row(one, dials.load_threshold) for name, one in served.items()}
    tables = {SERVED: figures.rows(served, estimates), LOAD: loads}
    if ECHOLM in served:
        tables[VERSIONS] = held_out.compare(directory, ground.world, dials, seed, estimates)
    return ground, served, tables


def describe(ground: grounds.Ground) -> Facts:
    """Returns what the traffic of the first seed was."""
    traffic = ground.traffic
    seconds = traffic.arrivals[-1] - traffic.arrivals[0]
    return Facts(
        "The traffic of seed 0",
        {
            "requests": f"{len(traffic.questions):,} in {seconds:,.0f} s",
            "requests left over, which fill no batch": f"{len(traffic.questions) % BATCH}",
            "tokens of a prompt, mean": f"{np.mean(traffic.prompt_tokens):,.0f}",
            "tokens of an answer, mean": f"{np.mean(traffic.answer_tokens):,.0f}",
            "questions asked before": f"{1 - len(np.unique(traffic.questions)) / len(traffic.questions):.0%}",
        },
    )


if __name__ == "__main__":
    edge.explain_errors()
    machines.run_alone(main, PRESETS, __doc__)
