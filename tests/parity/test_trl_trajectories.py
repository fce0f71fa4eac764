"""``experiments.align`` is TRL step by step: from the same weights on the same pairs in the same order."""

import json

import numpy as np
import pytest
import transformers

from tests.experiments import align_files, two_devices
from tests.io.serve.engine import tiny_chat
from tests.parity import trl_runs

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.:FutureWarning")  # TRL's own default
STEPS, BATCH, RATE = 6, 4, 1e-3
LEARNT = 16  # pairs: four batches an epoch, so that the last two steps come in another order
LIMITS = (96, 64)


def pairs():
    """Pairs whose prompts and answers have many lengths: a token weighs the same in whichever answer it stands."""
    for number, row in enumerate(align_files.conversational()):
        (question,), (good,), (bad,) = row["prompt"], row["chosen"], row["rejected"]
        prompt = [align_files.SYSTEM, question] if number % 3 else [question]
        chosen = [align_files.assistant(good["content"] + " over there" * (number % 5))]
        rejected = [align_files.assistant(bad["content"] + " of the world" * (number % 4))]
        yield {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def save_model(folder):
    """As SmolLM2 it pads with the token that ends a turn, whose embedding is learnt where it ends one."""
    _, _, tokenizer = tiny_chat.save(folder)
    ends = {"tokenizer_config.json": ("pad_token", "<|im_end|>"), "config.json": ("pad_token_id", tokenizer.eos_id)}
    for name, (key, value) in ends.items():
        said = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(said | {key: value}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trl")
    save_model(folder / "model")
    align_files.write_jsonl(folder / "pairs.jsonl", [*pairs()][:LEARNT])
    with pytest.MonkeyPatch.context() as patch:
        two_devices.lay_out(patch.setattr)
        yield folder


@pytest.mark.parametrize("loss", trl_runs.TRAINERS)
def test_every_step_is_that_of_trl(loss, folder):
    sizes = dict(limits=LIMITS, steps=STEPS, batch=BATCH, learning_rate=RATE)
    config = trl_runs.config_of(loss, str(folder / "model"), folder / "pairs.jsonl", folder / loss, **sizes)
    ours, theirs = trl_runs.ours(config), trl_runs.theirs(config, folder / f"{loss}-trl")
    # Measured: losses within 6e-6. A margin is a difference of sums of some hundred nats in float32.
    tolerances = {"loss": 1e-4, "grad_norm": 1e-4, "margin": 1e-4, "accuracy": 1e-6}
    for name, found in ours.metrics.items():
        # A policy that is its own reference has margins of rounding, which accuracy counts: the first step has none.
        known = slice(1 if loss == "dpo" and name in ("margin", "accuracy") else 0, None)
        np.testing.assert_allclose(found[known], theirs.metrics[name][known], rtol=tolerances[name], err_msg=name)
    assert len(ours.metrics["loss"]) == STEPS and np.ptp(ours.metrics["loss"]) > 0.05
    assert ours.metrics["grad_norm"].max() > trl_runs.MAX_GRAD_NORM  # both clip

    tokenizer = transformers.AutoTokenizer.from_pretrained(config.model)
    chats = [pair["prompt"] + pair["chosen"] for pair in [*pairs()][LEARNT:]]
    start = trl_runs.load(config, trl_runs.beginning_of(config, folder / "reward-start"))
    before, after, expected = (trl_runs.logits(each, tokenizer, chats) for each in (start, ours.model, theirs.model))
    assert trl_runs.farthest(after, expected) < 1e-3 < 0.1 < trl_runs.farthest(before, expected)


def test_texts_that_do_not_fit_are_refused(folder, tmp_path):
    sizes = dict(limits=(96, 8), steps=1, batch=BATCH, learning_rate=RATE)
    config = trl_runs.config_of("dpo", str(folder / "model"), folder / "pairs.jsonl", tmp_path, **sizes)
    with pytest.raises(ValueError, match=r"expected texts within limits \(96, 8\), which TRL has none of; \d+ are not"):
        trl_runs.order_of(config)


def test_pairs_that_are_there_twice_are_refused(folder, tmp_path):
    (row, *_) = pairs()
    path = align_files.write_jsonl(tmp_path / "twice.jsonl", [row] * BATCH)
    config = trl_runs.config_of("sft", str(folder / "model"), path, tmp_path, steps=1, batch=BATCH, learning_rate=RATE)
    with pytest.raises(ValueError, match="expected pairs that all differ"):
        trl_runs.order_of(config)
