"""T5 directories in and out, against transformers: logits, log-probabilities, greedy texts."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file
from transformers.models.t5.modeling_t5 import T5Attention

from jaxalign import models, sampling
from jaxalign.io import hf
from jaxalign.io.run import model_config
from jaxalign.models.relative import bucket_distances
from jaxalign.typing import ListBatch
from tests.parity import t5, tiny

P, T = 13, 11  # beyond the last bucket
NO_PROBLEM = {"missing_keys", "unexpected_keys", "mismatched_keys"}
CONFIG = models.EncoderDecoderConfig(31, 16, 24, 2, 1, 3, 6)
UNTIED = dataclasses.replace(
    CONFIG, activation="gelu_tanh", gated_mlp=True, tied_embeddings=False, output_scale=False, start_id=2
)


@pytest.fixture(scope="module", params=t5.CASES)
def case(request, tmp_path_factory):
    """The torch model and what is read from the directory that it was saved in."""
    model = t5.torch_model(request.param)
    directory = tmp_path_factory.mktemp("t5")
    model.save_pretrained(directory)
    return model, *hf.load_pretrained(directory)


@pytest.fixture
def directory(tmp_path):
    return hf.save_pretrained(tmp_path / "model", CONFIG, tiny.random_params(CONFIG))


def rows(seed=1):
    """Encoder rows padded on either side, decoder rows on the right."""
    rng = np.random.default_rng(seed)
    tokens, decoder_tokens = (rng.integers(2, t5.SIZES["vocab_size"], (5, length)) for length in (P, T))
    decoder_tokens[:, 0] = 0
    index = np.arange(P)
    mask = np.stack([index >= 0, index < 7, index < 1, index >= P - 7, index >= P - 2])
    return tokens, decoder_tokens, mask, np.arange(T) < np.array([[T], [3], [8], [1], [T]])


def assert_same(params, expected):
    assert jax.tree.structure(params) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, params, expected)


def test_logits_of_padded_rows(case):
    model, config, params = case
    tokens, decoder_tokens, mask, decoder_mask = rows()
    expected = t5.torch_logits(model, tokens, decoder_tokens, mask, decoder_mask)[decoder_mask]
    apply = jax.jit(models.build(config).apply)
    logits = apply({"params": params}, tokens, decoder_tokens, mask=mask, decoder_mask=decoder_mask)
    logits = np.asarray(logits)[decoder_mask]
    assert expected.std() > 0.3
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_configs_of_both_versions():
    sizes = models.EncoderDecoderConfig(131, 36, 52, 2, 3, 3, 10, num_buckets=8, max_distance=7, norm_epsilon=1e-3)
    v1_1 = dataclasses.replace(sizes, activation="gelu_tanh", gated_mlp=True, tied_embeddings=False, output_scale=False)
    # config.json as the published models have it, without transformers 5's key for the scale.
    published = {"model_type": "t5", **t5.SIZES, **t5.START}
    assert hf.config_from_json(published) == sizes
    published |= {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
    assert hf.config_from_json(published) == v1_1
    # Sizes of google-t5/t5-small are transformers' defaults; a decoder is as deep as its encoder.
    small = models.EncoderDecoderConfig(32_128, 512, 2048, 6, 6, 8, 64)
    assert hf.config_from_json({"model_type": "t5"}) == small


def test_config_says_what_transformers_says(case):
    model, config, _ = case
    theirs = transformers.T5Config(**hf.config_to_json(config)).to_dict()
    other = {"architectures", "dtype", "pad_token_id", "eos_token_id"}
    for key, value in model.config.to_dict().items():
        assert key in other or theirs[key] == value, key


def test_transformers_loads_it_whole_with_equal_logits(case, tmp_path):
    model, config, params = case
    out = hf.save_pretrained(tmp_path / "out", config, params, max_shard_bytes=20_000)
    assert len(list(out.glob("model-*.safetensors"))) > 2
    loaded, info = transformers.AutoModelForSeq2SeqLM.from_pretrained(
        out, output_loading_info=True, attn_implementation="eager"
    )
    assert NO_PROBLEM <= info.keys() and not any(info.values())
    assert type(loaded) is type(model)
    assert loaded.generation_config.decoder_start_token_id == 0
    ours, theirs = (t5.torch_logits(which.eval(), *rows(2)) for which in (loaded, model))
    np.testing.assert_array_equal(ours, theirs)
    assert "pipeline_tag: text2text-generation" in (out / "README.md").read_text()
    assert "| 2 + 3, 36, 3 |" in (out / "README.md").read_text()


@pytest.mark.parametrize("config", [CONFIG, UNTIED, dataclasses.replace(UNTIED, output_scale=True)])
def test_reads_back_exactly(config, tmp_path):
    params = tiny.random_params(config)
    out = hf.save_pretrained(tmp_path / "out", config, params)
    again, read = hf.load_pretrained(out)
    assert again == config
    assert_same(read, params)
    names = load_file(out / "model.safetensors").keys()
    assert sum("relative_attention_bias" in name for name in names) == 2
    assert ("lm_head.weight" in names) == (not config.tied_embeddings)
    tokens, decoder_tokens = np.arange(2, 9)[None], np.array([[config.start_id, 7, 30]])
    theirs = t5.torch_logits(
        transformers.T5ForConditionalGeneration.from_pretrained(out).eval(), tokens, decoder_tokens, tokens > 0
    )
    ours = jax.jit(models.build(config).apply)({"params": params}, tokens, decoder_tokens)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("num_buckets", "max_distance"), [(32, 128), (32, 64), (8, 20), (64, 1000)])
def test_buckets(bidirectional, num_buckets, max_distance):
    distances = np.arange(-1500, 1501)
    expected = T5Attention._relative_position_bucket(
        torch.tensor(distances), bidirectional=bidirectional, num_buckets=num_buckets, max_distance=max_distance
    )
    ours = bucket_distances(distances, bidirectional=bidirectional, num_buckets=num_buckets, max_distance=max_distance)
    np.testing.assert_array_equal(ours, expected.numpy())


@pytest.mark.parametrize("shared_prompt", [True, False])
def test_response_logps(case, shared_prompt):
    model, config, params = case
    prompts, _, prompt_mask, _ = rows(3)
    rng = np.random.default_rng(4)
    responses = rng.integers(1, t5.SIZES["vocab_size"], (5, 2, 6))
    mask = np.arange(6) < rng.integers(1, 7, (5, 2, 1))
    zeros = np.zeros((5, 2), np.float32)
    batch = ListBatch(prompts, prompt_mask, responses, mask, zeros, np.ones((5, 2), bool), zeros)
    logps = jax.jit(models.response_token_logps, static_argnums=0, static_argnames="shared_prompt")(
        models.build(config), params, jax.tree.map(jnp.asarray, batch), shared_prompt=shared_prompt
    )
    logps = np.asarray(logps)
    for b, k in np.ndindex(5, 2):
        prompt, response = prompts[b][prompt_mask[b]][None], responses[b, k][mask[b, k]]
        decoder_tokens = np.concatenate([[0], response[:-1]])[None]
        logits = t5.torch_logits(model, prompt, decoder_tokens, np.ones(prompt.shape))
        expected = torch.tensor(logits[0]).double().log_softmax(-1).numpy()[np.arange(len(response)), response]
        np.testing.assert_allclose(logps[b, k][mask[b, k]], expected, atol=1e-4)
        assert not logps[b, k][~mask[b, k]].any()


@pytest.mark.parametrize("penalty", [1.0, 3.0])
def test_greedy_equals_transformers(case, penalty):
    model, config, params = case
    tokens, _, mask, _ = rows(5)
    with torch.no_grad():
        expected = model.generate(
            torch.tensor(tokens),
            attention_mask=torch.tensor(mask).long(),
            max_new_tokens=14,
            do_sample=False,
            eos_token_id=None,
            repetition_penalty=penalty,  # it is about what the decoder has said, not the prompt
            use_cache=False,  # transformers' cache has as many layers as the encoder
        )[:, 1:]
    samples = sampling.generate(
        models.build(config),
        params,
        jnp.asarray(tokens, jnp.int32),
        jnp.asarray(mask),
        jax.random.key(0),
        num_samples=2,
        max_new_tokens=14,
        eos_id=-1,
        rule=sampling.sample(sampling.repetition_penalty(penalty), sampling.top_k(1)),
    )
    assert len(np.unique(expected)) > 5
    for sample in range(2):
        np.testing.assert_array_equal(samples.tokens[:, sample], expected.numpy())


def edit(directory, **tensors):
    file = directory / "model.safetensors"
    stored = load_file(file) | {name.replace("__", "."): value for name, value in tensors.items()}
    save_file({name: value for name, value in stored.items() if value is not None}, file)


def test_the_embedding_under_other_names(directory):
    """Old files have it, with a bias that nothing reads."""
    embedding = np.asarray(tiny.random_params(CONFIG)["embedding"])
    copies = {f"{stack}__embed_tokens__weight": embedding for stack in ("encoder", "decoder")}
    spare = "decoder__block__0__layer__1__EncDecAttention__relative_attention_bias__weight"
    edit(directory, lm_head__weight=embedding, **copies, **{spare: np.zeros((32, 3), np.float32)})
    config, params = hf.load_pretrained(directory)
    assert config == CONFIG
    assert_same(params, tiny.random_params(CONFIG))
    edit(directory, decoder__embed_tokens__weight=embedding + 1)
    with pytest.raises(ValueError, match="decoder.embed_tokens.weight: expected to equal shared.weight, found other"):
        hf.load_pretrained(directory)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"shared__weight": None}, r"shared.weight: expected shape \(31, 16\), found none: it is missing"),
        (
            {"decoder__block__0__layer__1__EncDecAttention__q__weight": np.zeros((16, 18), np.float32)},
            r"EncDecAttention.q.weight: expected shape \(18, 16\), found \(16, 18\)",
        ),
        ({"encoder__block__2__layer__0__layer_norm__weight": np.zeros(16)}, "encoder.block.2.* unexpected"),
        ({"decoder__block__1__layer__0__layer_norm__weight": np.zeros(16)}, "decoder.block.1.* unexpected"),
        (
            {"encoder__block__1__layer__0__SelfAttention__relative_attention_bias__weight": np.zeros((32, 3))},
            "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight: unexpected",
        ),
    ],
)
def test_tensors_that_do_not_fit(directory, tensors, message):
    edit(directory, **tensors)
    with pytest.raises(ValueError, match=r"(?s)are not those of the t5 model .*" + message):
        hf.load_pretrained(directory)


def test_an_untied_model_without_its_output_matrix(tmp_path):
    out = hf.save_pretrained(tmp_path / "out", UNTIED, tiny.random_params(UNTIED))
    edit(out, lm_head__weight=None)
    with pytest.raises(ValueError, match=r"lm_head.weight: expected shape \(31, 16\), found none"):
        hf.load_pretrained(out)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feed_forward_proj": "gelu"}, "feed_forward_proj = 'gelu'; expected one of .*gated-gelu"),
        ({"is_encoder_decoder": False}, "is_encoder_decoder = False"),
        ({"architectures": ["T5ForSequenceClassification"]}, "architectures = .* expected T5ForConditionalGeneration"),
    ],
)
def test_configs_that_cannot_be_read(directory, changes, message):
    file = directory / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(ValueError, match=message):
        hf.read_config(directory)


def test_a_reward_model_is_not_what_transformers_has(tmp_path):
    config = models.RewardConfig(CONFIG)
    with pytest.raises(ValueError, match="transformers' classifier of a t5 model is not this reward model"):
        hf.save_pretrained(tmp_path / "out", config, tiny.random_params(config))
    assert not (tmp_path / "out").exists()


def test_model_json(tmp_path):
    for config in UNTIED, models.RewardConfig(CONFIG, "mean"):
        model_config.save_config(tmp_path, config)
        assert model_config.load_config(tmp_path) == config
