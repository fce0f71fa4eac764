"""The same training twice: by ``experiments.align``, and by TRL's own trainers on the same pairs in the same order.

Both read a file of TRL's conversational pairs and a Hugging Face directory. TRL applies the chat template, tokenizes,
collates, computes loss and gradient, clips and steps by itself; it is told the order of the pairs and float32, and gets
a model that learns the embedding of every token.
"""

import json
import pathlib
import time
from typing import Any, NamedTuple

import datasets
import numpy as np
import torch
import transformers
import trl

from experiments.align import __main__ as align
from experiments.align import reading, start
from experiments.align.methods import METHODS
from experiments.align.plan import make_batches
from experiments.align.settings import Config, Data, Training
from experiments.common import stages
from jaxalign.data import EncodedLists
from jaxalign.io.run.writers import read_metrics

TRAINERS = {
    "dpo": (trl.DPOTrainer, trl.DPOConfig),
    "sft": (trl.SFTTrainer, trl.SFTConfig),
    "reward": (trl.RewardTrainer, trl.RewardConfig),
}
NAMES = {
    "dpo": {"loss": "loss", "grad_norm": "grad_norm", "margin": "rewards/margins", "accuracy": "rewards/accuracies"},
    "sft": {"loss": "loss", "grad_norm": "grad_norm"},
    "reward": {"loss": "loss", "grad_norm": "grad_norm", "accuracy": "accuracy"},
}
"""Metrics that both log, by loss: our name, and TRL's."""
MAX_GRAD_NORM = 1.0  # what training.adamw clips at


class Trajectory(NamedTuple):
    """What a training logged at each step, by our names, the model that came out, and how long it all took."""

    metrics: dict[str, np.ndarray]
    model: Any
    seconds: float


def config_of(
    loss: str, model: str, pairs: pathlib.Path, output: pathlib.Path, limits=(512, 512), **training
) -> Config:
    """A run on all of ``pairs`` at a constant rate, AdamW without decay, all parameters."""
    return Config(
        model=model,
        reading=Data(data=(pairs,), held_out=0.0, limits=limits),
        loss=loss,
        training=Training(schedule="constant", warmup=0.0, weight_decay=0.0, **training),
        samples=0,
        output=output,
    )


def ours(config: Config) -> Trajectory:
    """What ``experiments.align`` makes of it; the model is its export as transformers loads it."""
    begin = time.monotonic()
    align.main(config)
    seconds = time.monotonic() - begin
    rows = read_metrics(config.output / config.loss)
    assert [row["step"] for row in rows] == [*range(1, config.training.steps + 1)]
    metrics = {name: np.array([row[name] for row in rows]) for name in NAMES[config.loss]}
    return Trajectory(metrics, load(config, config.output / "hf"), seconds)


def theirs(config: Config, folder: pathlib.Path) -> Trajectory:
    """What TRL makes of it; ``folder`` is for a reward model's start and for what TRL writes."""
    trainer_class, config_class = TRAINERS[config.loss]
    begin = time.monotonic()
    beginning = beginning_of(config, folder / "start")
    tokenizer = transformers.AutoTokenizer.from_pretrained(config.model)
    options, more = {}, {}
    if config.loss == "dpo":
        options, more = {"beta": start.options_of(config).beta}, {"ref_model": load(config, beginning)}
    trainer = trainer_class(
        model=load(config, beginning),
        args=config_class(
            output_dir=str(folder),
            per_device_train_batch_size=config.training.batch,
            max_steps=config.training.steps,
            learning_rate=rate_of(config),
            lr_scheduler_type="constant",
            weight_decay=0.0,
            max_grad_norm=MAX_GRAD_NORM,
            train_sampling_strategy="sequential",
            max_length=None,
            bf16=False,
            use_cpu=True,
            gradient_checkpointing=False,
            logging_steps=1,
            logging_nan_inf_filter=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            **options,
        ),
        train_dataset=datasets.Dataset.from_list(rows_in_order(config)),
        processing_class=tokenizer,
        **more,
    )
    trainer.train()
    seconds = time.monotonic() - begin
    history = [row for row in trainer.state.log_history if "loss" in row]
    metrics = {name: np.array([row[theirs] for row in history]) for name, theirs in NAMES[config.loss].items()}
    return Trajectory(metrics, trainer.model.eval(), seconds)


