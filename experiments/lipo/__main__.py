"""LiPO: listwise preference optimisation (Liu et al., arXiv 2402.01878), from demonstrations to an aligned model.

    ./tools/run experiments.lipo                 # a world with a known truth, LiPO-lambda and DPO; minutes on a CPU
    ./tools/run experiments.lipo table           # all seven losses of the paper's Table 1, five seeds
    ./tools/run experiments.lipo sizes           # lists of 2, 4, 8 and 16 responses
    ./tools/run experiments.lipo noise           # labels that change places, with a chance of 0, 0.2 and 0.4
    ./tools/run experiments.lipo full            # labels by a pairwise reward model that is trained on the way
    ./tools/run experiments.lipo alpacaeval --data FOLDER   # real lists: AlpacaEval 2 responses with graded labels
    ./tools/run experiments.lipo alpacaeval --data FOLDER --batch 2 --pack-tokens 8192   # in 2 rows of 8,192 tokens
    ./tools/run experiments.lipo alpacaeval-gpu --data FOLDER   # all losses, a model of 12 layers, one GPU
    ./tools/run experiments.lipo tldr --data FOLDER   # T5-large, batch, rate and beta of the paper; such lists

The same pipeline as the paper's runs in miniature: SFT on imperfect demonstrations, K samples a prompt, labels,
reference log-probabilities, a ranking loss, held-out figures with 95 % intervals. Hypotheses, all of the win rate
against SFT: in ``table`` LiPO-lambda is first and the others follow in the paper's order (its Table 1); in ``sizes``
LiPO-lambda gains with K, and its lead over pair-logistic and DPO grows; in ``noise`` it loses less than they do. Where
the interval of a difference from seed to seed holds 0, nothing is told apart.

These three choose beta and the learning rate for each loss by its win rate on seed 0, among ``--betas`` and
``--rates``, on lists of ``--list-size`` without noise, and their figures are of seeds 1 to 5. A step has as many lists
whatever K is, so larger lists show more responses. Seen so far: in ``table`` each loss wins 61 to 63 % against SFT, and
none is told apart from LiPO-lambda but point-sigmoid, which is ahead: refuted there. ``sizes`` and ``noise`` are not
made. experiments/RESULTS.md has the figures that came out, with hardware and duration.

Departures from the paper, which ``tldr`` shares from the optimizer on: a decoder instead of T5; labels by the true
reward with Bradley-Terry noise (or those of the data) instead of a trained pairwise reward model, save in ``full``;
AdamW instead of Adafactor for models from scratch; beta = 1 where responses have 8 letters (0.05 on real lists); the
last checkpoint instead of the best by proxy win rate.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Annotated, Literal

from experiments.common import alpacaeval_task, machines, origin, pretrained, report, stages
from experiments.common.fields import Count, CountOrNone, Positive, Range, Rate, Share, flattened, replace
from experiments.lipo import choice, differences, pipeline
from jaxalign.io import edge
from jaxalign.io.run import run_folder

Loss = Literal[*pipeline.RANKING_LOSSES, "dpo"]
ListSize = Annotated[int, Range(2)]


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: Literal["sequences", "alpacaeval"] = "sequences"  # a world made on the spot, or lists from files
    data: pathlib.Path | None = None  # alpacaeval: folder with train.parquet and validation.parquet
    as_chat: bool = False  # alpacaeval: a prompt that is a text becomes a user's message, in the model's template
    model: str = ""  # a Hugging Face directory or hub id to start from; empty: from scratch, of the size below
    size: tuple[Count, Count] = (64, 3)  # width and layers
    vocab_size: Count = 2048  # tokens of the tokenizer that alpacaeval trains
    computing: stages.Computing = stages.Computing()
    num_prompts: Count = 1024  # sequences: prompts to sample lists for; 16 times as many others are demonstrated
    limits: tuple[Count, Count] = (128, 256)  # alpacaeval: tokens of a prompt and of a response
    sft: stages.FineTuning = stages.FineTuning()
    judge_steps: CountOrNone = 0  # sequences: of a pairwise reward model that labels the lists; 0: the true reward does
    losses: tuple[Loss, ...] = ("lambda", "dpo")  # each aligns the same start, and gets a row of the table
    steps: Count = 120  # of alignment, for each loss
    batch: Count = 32  # lists of a step, or rows into which lists are packed
    pack_tokens: CountOrNone = 0  # of such a row; 0: lists are padded, one a row
    learning_rate: Rate = 5e-4  # of alignment, at its peak
    adapter: stages.Adapter = stages.Adapter()  # of alignment
    list_size: ListSize = 8  # responses of a list
    list_sizes: tuple[ListSize, ...] = ()  # each in turn instead of list_size, of which the choice still is
    label_noise: tuple[Share, ...] = (0.0,)  # chances that two labels of a list change places, each in turn
    beta: Positive = 1.0  # reward of a nat; the paper's 0.05 for models whose log-probabilities can move by hundreds
    betas: tuple[Positive, ...] = ()  # to choose from on seed 0, for each loss by itself; empty: beta
    rates: tuple[Rate, ...] = ()  # likewise learning rates; empty: learning_rate
    first_seed: CountOrNone = 0  # the tables are of others than the seed that something was chosen on
    seeds: Count = 1  # repetitions of everything, of which figures are means
    output: pathlib.Path = pathlib.Path("runs/lipo")  # the folder of the run; the same command continues in it


SEVEN = ("point-mse", "point-sigmoid", "softmax", "pair-hinge", "pair-logistic", "list-mle", "lambda")
DEFAULT = Config()
CHOSEN = {"betas": (0.2, 1.0, 3.0), "rates": (3e-4, 1e-3), "first_seed": 1, "seeds": 5}
FEW = ("lambda", "list-mle", "pair-logistic", "dpo")
ALPACAEVAL = replace(
    DEFAULT,
    task="alpacaeval",
    size=(128, 4),
    sft_steps=400,
    sft_batch=(8, 512),
    losses=("lambda",),
    steps=140,
    batch=8,
    learning_rate=1e-4,
    beta=0.05,
    output=pathlib.Path("runs/lipo-alpacaeval"),
)
PRESETS = {
    "default": DEFAULT,
    "table": replace(DEFAULT, losses=SEVEN, **CHOSEN, output=pathlib.Path("runs/lipo-table")),
    "sizes": replace(DEFAULT, losses=FEW, list_sizes=(2, 4, 8, 16), **CHOSEN, output=pathlib.Path("runs/lipo-sizes")),
    "noise": replace(
        DEFAULT, losses=FEW, label_noise=(0.0, 0.2, 0.4), **CHOSEN, output=pathlib.Path("runs/lipo-noise")
    ),
    "full": replace(DEFAULT, size=(64, 5), judge_steps=2000, output=pathlib.Path("runs/lipo-full")),
    "alpacaeval": ALPACAEVAL,
    "alpacaeval-gpu": replace(
        ALPACAEVAL,
        size=(768, 12),
        vocab_size=8192,
        dtype="bfloat16",
        limits=(256, 768),
        sft_steps=800,
        sft_batch=(32, 1024),
        sft_learning_rate=6e-4,
        losses=SEVEN,
        steps=280,
        batch=16,
        learning_rate=2e-5,
        output=pathlib.Path("runs/lipo-alpacaeval-gpu"),
    ),
    "tldr": replace(
        ALPACAEVAL,
        model="google/t5-v1_1-large",
        dtype="bfloat16",
        limits=(1024, 128),
        sft_steps=4000,
        sft_batch=(32, 1024),
        sft_learning_rate=1e-4,
        losses=SEVEN,
        steps=8000,
        batch=32,
        learning_rate=2e-5,
        output=pathlib.Path("runs/lipo-tldr"),
    ),
}

CONDITIONS = {
    "sequences": "Of the paper's conditions, lists of samples of the SFT policy with graded labels are met; long texts "
    "(responses have 3 to 6 letters) are not, nor are labels by a trained reward model, save with --judge-steps.",
    "alpacaeval": "Of the paper's conditions, real lists with graded labels are met; responses that the SFT policy "
    "wrote itself are not.",
}


RATES = pretrained.Rates(
    "model",
    lambda config: {
        "sft_learning_rate": pretrained.rate("imitation", adapter=False),
        "learning_rate": pretrained.rate("alignment", adapter=config.adapter.lora_rank > 0),
    },
)


def main(config: Config) -> dict[str, float]:
    """Runs all stages and returns the figures; the same command again continues a run, or reports it once more."""
    run = origin.begin(__package__, PRESETS, config)
    choice.check(config)
    if config.judge_steps and config.task != "sequences":
        raise ValueError(
            f"--judge-steps {config.judge_steps}: the reward model learns from responses that the sequence world "
            f"labels, and the lists of --task {config.task} have labels of their own. Leave it out"
        )
    run_folder.open_run(
        config.output,
        flattened(config),
        experiment="lipo",
        may_differ=("output", "first_seed", "seeds", "losses", "list_sizes", "label_noise"),
        files={"data": alpacaeval_task.FILES},
        models=("model",),
    )
    print(CONDITIONS[config.task], flush=True)
    settings, told = choose(config)
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    runs = [run_seed(config, seed, config.output / f"seed-{seed}", settings) for seed in seeds]
    by_seed = [figures for figures, _ in runs]
    figures, first = report.summarise(by_seed), pipeline.variants(config)[0].label(config)
    report.print_table(figures)
    compared = differences.tables(by_seed, first) if config.seeds > 1 else {}
    for title, table in compared.items():
        print(f"\n{title}")
        report.print_table(table)
    spread = report.spread(config.seeds, "prompts")
    report.write_report(
        run,
        f"LiPO: {config.task}",
        figures,
        caption=spread,
        curves=curves(config),
        samples=runs[0][1],
        compared=compared,
        told={"conditions": CONDITIONS[config.task]} | told,
    )
    return {f"{policy}/{name}": figure.value for policy, row in figures.items() for name, figure in row.items()}


def choose(config: Config) -> tuple[dict[str, pipeline.Setting], dict[str, list[str]]]:
    """Returns beta and rate for each loss, and what there is to say of how they were chosen."""
    if len(settings := choice.grid(config)) == 1:
        return dict.fromkeys(config.losses, settings[0]), {}
    tried = choice.try_all(config)
    title, lines = f"chosen on seed {choice.CHOSEN_ON}", choice.told(config, tried)
    print(*(f"{title}: {line}" for line in lines), sep="\n", flush=True)
    return choice.best(tried), {title: lines}


def curves(config: Config) -> list[report.Curve]:
    """Returns what to draw of the first seed."""
    first = config.output / f"seed-{config.first_seed}"
    aligned = {
        f"{loss}{variant.label(config)}": variant.folder(config, first) / loss
        for variant in pipeline.variants(config)
        for loss in config.losses
    }
    return [
        report.Curve("Supervised fine-tuning: loss", "loss", {"SFT": first / "sft"}, "nats per token"),
        report.Curve("Alignment: loss", "loss", aligned),
        report.Curve("Alignment: pairs in the order of their labels", "accuracy", aligned, "share"),
        report.Curve("Alignment: implicit reward of the best response above the worst", "margin", aligned),
        report.Curve("Alignment: log-ratio to the SFT policy", "log_ratio", aligned, "nats per response"),
    ]


def run_seed(config: Config, seed: int, directory: pathlib.Path, settings: Mapping[str, pipeline.Setting]):
    """SFT, lists of each kind, then each loss from the same start: figures and samples by policy."""
    start = pipeline.begin(config, seed, directory)
    task, sft, key = start.task, start.sft, start.test_key
    figures, samples = {**task.baselines(key), "SFT": task.evaluate(sft, sft, key)}, {"SFT": task.samples(sft, key)}
    for variant in pipeline.variants(config):
        labelled = pipeline.labelled_lists(config, start, variant)
        for loss in config.losses:
            place, name = labelled.directory / loss, f"{loss}{variant.label(config)}"
            policy = pipeline.align(config, start, labelled, loss, settings[loss], place)
            figures[name], samples[name] = task.evaluate(policy, sft, key), task.samples(policy, key)
            if not config.adapter.lora_rank:
                stages.export(place / "hf", policy, task.tokenizer)
    return figures, samples


if __name__ == "__main__":
    edge.explain_errors()
    machines.run(main, PRESETS, __doc__, RATES)
