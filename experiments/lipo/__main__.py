"""LiPO: listwise preference optimisation (Liu et al., arXiv 2402.01878), from demonstrations to an aligned model.

    ./tools/run experiments.lipo                 # a world with a known truth, LiPO-lambda and DPO; minutes on a CPU
    ./tools/run experiments.lipo table           # all seven losses of the paper's Table 1, five seeds
    ./tools/run experiments.lipo full            # labels by a pairwise reward model that is trained on the way
    ./tools/run experiments.lipo alpacaeval --data FOLDER   # real lists: AlpacaEval 2 responses with graded labels
    ./tools/run experiments.lipo alpacaeval --data FOLDER --batch 2 --pack-tokens 8192   # in 2 rows of 8,192 tokens
    ./tools/run experiments.lipo alpacaeval-gpu --data FOLDER   # all losses, a model of 12 layers, one GPU
    ./tools/run experiments.lipo tldr --data FOLDER   # T5-large, batch, rate and beta of the paper; such lists

Claims: on the paper's data LiPO-lambda wins most often (its Table 1). Here the same pipeline runs in miniature: SFT on
imperfect demonstrations, K samples a prompt, labels, reference log-probabilities, a ranking loss, held-out figures with
95 % bootstrap intervals. experiments/RESULTS.md has the figures that came out, with hardware and duration.

Departures from the paper, which ``tldr`` shares from the optimizer on: a decoder instead of T5; labels by the true
reward with Bradley-Terry noise (or those of the data) instead of a trained pairwise reward model, save in ``full``;
AdamW instead of Adafactor for models from scratch; beta = 1 where responses have 8 letters (0.05 on real lists); the
last checkpoint instead of the best by proxy win rate.
"""

import dataclasses
import pathlib
from typing import Annotated, Literal

import jax

from experiments.common import alpacaeval_task, machines, origin, pretrained, report, sequence_task, stages
from experiments.common.fields import Count, CountOrNone, Positive, Range, Rate, flattened, replace
from experiments.common.task import Task
from experiments.lipo import relabel
from jaxalign import losses, training
from jaxalign.io import edge
from jaxalign.io.run import run_folder
from jaxalign.models import Decoder, EncoderDecoder
from jaxalign.typing import LossFn

RANKING_LOSSES = {
    "point-mse": losses.pointwise_mse_loss,
    "point-sigmoid": losses.pointwise_sigmoid_loss,
    "softmax": losses.softmax_loss,
    "pair-hinge": losses.pairwise_hinge_loss,
    "pair-logistic": losses.pairwise_logistic_loss,
    "list-mle": losses.list_mle_loss,
    "lambda": losses.lambda_loss,
}
Loss = Literal[*RANKING_LOSSES, "dpo"]


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: Literal["sequences", "alpacaeval"] = "sequences"  # a world made on the spot, or lists from files
    data: pathlib.Path | None = None  # alpacaeval: folder with train.parquet and validation.parquet
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
    list_size: Annotated[int, Range(2)] = 8  # responses of a list
    beta: Positive = 1.0  # reward of a nat; the paper's 0.05 for models whose log-probabilities can move by hundreds
    seeds: Count = 1  # repetitions of everything, of which figures are means
    output: pathlib.Path = pathlib.Path("runs/lipo")  # the folder of the run; the same command continues in it