def rate_of(config: Config) -> float:
    """The rate, which is the same at every step."""
    assert config.training.learning_rate is not None
    return config.training.learning_rate


def beginning_of(config: Config, folder: pathlib.Path) -> pathlib.Path:
    """The directory that training begins with: the model's own, or that of a reward model with the head we draw."""
    if config.loss != "reward":
        return pathlib.Path(config.model)
    stages.export(folder, start.load_start(config), start.load_tokenizer(config))
    return folder


def load(config: Config, directory: pathlib.Path) -> Any:
    """The torch model in a directory, float32, whose gradient is complete."""
    is_reward = config.loss == "reward"
    kind = transformers.AutoModelForSequenceClassification if is_reward else transformers.AutoModelForCausalLM
    model = kind.from_pretrained(directory, dtype=torch.float32).eval()
    # transformers sets it to the id of padding, and torch then leaves out the gradient of that token's embedding where
    # it stands in a text: in SmolLM2, which pads with the token that ends a turn, 7 % of the embedding's gradient.
    model.get_input_embeddings().padding_idx = None
    return model


def logits(model: Any, tokenizer: Any, chats: list) -> list[np.ndarray]:
    """Of each chat ``[L, V]``, or the reward ``[1]``."""
    found = []
    for chat in chats:
        ids = tokenizer.apply_chat_template(chat, return_dict=False)
        with torch.no_grad():
            found.append(model(torch.tensor([ids])).logits[0].numpy())
    return found


def farthest(left: list[np.ndarray], right: list[np.ndarray]) -> float:
    """The greatest difference of two logits."""
    return float(max(np.abs(ours - theirs).max() for ours, theirs in zip(left, right, strict=True)))


def read_pairs(path: pathlib.Path) -> list[dict]:
    """TRL's conversational pairs, one JSON object a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rows_in_order(config: Config) -> list[dict]:
    """The pairs, for SFT prompts and completions, as our batches have them one after the other."""
    pairs = read_pairs(config.reading.data[0])
    rows = [pairs[number] for number in order_of(config)]
    if config.loss == "sft":
        return [{"prompt": row["prompt"], "completion": row["chosen"]} for row in rows]
    return rows


def order_of(config: Config) -> list[int]:
    """Which line of the file each row of each batch of ours is."""
    method = METHODS[config.loss]
    records = reading.read(config, method)
    lists = start.encode(config, records, start.load_tokenizer(config)).train
    cut = lists.report.prompts_truncated + lists.report.responses_truncated
    if cut:
        raise ValueError(f"expected texts within limits {config.reading.limits}, which TRL has none of; {cut} are not")
    numbers = {_key(*tokens): number for number, tokens in enumerate(_tokens_of_lists(lists))}
    if len(numbers) < len(lists):
        raise ValueError("expected pairs that all differ, or nobody can tell which of them a batch has")
    batches = iter(make_batches(config, method, lists, None))
    found = (next(batches) for _ in range(config.training.steps))
    return [numbers[_key(*tokens)] for batch in found for tokens in _tokens_of_batch(batch)]


def _tokens_of_lists(lists: EncodedLists):
    for number, (first, end) in enumerate(zip(lists.list_starts[:-1], lists.list_starts[1:], strict=True)):
        yield lists.prompt(number), [lists.response(index) for index in range(first, end)]


def _tokens_of_batch(batch):
    for tokens, mask, responses, masks in zip(*batch[:4], strict=True):
        yield tokens[mask], [response[where] for response, where in zip(responses, masks, strict=True)]


def _key(prompt, responses):
    return tuple(prompt.tolist()), frozenset(tuple(response.tolist()) for response in responses)
