"""One training step of TRL's trainers by kind, as ``form() -> loss``.

A trainer gets the pairs as texts, tokenizes, collates and pads them itself, and each call does what its loop does with
a batch: ``training_step`` (forward, backward, TRL's metrics), clipping, optimizer, schedule. TRL's defaults hold, but
for float32 instead of bfloat16 on a CPU, and activations that are kept where ours are.
"""

import contextlib
import pathlib
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxalign import models
from jaxalign.data import EncodedLists
from jaxalign.io import hf
from jaxalign.typing import Params
from tools.benchmarks.measure import on_accelerator
from tools.benchmarks.peers.pairs import BETA, EOS_ID, LEARNING_RATE, PAD_ID, Policies

EOS, PAD = "<eos>", "<pad>"


def check_installed() -> None:
    """ModuleNotFoundError with the remedy where TRL or torch is missing, RuntimeError where torch lacks the GPU."""
    try:
        import torch
        import trl  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"--peer trl needs {error.name}: pip install -e '.[test]'", name=error.name
        ) from error
    if on_accelerator() and not torch.cuda.is_available():
        raise RuntimeError(
            "jax has an accelerator and torch has none: install a torch for it, or set JAX_PLATFORMS=cpu"
        )


def sft_form(policies: Policies, lists: EncodedLists) -> Callable[[], float]:
    """``SFTTrainer`` on prompts and chosen responses, loss on the responses."""
    import trl

    with exported(policies.config, policies.params) as model:
        rows = [{"prompt": row["prompt"], "completion": row["chosen"]} for row in pair_texts(lists)]
        return step_form(trl.SFTTrainer, trl.SFTConfig, policies.config, model, rows)


def dpo_form(policies: Policies, lists: EncodedLists, *, precomputed: bool) -> Callable[[], float]:
    """``DPOTrainer``; its default runs the reference in each step, ``precomputed`` before the first."""
    import trl

    config = policies.config
    with exported(config, policies.params) as model, exported(config, policies.reference_params) as reference:
        options = {"beta": BETA, "precompute_ref_log_probs": precomputed}
        return step_form(trl.DPOTrainer, trl.DPOConfig, config, model, pair_texts(lists), options, ref_model=reference)


def reward_form(config: models.RewardConfig, params: Params, lists: EncodedLists) -> Callable[[], float]:
    """``RewardTrainer`` on a sequence classifier."""
    import trl

    with exported(config, params) as model:
        return step_form(trl.RewardTrainer, trl.RewardConfig, config.backbone, model, pair_texts(lists))


def step_form(
    trainer_class: type,
    config_class: type,
    config: models.DecoderConfig,
    model: Any,
    rows: list[dict[str, str]],
    options: dict[str, Any] | None = None,
    **trainer_options: Any,
) -> Callable[[], float]:
    """Each call trains one more step on a batch of all ``rows``."""
    import datasets
    import torch

    with tempfile.TemporaryDirectory() as folder:
        arguments = config_class(
            output_dir=folder,
            per_device_train_batch_size=len(rows),
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant",
            gradient_checkpointing=config.remat != "none",
            bf16=config.dtype == "bfloat16",
            max_length=None,
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=on_accelerator(),
            **(options or {}),
        )
        trainer = trainer_class(
            model=model,
            args=arguments,
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=numeral_tokenizer(config.vocab_size),
            **trainer_options,
        )
        trainer.create_optimizer_and_scheduler(num_training_steps=1)
        (batch,), num_items = trainer.get_batch_samples(iter(trainer.get_train_dataloader()), 1, arguments.device)
    trainer.current_gradient_accumulation_steps = 1

    def form() -> float:
        loss = trainer.training_step(trainer.model, dict(batch), num_items)
        trainer.accelerator.clip_grad_norm_(trainer.model.parameters(), arguments.max_grad_norm)
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
        trainer.model.zero_grad()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return float(loss)

    return form


@contextlib.contextmanager
def exported(config: models.ModelConfig, params: Params) -> Iterator[Any]:
    """The torch model of our weights, by way of a Hugging Face directory that is there as long as the context."""
    import torch
    import transformers

    with tempfile.TemporaryDirectory() as folder:
        path = hf.save_pretrained(pathlib.Path(folder) / "model", config, params)
        is_reward = isinstance(config, models.RewardConfig)
        kind = transformers.AutoModelForSequenceClassification if is_reward else transformers.AutoModelForCausalLM
        yield kind.from_pretrained(path, dtype=torch.float32)


def pair_texts(lists: EncodedLists) -> list[dict[str, str]]:
    """Rows of prompt, chosen and rejected as texts of numerals; the trainers add the end-of-sequence token."""

    def text(tokens: np.ndarray) -> str:
        return "".join(f" {token}" for token in tokens)

    return [
        {
            "prompt": text(lists.prompt(record)),
            "chosen": text(lists.response(start)[:-1]),
            "rejected": text(lists.response(start + 1)[:-1]),
        }
        for record, start in enumerate(lists.list_starts[:-1])
    ]


def numeral_tokenizer(vocab_size: int) -> Any:
    """A tokenizer whose tokens are called by their ids."""
    import tokenizers
    import transformers

    vocab = {str(token): token for token in range(vocab_size)}
    for token, name in ((EOS_ID, EOS), (PAD_ID, PAD)):
        del vocab[str(token)]
        vocab[name] = token
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocab, unk_token=PAD))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=EOS, pad_token=PAD)
