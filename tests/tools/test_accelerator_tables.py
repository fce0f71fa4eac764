"""Tables that need an accelerator, at toy size on a CPU: their programs run, their arithmetic is checked by hand."""

import dataclasses
import functools
import importlib
import math

import jax
import jax.numpy as jnp
import pytest

from jaxalign.models import attention as models_attention
from tools import hardware
from tools.benchmarks import attention, flops, kernels, roofline, training_grid
from tools.benchmarks.batches import Rows, Sizes
from tools.benchmarks.training_grid import CASES, Case, Measurement, Program
from tools.model_shapes import MODELS

TOY = {
    "vocab_size": 31,
    "width": 16,
    "mlp_width": 24,
    "num_layers": 2,
    "num_heads": 4,
    "num_kv_heads": 2,
    "head_dim": 4,
}
QWEN = dataclasses.replace(MODELS["Qwen3-0.6B"], **TOY)
PEAKS = hardware.device_peaks("h200")._replace(flops=100.0, bandwidth=10.0)


def test_lengths_of_a_case_by_hand():
    # 2,048 tokens, the prompt twice the response: 1,365.3 and 682.7, to a multiple of 32.
    case = Case("LiPO", 2048, 2.0, list_size=8)
    assert (case.prompt, case.response) == (1376, 672)
    # A list feeds 1,376 + 8 * 672 = 6,752 tokens: 16,384 are 2.4 lists.
    assert case.sizes() == Sizes(2, 1376, 8, 672)
    assert case.sizes(tokens=1).lists == 1


def test_cases_span_the_axes():
    assert {case.length for case in CASES} == {640, 1024, 2048, 4096, 8192}
    assert {case.list_size for case in CASES} == {1, 2, 4, 8}
    assert {case.ratio for case in CASES if case.list_size == 8} == {0.5, 1, 2, 4, 8}
    assert all(abs(math.log2(case.prompt / case.response / case.ratio)) < 0.2 for case in CASES)
    assert len(set(CASES)) == len(CASES)


@pytest.mark.parametrize("step", ["SFT", "SFT, packed", "DPO", "LiPO"])
def test_steps_are_traced_from_shapes(step):
    sizes = Sizes(2, 6, 1 if "SFT" in step else 2, 4)
    loss_fn = training_grid.LOSSES[step](training_grid.models.build(QWEN))
    batch = training_grid.make_batch(step, sizes, QWEN.vocab_size)
    state = jax.eval_shape(training_grid.state_maker(QWEN), jax.random.key(0))
    loss, _ = jax.eval_shape(loss_fn, state.params, batch, jax.random.key(0))
    assert loss.numerator.shape == ()


def test_training_row_at_toy_size():
    case = Case("SFT", 64, remat="dots", attention="xla")
    cells = training_grid.row("toy", QWEN, case, Sizes(2, 6, 1, 4), 1, None, None)
    cells = dict(zip(training_grid.HEADER, cells, strict=True))
    assert (cells["step"], cells["K"], cells["P"], cells["R"], cells["batch"]) == ("SFT", "1", "6", "4", "2")
    assert float(cells["ms / step"]) > 0 and cells["MFU"] == "-" and float(cells["peak GB"]) >= 0


def test_a_list_step_of_the_structure_with_most_parts_at_toy_size():
    gemma = dataclasses.replace(MODELS["Gemma-2-2B"], **TOY, windowed_layers=(True, False), max_length=64)
    assert (gemma.dtype, gemma.remat) == ("bfloat16", "full")
    found = training_grid.measure(gemma, training_grid.compile_step(gemma, "LiPO", Sizes(2, 6, 3, 4)), rounds=1)
    assert found.seconds > 0 and math.isfinite(found.loss)