JUDGE = {"batch": 64, "learning_rate": 1e-3}  # comparisons of a step
SEVEN = ("point-mse", "point-sigmoid", "softmax", "pair-hinge", "pair-logistic", "list-mle", "lambda")
DEFAULT = Config()
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
    "table": replace(DEFAULT, losses=SEVEN, seeds=5, output=pathlib.Path("runs/lipo-table")),
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
    if config.judge_steps and config.task != "sequences":
        raise ValueError(
            f"--judge-steps {config.judge_steps}: the reward model learns from responses that the sequence world "
            f"labels, and the lists of --task {config.task} have labels of their own. Leave it out"
        )
    run_folder.open_run(
        config.output,
        flattened(config),
        experiment="lipo",
        may_differ=("output", "seeds", "losses"),
        files={"data": alpacaeval_task.FILES},
        models=("model",),
    )
    runs = [run_seed(config, seed, config.output / f"seed-{seed}") for seed in range(config.seeds)]
    figures = report.summarise([figures for figures, _ in runs])
    report.print_table(figures)
    first = config.output / "seed-0"
    aligned = {name: first / name for name in config.losses}
    curves = [
        report.Curve("Supervised fine-tuning: loss", "loss", {"SFT": first / "sft"}, "nats per token"),
        report.Curve("Alignment: loss", "loss", aligned),
        report.Curve("Alignment: pairs in the order of their labels", "accuracy", aligned, "share"),
        report.Curve("Alignment: implicit reward of the best response above the worst", "margin", aligned),
        report.Curve("Alignment: log-ratio to the SFT policy", "log_ratio", aligned, "nats per response"),
    ]
    spread = report.spread(config.seeds, "prompts")
    report.write_report(run, f"LiPO: {config.task}", figures, caption=spread, curves=curves, samples=runs[0][1])
    return {f"{policy}/{name}": figure.value for policy, row in figures.items() for name, figure in row.items()}


def run_seed(config: Config, seed: int, directory: pathlib.Path):
    """SFT, lists, then each loss from the same start: figures and samples by policy."""
    task = make_task(config, seed)
    init_key, sft_key, lists_key, align_key, test_key = jax.random.split(jax.random.key(seed), 5)
    max_length = sum(task.demonstrations.limits)
    start = stages.start_policy(config.model, config.size, task.tokenizer, max_length, init_key)
    start = stages.computing(start, config.computing)
    sft = stages.fine_tune(start, task, directory / "sft", sft_key, config.sft)
    lists = task.make_lists(sft, lists_key)
    if config.judge_steps:
        judge_key, sizes = jax.random.fold_in(lists_key, 1), {"steps": config.judge_steps, **JUDGE}
        judgement = relabel.relabel(task, lists, sft, directory / "judge", judge_key, **sizes)
        print(f"the reward model orders {judgement.agreement:.1%} of the pairs as the true labels do")
        lists = judgement.lists
    if config.adapter.lora_rank:  # what the adapters are for, once
        stages.export(directory / "sft" / "hf", sft, task.tokenizer)
    reference_logps = stages.reference_logps(lists, sft, directory, list_size=config.list_size)
    figures = {**task.baselines(test_key), "SFT": task.evaluate(sft, sft, test_key)}
    samples = {"SFT": task.samples(sft, test_key)}
    for name in config.losses:
        policy = stages.align(
            sft,
            task.tokenizer,
            lists,
            reference_logps,
            make_loss(sft.model, name, config.beta),
            directory / name,
            align_key,
            batch=config.batch,
            pack_tokens=config.pack_tokens,
            list_size=config.list_size,
            adapter=config.adapter,
            steps=config.steps,
            learning_rate=config.learning_rate,
        )
        figures[name], samples[name] = task.evaluate(policy, sft, test_key), task.samples(policy, test_key)
        if not config.adapter.lora_rank:
            stages.export(directory / name / "hf", policy, task.tokenizer)
    return figures, samples


def make_loss(model: Decoder | EncoderDecoder, name: Loss, beta: float) -> LossFn:
    """A ranking loss on whole lists, or DPO on each list's best and worst."""
    if name == "dpo":
        return training.make_dpo_loss(model, beta=beta)
    return training.make_ranking_loss(model, beta=beta, ranking_loss=RANKING_LOSSES[name])


def make_task(config: Config, seed: int) -> Task:
    """The world that ``config`` names."""
    if config.task == "sequences":
        if config.model:
            raise ValueError(
                f"the sequence world has its own tokenizer; --model {config.model} needs --task alpacaeval"
            )
        return sequence_task.make_task(seed=seed, num_prompts=config.num_prompts, list_size=config.list_size)
    return alpacaeval_task.make_task(
        config.data,
        config.output,
        model=config.model,
        vocab_size=config.vocab_size,
        limits=config.limits,
        responses_per_prompt=2 * config.list_size,
    )


if __name__ == "__main__":
    edge.explain_errors()
    machines.run(main, PRESETS, __doc__, RATES)
