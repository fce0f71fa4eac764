import dataclasses
import functools

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxalign import models, sampling
from jaxalign.models import LoraConfig

PLAIN_REWARD, ENCODER_REWARD = models.RewardConfig(tiny.MIXED), models.RewardConfig(tiny.ENCODER, "first")
CONFIGS = tiny.CONFIGS | {
    "plain": dataclasses.replace(tiny.PLAIN, remat="full"),
    "encoder": tiny.ENCODER,
    "reward": PLAIN_REWARD,
    "encoder_reward": ENCODER_REWARD,
}
KINDS = {"lora": LoraConfig(3, 3.0, rank_stabilized=True), "dora": LoraConfig(3, 6.0, dora=True)}
# DoRA does to every map all that LoRA does, and divides; each model's layers, and each kind beside a head, are there.
CASES = {name: KINDS["lora" if name in ("mixed", "encoder") else "dora"] for name in CONFIGS}
CASES["plain"] = dataclasses.replace(CASES["plain"], modules_to_save=("final_norm",))
TOKENS = jnp.asarray(np.random.default_rng(0).integers(0, 61, (2, 9)))
# Compiled, because operation by operation each shape of a map is some small programs.
init_lora, apply_lora, merge_lora = (
    jax.jit(function, static_argnums=2) for function in (models.init_lora, models.apply_lora, models.merge_lora)
)


def flatten(tree):
    return flax.traverse_util.flatten_dict(tree, sep="/")