def test_training_cells_by_hand():
    sizes = Sizes(2, 6, 3, 4)
    counted = flops.step_flops(QWEN, flops.list_work(QWEN, sizes)).total
    # Half a second at a peak of 10 steps' FLOP/s: a fifth. 2 (6 + 3 * 4) = 36 tokens.
    found, peaks = Measurement(0.5, 0.0), PEAKS._replace(flops=10.0 * counted)
    assert training_grid.cells(QWEN, "LiPO", sizes, found, 3 * 10**9, peaks) == ("500.0", "72", "0.200", "3.0")
    assert training_grid.cells(QWEN, "LiPO", sizes, None, 3 * 10**9, peaks) == ("does not fit", "-", "-", "3.0")
    rows = flops.row_work(QWEN, Rows(2, 1, 10))
    assert training_grid.work(QWEN, "SFT", Sizes(2, 6, 1, 4)) == rows
    assert training_grid.work(QWEN, "SFT, packed", Sizes(2, 6, 1, 4)) == rows


def test_what_does_not_fit_is_a_row(monkeypatch):
    case = Case("DPO", 64, list_size=2)

    def row(limit):
        return training_grid.row("toy", QWEN, case, Sizes(2, 6, 2, 4), 1, limit, None)[-4:]

    monkeypatch.setattr(training_grid, "compile_step", lambda *_: Program(None, None, None, 5 * 10**9))
    monkeypatch.setattr(training_grid, "measure", lambda *_: Measurement(1.0, 0.0))
    assert row(4 * 10**9) == ("does not fit", "-", "-", "5.0")
    assert row(6 * 10**9)[0] == "1000.0"

    def fail(message):
        def raise_it(*_):
            raise jax.errors.JaxRuntimeError(message)

        monkeypatch.setattr(training_grid, "compile_step", raise_it)

    fail("RESOURCE_EXHAUSTED: Out of memory while trying to allocate")
    assert row(None) == ("does not fit", "-", "-", "-")
    fail("INTERNAL: something else")
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        row(None)


@pytest.mark.parametrize("module", [training_grid, attention, kernels])
def test_tables_need_an_accelerator(module):
    table = module.table(1)
    assert "Not measured" in table.render() and not table.header


def test_roofline_by_hand():
    # 500 FLOP at 100 a second are 5 s, 20 bytes at 10 a second 2 s.
    cost = roofline.Cost(flops=500, bytes=20)
    assert (cost.seconds(PEAKS), cost.bound(PEAKS)) == (5.0, "compute")
    assert roofline.Cost(100, 20).bound(PEAKS) == "memory"
    assert roofline.cells(cost, 10.0, PEAKS)[2:] == ("compute", "5e+03", "1e+04", "0.500")
    assert roofline.cells(cost, 10.0, None)[2:] == ("-", "-", "1e+04", "-")
    # Two arrays of 3 floats in, one out.
    assert roofline.boundary_bytes(lambda x, y: x + y, jnp.ones(3), jnp.ones(3)) == 36


def test_attention_cost_by_hand():
    # 2 rows of 3: 6 pairs each, 4 * 4 heads * 8 FLOP a pair. Elements: queries 2 * 3 * 4 * 8 = 192, keys half of that.
    case = attention.Case(2, 3, heads=4, kv_heads=2, width=8)
    # A row of two segments of 3 has as many pairs as two rows.
    assert attention.Case(1, 6, 2, heads=4, kv_heads=2, width=8).cost(backward=False) == case.cost(backward=False)
    assert case.cost(backward=False) == (4 * 32 * 12, 2 * (2 * 192 + 2 * 96))
    # Backward: queries, output and cotangent and the three others are read, three cotangents written.
    assert case.cost(backward=True) == (12 * 32 * 12, 2 * (2 * 192 + 2 * 96) + 2 * (4 * 192 + 4 * 96))


