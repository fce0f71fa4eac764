"""An adapter on a base in int8 or NF4: on which devices its parts lie, and what a step needs in memory."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from jaxalign import models, numerics, sharding, training

DECODER = models.DecoderConfig(64, 128, 128, 2, 4, 2, 32)
LORA = models.LoraConfig(4, 8.0)
RULES = sharding.Rules(models.LOGICAL_AXES)
OPTIMIZER = training.adamw(1e-2)
KEY = jax.random.key(0)
quantize_base = jax.jit(models.quantize_base, static_argnums=1)
init_lora = jax.jit(models.init_lora, static_argnums=2)
TOKENS = np.random.default_rng(1).integers(0, 64, (8, 9))


def init(config, kind):
    """A model and a quantised base, drawn by NumPy."""
    model = models.build(config)
    shapes = jax.eval_shape(model.init, KEY, jnp.zeros((1, 2), jnp.int32))["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: jnp.asarray(0.1 * rng.standard_normal(leaf.shape), jnp.float32), shapes)
    return model, quantize_base(params, kind)


def token_loss(model, params, batch, key):
    logps = jax.nn.log_softmax(model.apply({"params": params}, batch[:, :-1]))
    return numerics.ratio(-jnp.take_along_axis(logps, batch[:, 1:, None], axis=-1)), {}


def run(kind, *, mesh=None, num_steps=3):
    model, base = init(DECODER, kind)
    adapter, batch = init_lora(KEY, base, LORA), TOKENS
    if mesh is not None:
        base = sharding.place(base, sharding.param_shardings(base, mesh, RULES))
        batch = sharding.place_batch(batch, mesh=mesh, rules=RULES)
    loss_fn = models.lora_loss(functools.partial(token_loss, model), base, LORA)
    step = training.make_train_step(loss_fn, OPTIMIZER, mesh=mesh, rules=RULES)
    state, history = training.init_state(adapter, OPTIMIZER, mesh=mesh, rules=RULES), []
    for _ in range(num_steps):
        state, metrics = step(state, batch, KEY)
        history.append(float(metrics["loss"].value))
    return base["layers"], state.params, history


def test_a_mesh_gives_the_numbers_of_one_device():
    """On fsdp = 4 NF4's two blocks of 64 inputs cannot be divided: their scales are whole, their codes are not."""
    mesh = sharding.make_mesh(fsdp=4, tensor=2)
    layers, adapter, history = run("nf4", mesh=mesh)
    _, expected, expected_history = run("nf4")
    assert np.all(np.diff(history) < 0)
    np.testing.assert_allclose(history, expected_history, rtol=1e-4)
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-3), jax.device_get(adapter), expected)
    up = layers["mlp"]["up"]
    assert (up.qvalue.sharding.spec, up.scale.sharding.spec) == (P(None, "fsdp", "tensor"), P(None, None, "tensor"))


def test_no_device_gathers_a_map():
    """What qwix.dequantize would do to NF4, since it flattens: the multiplication is as local as a float map's."""
    mesh = sharding.make_mesh(fsdp=1, tensor=8)
    _, base = init(DECODER, "nf4")
    up = jax.tree.map(lambda leaf: leaf[0], base["layers"]["mlp"]["up"])
    split = jax.sharding.NamedSharding(mesh, P(None, "tensor"))
    up = jax.tree.map(lambda leaf: jax.device_put(leaf, split), up)
    multiply = functools.partial(models.quantization.multiply, axes=1)
    program = jax.jit(multiply).lower(jnp.ones((4, 128)), up).compile().as_text()
    assert "all-gather" not in program and "all-to-all" not in program


def test_maps_are_made_anew_layer_by_layer():
    """Without any rematerialisation of layers, a step needs less room than the layers' maps in float32 would."""
    config = dataclasses.replace(DECODER, width=256, mlp_width=1024, num_layers=8)
    model, base = init(config, "nf4")
    loss_fn = models.lora_loss(functools.partial(token_loss, model), base, LORA)
    step = training.make_train_step(loss_fn, OPTIMIZER)
    state = training.init_state(init_lora(KEY, base, LORA), OPTIMIZER)
    program = step.func.lower(*step.args, state, TOKENS[:1, :4], KEY).compile()
    maps = jax.tree.leaves(base["layers"], is_leaf=models.quantization.is_quantized)
    size = sum(4 * leaf.qvalue.size for leaf in maps if models.quantization.is_quantized(leaf))
    assert program.memory_analysis().temp_size_in_bytes < 0.6 * size