def trained(params, config, seed=1):
    """An adapter whose every entry is away from its start: factors about 0, and all else about 1."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(functools.partial(models.init_lora, config=config), jax.random.key(0), params)

    def draw(path, leaf):
        centre = 0.0 if "_lora_" in path[-1].key else 1.0
        return (centre + 0.2 * rng.standard_normal(leaf.shape)).astype(leaf.dtype)

    return jax.tree.map_with_path(draw, shapes)


def test_one_map_by_hand():
    """Two inputs, two outputs, rank 1: W = I, A = (1, 2), B = (3, 4), alpha 0.5."""
    params = {"up": np.eye(2, dtype=np.float32)}
    adapter = {"up_lora_a": np.float32([[1], [2]]), "up_lora_b": np.float32([[3, 4]])}
    config = LoraConfig(1, 0.5, ("up",))
    # A B = [[3, 4], [6, 8]]; half of it and the identity:
    expected = np.array([[2.5, 2.0], [3.0, 5.0]])
    np.testing.assert_allclose(merge_lora(params, adapter, config)["up"], expected)
    # The columns have the norms sqrt(2.5^2 + 3^2) and sqrt(2^2 + 5^2); DoRA gives them 10 and 20 instead.
    dora, adapter = dataclasses.replace(config, dora=True), adapter | {"up_magnitude": np.float32([10, 20])}
    expected = expected * np.array([[10 / np.sqrt(15.25), 20 / np.sqrt(29)]])
    np.testing.assert_allclose(merge_lora(params, adapter, dora)["up"], expected, rtol=1e-6)


def test_scale():
    assert LoraConfig(16, 8.0).scale == 0.5
    assert LoraConfig(16, 8.0, rank_stabilized=True).scale == 2


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def outputs_and_gradient(form, model, config, params, adapter):
    """What the adapted model says, and the gradient of a sum of it."""

    def total(adapter):
        outputs = model.apply({"params": form(params, adapter, config)}, TOKENS)
        return jnp.sum(jnp.sin(outputs)), outputs

    gradient, outputs = jax.grad(total, has_aux=True)(adapter)
    return outputs, gradient


@pytest.mark.parametrize("name", CASES)
def test_the_start_is_the_base(name):
    config = CASES[name]
    model, params = tiny.init(CONFIGS[name])
    adapter = init_lora(jax.random.key(0), params, config)
    actual, _ = outputs_and_gradient(models.apply_lora, model, config, params, adapter)
    np.testing.assert_allclose(actual, tiny.forward(model, params, TOKENS), atol=1e-5)
    if not config.dora:  # whose quotient of norms may round
        jax.tree.map(np.testing.assert_array_equal, merge_lora(params, adapter, config), params)


@pytest.mark.parametrize("name", CASES)
def test_beside_the_base_is_merged_into_it(name):
    """Values of the two forms agree, and every number of the adapter takes part in both, with the same gradient."""
    config = CASES[name]
    model, params = tiny.init(CONFIGS[name])
    adapter = trained(params, config)
    (outputs, beside), (expected, merged) = (
        outputs_and_gradient(form, model, config, params, adapter) for form in (models.apply_lora, models.merge_lora)
    )
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)
    assert np.abs(np.asarray(outputs) - tiny.forward(model, params, TOKENS)).max() > 0.1
    for path, gradient in flatten(merged).items():
        assert np.abs(gradient).max() > 1e-6, path
        np.testing.assert_allclose(flatten(beside)[path], gradient, rtol=1e-3, atol=1e-3, err_msg=path)


def test_shapes_and_targets():
    _, params = tiny.init(PLAIN_REWARD)
    config = LoraConfig(5, 1.0, ("query", "attention/output", "mlp/down"), dora=True)
    adapter = jax.eval_shape(functools.partial(models.init_lora, config=config), jax.random.key(0), params)
    shapes = {path: leaf.shape for path, leaf in flatten(adapter).items()}
    attention, mlp = "backbone/layers/attention/", "backbone/layers/mlp/"
    assert shapes == {
        f"{attention}query_lora_a": (3, 16, 5),
        f"{attention}query_lora_b": (3, 5, 4, 4),
        f"{attention}query_magnitude": (3, 4, 4),
        f"{attention}output_lora_a": (3, 4, 4, 5),
        f"{attention}output_lora_b": (3, 5, 16),
        f"{attention}output_magnitude": (3, 16),
        f"{mlp}down_lora_a": (3, 32, 5),
        f"{mlp}down_lora_b": (3, 5, 16),
        f"{mlp}down_magnitude": (3, 16),
        "head/reward": (16, 1),
    }


def test_all_maps_of_the_layers_are_the_default():
    _, params = tiny.init(ENCODER_REWARD)
    maps, saved = models.lora_config.match_modules(flatten(params), LoraConfig(1, 1.0))
    names = [path.removeprefix("backbone/layers/") for path in maps]
    assert names == [*(f"attention/{name}" for name in ("key", "output", "query", "value")), "mlp/down", "mlp/up"]
    assert saved == ["head/reward", "head/reward_bias"]
    assert models.lora_config.match_modules(flatten(params), LoraConfig(1, 1.0, ("pooler",), ()))[0] == [
        "backbone/pooler"
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_maps_outside_the_layers(kind):
    model, params = tiny.init(tiny.PLAIN)
    config = dataclasses.replace(KINDS[kind], target_modules=("unembedding",))
    adapter = trained(params, config)
    applied, merged = (form(params, adapter, config) for form in (apply_lora, merge_lora))
    jax.tree.map(np.testing.assert_array_equal, applied, merged)
    assert np.abs(applied["unembedding"] - np.asarray(params["unembedding"])).max() > 0.1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (LoraConfig(1, 1.0, ("q_proj", "up")), r"no linear map is called 'q_proj'; there are .*layers/attention/key, "),
        (LoraConfig(1, 1.0, ("embedding",)), "no linear map is called 'embedding'"),
        (
            LoraConfig(1, 1.0, modules_to_save=("haed",)),
            r"no parameter is called 'haed'; there are embedding, .*unembedding",
        ),
    ],
)
def test_names_that_fit_nothing(config, message):
    _, params = tiny.init(tiny.PLAIN)
    with pytest.raises(ValueError, match=message):
        init_lora(jax.random.key(0), params, config)


def test_an_adapter_of_something_else():
    """It must not be laid beside nothing and silently change nothing."""
    _, params = tiny.init(tiny.PLAIN)
    adapter = trained(params, KINDS["lora"])
    for form in models.apply_lora, models.merge_lora:
        with pytest.raises(ValueError, match="changes backbone/layers/attention/key, .* which the model lacks; it has"):
            form(params, {"backbone": adapter}, KINDS["lora"])
        with pytest.raises(
            ValueError, match="attention/key has rank 3 and dora=False, the LoraConfig rank 4 and dora=F"
        ):
            form(params, adapter, LoraConfig(4, 1.0))
        with pytest.raises(ValueError, match="the LoraConfig rank 3 and dora=True; pass the LoraConfig that"):
            form(params, adapter, KINDS["dora"])


def test_a_rank_of_nothing():
    with pytest.raises(ValueError, match="rank must be at least 1, got 0"):
        LoraConfig(0, 1.0)


def test_an_output_without_weights_has_no_direction():
    """DoRA divides by its norm, which is 0 here: value 0 and no NaN."""
    params = {"up": np.float32([[0, 1]])}
    config = LoraConfig(1, 1.0, ("up",), dora=True)
    adapter = init_lora(jax.random.key(0), params, config)
    gradient = jax.jit(jax.grad(lambda adapter: merge_lora(params, adapter, config)["up"].sum()))(adapter)
    np.testing.assert_array_equal(merge_lora(params, adapter, config)["up"], params["up"])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_dora_learns_norm_and_direction_apart():
    """The norm of each output's weights is the magnitude, whatever the factors are."""
    _, params = tiny.init(tiny.PLAIN)
    adapter = trained(params, KINDS["dora"])
    query = merge_lora(params, adapter, KINDS["dora"])["layers"]["attention"]["query"]
    magnitude = adapter["layers"]["attention"]["query_magnitude"]
    np.testing.assert_allclose(np.linalg.norm(query, axis=1), np.abs(magnitude), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_base_in_bfloat16(kind):
    model, params = tiny.init(tiny.PLAIN)
    params = jax.tree.map(lambda leaf: np.asarray(leaf).astype(jnp.bfloat16), params)
    adapter = trained(params, KINDS[kind])
    assert {leaf.dtype for leaf in jax.tree.leaves(adapter)} == {jnp.dtype("float32")}
    merged = merge_lora(params, adapter, KINDS[kind])
    assert {leaf.dtype for leaf in jax.tree.leaves(merged)} == {jnp.dtype("bfloat16")}
    expected = np.asarray(tiny.forward(model, merged, TOKENS))
    applied = tiny.forward(model, apply_lora(params, adapter, KINDS[kind]), TOKENS)
    assert np.std(applied - expected) < 0.05 * np.std(expected)  # the sums are rounded to bfloat16


def test_lists_and_generation_run_on_it():
    model, params = tiny.init(tiny.MIXED)
    adapter = trained(params, KINDS["dora"])
    applied, merged = (form(params, adapter, KINDS["dora"]) for form in (apply_lora, merge_lora))
    batch = tiny.list_batch(61)
    logps = jax.jit(functools.partial(models.response_logps, model))
    np.testing.assert_allclose(logps(applied, batch), logps(merged, batch), atol=1e-4)
    options = {"num_samples": 2, "max_new_tokens": 4, "eos_id": 0, "rule": sampling.greedy}
    generated = [
        sampling.generate(model, form, TOKENS, np.ones(TOKENS.shape, bool), jax.random.key(0), **options)
        for form in (applied, merged)
    ]
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-4), *generated)