def test_attention_rows(monkeypatch):
    def fused(query, key, value, mask=None, *, scale):
        mask = None if mask is None else mask[:, None]
        return jax.nn.dot_product_attention(query, key, value, mask=mask, scale=scale, is_causal=True)

    def refused(query, key, value, *, segments, scale):
        raise NotImplementedError("no segments\nare taken")

    monkeypatch.setattr(models_attention, "cudnn_attention", fused)
    forms = {**attention.PACKED, "refused": refused}
    rows = list(attention.rows(attention.Case(1, 8, 2, heads=4, kv_heads=2, width=8), forms, 1, PEAKS))
    assert [row[3] for row in rows] == [*forms, *forms]
    cells = [dict(zip(attention.HEADER, row, strict=True)) for row in rows if row[3] != "refused"]
    assert all(float(c["ms"]) > 0 and float(c["difference"]) < 0.02 for c in cells)
    assert {row[5:] for row in rows if row[3] == "refused"} == {("no segments",)}


def test_jax_takes_what_cudnn_is_given(monkeypatch):
    """As far as JAX's own checks: the kernel needs a GPU."""
    stablehlo = importlib.import_module("jax._src.cudnn.fused_attention_stablehlo")
    monkeypatch.setattr(stablehlo, "check_cudnn_version", lambda: 91500)
    monkeypatch.setattr(stablehlo, "check_is_flash_attention", lambda *arguments, **options: None)
    query, key = (jnp.zeros((2, 8, heads, 8), jnp.bfloat16) for heads in (4, 2))
    for form in (attention.fused_form, attention.masked_form):
        attend = functools.partial(form, segments=2, scale=1.0)
        gradient = jax.grad(lambda *x, attend=attend: attend(*x).astype(jnp.float32).sum(), argnums=(0, 1, 2))
        shapes = jax.eval_shape(gradient, query, key, key)
        assert [leaf.shape for leaf in shapes] == [query.shape, key.shape, key.shape]


def test_kernel_rows():
    rows = list(kernels.measured_rows(QWEN, 12, Sizes(2, 6, 3, 4), (16,), 1, None))
    cells = [dict(zip(kernels.HEADER, row, strict=True)) for row in rows]
    assert [c["kernel"].split(",")[0] for c in cells] == [
        *("token_logps", "MLP", "QKV", "attention", "attention", "embedding lookup", "AdamW update")
    ]
    assert all(float(c["ms"]) > 0 and c["share of bound"] == "-" for c in cells)


def test_kernels_count_as_steps_do():
    tokens, sizes = 12, Sizes(2, 6, 3, 4)
    counted = flops.step_flops(QWEN, flops.Work(tokens, tokens, 0, 0))
    assert kernels.token_logps_kernel(QWEN, tokens, 16).cost.flops == counted.logits
    output = 6 * tokens * QWEN.num_heads * QWEN.head_dim * QWEN.width
    layer = kernels.mlp_kernel(QWEN, tokens).cost.flops + kernels.projection_kernel(QWEN, tokens).cost.flops + output
    assert layer * QWEN.num_layers == counted.layers
    # As rewards read lists: the prompt to its last token.
    pairs = flops.reward_work(QWEN, sizes).pairs
    both = kernels.prompt_attention_kernel(QWEN, sizes), kernels.shared_attention_kernel(QWEN, sizes)
    per_layer = sum(kernel.cost.flops for kernel in both)
    assert per_layer * QWEN.num_layers == flops.step_flops(QWEN, flops.Work(0, 0, pairs, 0)).attention


def test_kernel_bytes_by_hand():
    # 12 rows of 16 floats read, of bfloat16 results written and cotangents read; 12 ids; the whole table of gradients.
    embedding = kernels.embedding_kernel(QWEN, 12).cost
    assert embedding == (0, 12 * 16 * (4 + 2 + 2) + 12 * 4 + 31 * 16 * 4)
    # Parameters and two moments read and written, gradients read twice: 8 arrays of the size; and two counters.
    kernel = kernels.optimizer_kernel(QWEN)
    size = roofline.size_of(kernel.inputs[0])
    assert 8 * size <= kernel.cost.bytes <= 8 * size + 64
