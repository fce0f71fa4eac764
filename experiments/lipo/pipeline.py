"""The stages of LiPO in one world: supervised fine-tuning, lists, labels, and alignments from one start."""

import pathlib
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from experiments.common import alpacaeval_task, sequence_task, stages
from experiments.common.task import Policy, Task
from experiments.lipo import noise, relabel
from jaxalign import losses, training
from jaxalign.data import EncodedLists
from jaxalign.models import Decoder, EncoderDecoder
from jaxalign.typing import LossFn

if TYPE_CHECKING:
    from experiments.lipo.__main__ import Config

RANKING_LOSSES = {
    "point-mse": losses.pointwise_mse_loss,
    "point-sigmoid": losses.pointwise_sigmoid_loss,
    "softmax": losses.softmax_loss,
    "pair-hinge": losses.pairwise_hinge_loss,
    "pair-logistic": losses.pairwise_logistic_loss,
    "list-mle": losses.list_mle_loss,
    "lambda": losses.lambda_loss,
}
JUDGE = {"batch": 64, "learning_rate": 1e-3}  # comparisons of a step


class Setting(NamedTuple):
    """What is chosen for each loss."""

    beta: float
    learning_rate: float


class Variant(NamedTuple):
    """One kind of lists to align on."""

    list_size: int
    label_noise: float  # chance of a couple of labels to change places

    def label(self, config: "Config") -> str:
        """Returns what stands behind the name of a loss: what a run compares, if it compares kinds of lists."""
        size = f", K = {self.list_size}" if config.list_sizes else ""
        return size + (f", noise {self.label_noise:g}" if config.label_noise != (0.0,) else "")

    def folder(self, config: "Config", directory: pathlib.Path) -> pathlib.Path:
        """Returns where its results are: lists of ``config.list_size`` without noise need no folder of their own."""
        parts = [f"size-{self.list_size}"] if self.list_size != config.list_size else []
        parts += [f"noise-{self.label_noise:g}"] if self.label_noise else []
        return directory / "-".join(parts)


class Start(NamedTuple):
    """A world and its policy after supervised fine-tuning, where all losses begin."""

    seed: int
    directory: pathlib.Path
    task: Task
    sft: Policy
    lists_key: Array
    align_key: Array
    test_key: Array


class Labelled(NamedTuple):
    """Lists of a variant, with log-probabilities of the reference."""

    lists: EncodedLists
    reference_logps: np.ndarray  # nats
    variant: Variant
    directory: pathlib.Path


def variants(config: "Config") -> list[Variant]:
    """Returns the kinds of lists that a run compares."""
    sizes = config.list_sizes or (config.list_size,)
    return [Variant(size, chance) for size in sizes for chance in config.label_noise]


def begin(config: "Config", seed: int, directory: pathlib.Path) -> Start:
    """Makes a world and fine-tunes a policy on its demonstrations."""
    task = make_task(config, seed, config.list_size)
    init_key, sft_key, lists_key, align_key, test_key = jax.random.split(jax.random.key(seed), 5)
    max_length = sum(task.demonstrations.limits)
    start = stages.start_policy(config.model, config.size, task.tokenizer, max_length, init_key)
    start = stages.computing(start, config.computing)
    sft = stages.fine_tune(start, task, directory / "sft", sft_key, config.sft)
    if config.adapter.lora_rank:  # what the adapters are for, once
        stages.export(directory / "sft" / "hf", sft, task.tokenizer)
    return Start(seed, directory, task, sft, lists_key, align_key, test_key)


def labelled_lists(config: "Config", start: Start, variant: Variant) -> Labelled:
    """Samples lists and labels them, as the variant has it; a smaller list is the beginning of a larger one."""
    place = variant.folder(config, start.directory)
    same = variant.list_size == config.list_size
    task = start.task if same else make_task(config, start.seed, variant.list_size)
    lists = task.make_lists(start.sft, start.lists_key)
    if config.judge_steps:
        judge_key, sizes = jax.random.fold_in(start.lists_key, 1), {"steps": config.judge_steps, **JUDGE}
        judgement = relabel.relabel(task, lists, start.sft, place / "judge", judge_key, **sizes)
        print(f"the reward model orders {judgement.agreement:.1%} of the pairs as the true labels do")
        lists = judgement.lists
    if variant.label_noise:
        rng = np.random.default_rng((start.seed, 3))
        lists, swapped = noise.swap_labels(lists, variant.label_noise, rng)
        print(f"seed {start.seed}: {swapped:.1%} of the couples of labels changed places")
    logps = stages.reference_logps(lists, start.sft, place, list_size=variant.list_size)
    return Labelled(lists, logps, variant, place)


def align(
    config: "Config", start: Start, labelled: Labelled, loss: str, setting: Setting, directory: pathlib.Path
) -> Policy:
    """Aligns the fine-tuned policy by one loss, in ``directory``."""
    return stages.align(
        start.sft,
        start.task.tokenizer,
        labelled.lists,
        labelled.reference_logps,
        make_loss(start.sft.model, loss, setting.beta),
        directory,
        start.align_key,
        batch=config.batch,
        pack_tokens=config.pack_tokens,
        list_size=labelled.variant.list_size,
        adapter=config.adapter,
        steps=config.steps,
        learning_rate=setting.learning_rate,
    )


def make_loss(model: Decoder | EncoderDecoder, name: str, beta: float) -> LossFn:
    """Makes a ranking loss on lists, or DPO on each list's best and worst."""
    if name == "dpo":
        return training.make_dpo_loss(model, beta=beta)
    return training.make_ranking_loss(model, beta=beta, ranking_loss=RANKING_LOSSES[name])


def make_task(config: "Config", seed: int, list_size: int) -> Task:
    """Makes the world that ``config`` names, with so many responses to sample, or twice as many to read."""
    if config.task == "sequences":
        if config.model:
            raise ValueError(
                f"the sequence world has its own tokenizer; --model {config.model} needs --task alpacaeval"
            )
        return sequence_task.make_task(seed=seed, num_prompts=config.num_prompts, list_size=list_size)
    return alpacaeval_task.make_task(
        config.data,
        config.output,
        model=config.model,
        vocab_size=config.vocab_size,
        limits=config.limits,
        responses_per_prompt=2 * list_size,
        as_chat=config.as_chat,
    )
