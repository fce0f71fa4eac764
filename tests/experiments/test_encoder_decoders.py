"""LiPO, robust reward models and PLaD run on a T5, the family of the LiPO paper, from a directory on."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import peft
import pytest
import tokenizers
import transformers
from tokenizers import pre_tokenizers, processors, trainers

from experiments.common import machines, stages
from experiments.common.fields import replace
from experiments.lipo import __main__ as lipo
from experiments.plad import __main__ as plad
from experiments.rrm import __main__ as rrm
from jaxalign import data, models, training
from jaxalign.data import HfTokenizer, encode_lists
from jaxalign.data.records.record import PreferenceRecord
from jaxalign.io import hf
from jaxalign.io.run.writers import read_metrics
from tests.experiments import long_form

ROWS = long_form.rows(range(40))


def t5_tokenizer():
    """Bytes and their pairs, with no beginning of a sequence and an end that the tokenizer writes itself."""
    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(), tokenizers.decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=["<pad>", "</s>"], initial_alphabet=alphabet)
    backend.train_from_iterator([row["response"] for row in ROWS], trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B:1 </s>:1", special_tokens=[("</s>", 1)]
    )
    return HfTokenizer(backend, {"eos_token": "</s>", "pad_token": "<pad>"})


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    """A directory that transformers could have written."""
    tokenizer = t5_tokenizer()
    config = models.EncoderDecoderConfig(
        vocab_size=tokenizer.vocab_size,
        width=16,
        mlp_width=32,
        num_layers=1,
        num_decoder_layers=1,
        num_heads=2,
        head_dim=8,
    )
    params = jax.jit(models.build(config).init)(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))["params"]
    return hf.save_pretrained(tmp_path_factory.mktemp("t5") / "t5", config, params, tokenizer)


@pytest.fixture
def folder(tmp_path):
    return long_form.write(tmp_path / "lists", ROWS, ROWS[:15])


def test_lipo(t5, folder, tmp_path):
    config = replace(
        lipo.PRESETS["tldr"],
        **dict(steps=1, batch=8, list_size=3, limits=(24, 40), losses=("lambda",)),
        sft=stages.FineTuning(20, (8, 64), 3e-2),
        model=str(t5),
        data=folder,
        output=tmp_path / "run",
    )
    figures = lipo.main(config)
    imitation = read_metrics(tmp_path / "run" / "seed-0" / "sft")  # an encoder reads one text a row, unpacked
    assert imitation[-1]["loss"] < 0.5 * imitation[0]["loss"]
    assert np.isfinite(figures["lambda/Kendall tau"])
    exported = tmp_path / "run" / "seed-0" / "lambda" / "hf"
    loaded, info = transformers.AutoModelForSeq2SeqLM.from_pretrained(exported, output_loading_info=True)
    assert isinstance(loaded, transformers.T5ForConditionalGeneration) and not any(info.values())


def test_robust_reward_models(t5, folder, tmp_path):
    config = replace(
        rrm.PRESETS["alpacaeval"],
        **dict(num_pairs=32, steps=1, batch=8, rates=(0.3,), share=0.02, limits=(24, 40)),
        backbone=str(t5),
        data=folder,
        output=tmp_path / "run",
    )
    figures = rrm.main(config)
    assert 0 <= figures["validation prompts/RRM, artifact in 30%/accuracy"] <= 1
    # transformers has no such classifier: the checkpoint is what remains.
    place = tmp_path / "run" / "seed-0" / "RRM-0.3"
    assert (place / "checkpoints").is_dir() and not (place / "hf").exists()


@pytest.fixture(scope="module")
def plad_run(t5, tmp_path_factory):
    """A run with adapters and one method, and its figures; the same folder takes further methods."""
    root = tmp_path_factory.mktemp("plad")
    config = replace(
        plad.PRESETS["tldr"],
        **dict(warm_steps=1, steps=1, batch=8, limits=(24, 40), methods=("PLaD ranking",), lora_rank=2),
        teacher=str(t5),
        student=str(t5),
        data=long_form.write(root / "lists", ROWS, ROWS[:15]),
        output=root / "run",
    )
    return config, plad.main(config)


def test_plad_on_pairs(plad_run):
    _, figures = plad_run
    assert np.isfinite(figures["held-out/PLaD ranking/tau of likelihood"])


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft asks for it
def test_plad_on_logits(plad_run, t5):
    config, before = plad_run
    figures = plad.main(replace(config, methods=("PLaD ranking", "JSD")))
    assert np.isfinite(figures["held-out/JSD/ROUGE-L"])
    name = "held-out/PLaD ranking/tau of likelihood"
    assert figures[name] == before[name]
    # What was trained of the warm start is an adapter of rank 2, and so is JSD, of which no merged copy is kept.
    folder = config.output / "seed-0"
    base = transformers.AutoModelForSeq2SeqLM.from_pretrained(t5)
    base = peft.PeftModel.from_pretrained(base, folder / "warm" / "adapter").merge_and_unload()
    exported = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder / "warm" / "hf")
    assert {path.name for path in (folder / "JSD" / "adapter").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert not list((folder / "JSD").rglob("model*.safetensors"))
    for (name, ours), theirs in zip(exported.named_parameters(), base.parameters(), strict=True):
        np.testing.assert_allclose(ours.detach(), theirs.detach(), rtol=1e-5, atol=1e-6, err_msg=name)


def test_an_adapter_on_a_quantised_base(t5, tmp_path):
    """What is returned is the quantised base in floats plus the adapter that peft reads."""
    policy, tokenizer = stages.load_policy(str(t5)), t5_tokenizer()
    records = [PreferenceRecord("Say it.", ("answer",), (1.0,))] * 8
    lists = encode_lists(records, tokenizer, max_prompt=16, max_response=16)
    batches = data.list_batches(lists, batch_size=8, list_size=1, **machines.share())
    arguments = policy, tokenizer, batches, training.make_sft_loss(policy.model), tmp_path, jax.random.key(0)
    tuned = stages.train(*arguments, adapter=stages.Adapter(2, "nf4"), steps=4, learning_rate=1e-2)
    rows = read_metrics(tmp_path)
    assert rows[-1]["loss"] < rows[0]["loss"]
    config, adapter = hf.load_adapter(tmp_path / "adapter", policy.model.config)
    merge = jax.jit(models.merge_lora, static_argnums=2)
    expected = merge(models.quantize_base(policy.params, "nf4"), adapter, config)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), tuned.params, expected)
