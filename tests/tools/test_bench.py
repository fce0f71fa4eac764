"""tools/bench.py: every table at toy size. Structure and arithmetic are checked, timings are not."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import models
from tools import bench, hardware
from tools.benchmarks import (
    candidate_search,
    generation,
    jobs,
    kernels,
    measure,
    packed_lists,
    relation_features,
    remat,
    retrieval,
    shared_prompt,
    similarity,
    token_logps,
)
from tools.benchmarks.batches import Sizes, random_lists, random_params
from tools.model_shapes import MODELS

SMALL = {"vocab_size": 31, "width": 16, "mlp_width": 24, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2}
CASE = generation.Case(batch=2, prompt=5, new=4)


def shrink(config):
    """The same structure at toy size."""
    windowed = config.windowed_layers[:2]
    return dataclasses.replace(config, head_dim=4, max_length=64, windowed_layers=windowed, **SMALL)


def test_forms_take_turns():
    calls = []
    seconds = measure.take_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2)
    assert calls == ["a", "b"] * 3
    assert [len(values) for values in seconds.values()] == [2, 2]


def test_warm_turns_time_every_second_call():
    calls = []
    seconds = measure.take_warm_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2)
    assert "".join(calls) == "aabbaabb"
    assert [len(values) for values in seconds.values()] == [2, 2]


def test_ratio_is_the_median_over_rounds():
    # Rounds give 4 / 2 = 2, 9 / 3 = 3 and 10 / 1 = 10; the ratio of the medians would be 9 / 2.
    assert measure.median_ratio([4, 9, 10], [2, 3, 1]) == 3


def test_tables_render_as_markdown():
    table = measure.Table("T", ["A note."], ("x", "y"), [("1", "2")])
    assert table.render() == "### T\n\nA note.\n\n| x | y |\n| --- | --- |\n| 1 | 2 |"


def test_similarity_row(monkeypatch):
    rows, width, milliseconds, ratio, apart = similarity.row(similarity.Case(300, 8), rounds=1)
    assert (rows, width) == ("300", "8") and float(milliseconds) >= 0 and float(ratio) >= 0 and float(apart) < 1e-6
    monkeypatch.setattr(similarity, "ALL_PAIRS", 10)
    assert similarity.row(similarity.Case(300, 8), rounds=1)[3:] == ("", "")


def test_candidate_search_row():
    for by_path in (False, True):
        cells = candidate_search.row(candidate_search.Case(20, (3, 20, 30)), by_path, rounds=1)
        assert len(cells) == len(candidate_search.HEADER) and cells[1:3] == ("20", "53") and float(cells[-1]) >= 0


def test_retrieval_rows():
    case = retrieval.Case(rows=300, width=8, topics=10, queries=5, inserts=4)
    rows = [dict(zip(retrieval.HEADER, cells, strict=True)) for cells in retrieval.rows(case, rounds=1)]
    assert [row["index"] for row in rows] == ["exact", "IVF", "usearch"]
    # Up to 2,048 vectors the second is exact too. 512 rows of 8 numbers and an id, 4 bytes each.
    assert [row["recall@10"] for row in rows[:2]] == ["1.000", "1.000"] and float(rows[2]["recall@10"]) > 0.9
    assert retrieval.gibibytes(retrieval.fill(retrieval.indexes(8)["exact"], np.ones((300, 8)))[0]) * 2**30 == 512 * 36
    assert all(float(row["p50 ms"]) <= float(row["p99 ms"]) for row in rows)
    assert all(float(row["inserts / s"].replace(",", "")) > 0 for row in rows)


def test_token_logps_row():
    case = token_logps.Case(tokens=64, width=8, vocab_size=16_384, dtype="float32")
    cells = dict(zip(token_logps.HEADER, token_logps.row(case, 1), strict=True))
    assert (cells["N"], cells["V"]) == ("64", "16,384")
    assert float(cells["memory ratio"]) > 2
    assert 0 < float(cells["gradient difference"]) < 1e-5


def test_gradient_difference():
    # First array: 0.5 off beside a largest entry of 2. Second: 0.1 off beside 1.
    found, expected = [jnp.array([1.0, 2.5]), jnp.array([0.9])], [jnp.array([1.0, 2.0]), jnp.array([1.0])]
    assert token_logps.largest_difference(found, expected) == 0.25


def test_shared_prompt_row():
    config = dataclasses.replace(shrink(shared_prompt.CONFIG), num_layers=1)
    cells = dict(zip(shared_prompt.HEADER, shared_prompt.row(config, Sizes(1, 8, 3, 4), 1), strict=True))
    assert cells["ideal"] == "1.80"  # 3 (8 + 4) / (8 + 3 * 4)
    assert float(cells["share of ideal"]) == pytest.approx(float(cells["speed-up"]) / 1.8, abs=0.01)


def test_packed_lists_row():
    # Lists of 4 prompt tokens, and 3 responses of 8 tokens and 5 of 2: padded 4 + 8 * 8 = 68, of which 4 + 34 are real.
    lists = packed_lists.make_lists([(4, [8, 8, 9, 2, 2, 2, 2, 2])] * 18, (4, 8), vocab_size=31)
    config = dataclasses.replace(shrink(shared_prompt.CONFIG), num_layers=1)
    row = packed_lists.row(config, lists, packed_lists.Case((4, 8), lists=2), 1)
    # A row has at most 136 tokens. Three lists feed 9 tokens of prompts and need 9 lanes and, for 15 responses of 2, 4
    # more; for a fourth list 15 are too few. 17 tokens for prompts and 14 lanes of 8 make the smallest row, 129.
    assert row[:4] == ("4", "8", f"{30 / 68:.3f}", f"{(129 - 3 * 37) / 129:.3f}")
    assert row[4:6] == ("2.00", "3.00") and row[7] == f"{68 / (129 / 3):.2f}"
    assert float(row[6]) > 0 and float(row[8]) > 0


def test_lengths_to_pack_are_drawn_where_no_data_are():
    lengths, source = packed_lists.draw_lengths(400)
    assert np.median([prompt for prompt, _ in lengths]) == pytest.approx(30, rel=0.2)
    assert np.median([of for _, of in lengths]) == pytest.approx(200, rel=0.1) and "200" in source


def test_remat_rows():
    config, sizes = dataclasses.replace(shrink(shared_prompt.CONFIG), num_layers=8), Sizes(1, 32, 3, 16)
    inputs = random_params(models.build(config)), random_lists(sizes, config.vocab_size)
    programs = {policy: remat.compile_gradient(config, policy, inputs) for policy in ("none", "full")}
    seconds = {"none": [1.0, 2.0], "full": [1.5, 3.0]}
    none, full = (remat.row(policy, programs, seconds) for policy in programs)
    assert none[1::2] == ("1.00", "1.00") and full[1] == "1.50" and float(full[3]) < 0.6


def test_relation_features_row():
    cells = dict(zip(relation_features.HEADER, relation_features.row(relation_features.Case(200, 32), 1), strict=True))
    assert float(cells["memory ratio"]) > 3
    assert 0 < float(cells["gradient difference"]) < 1e-4


def test_generation_row():
    cells = dict(zip(generation.HEADER, generation.row(generation.small_config(64, 1), CASE, 1), strict=True))
    assert cells["equal tokens"] == "1.000"
    assert all(float(cells[name].replace(",", "")) > 0 for name in ("ours tokens / s", "speed-up"))


def test_generation_rows_of_a_published_model():
    (config,) = generation.cpu_configs(["smollm2-135m"])
    assert (config.vocab_size, config.dtype, config.remat) == (49_152, "float32", "none")
    assert generation.cpu_configs([])[-1] == config


def test_jobs_row():
    case = jobs.Case(prompts=5, prompt=20, new=4, slots=3)
    cells = dict(zip(jobs.HEADER, jobs.row("toy", generation.small_config(64, 1), case, 1), strict=True))
    assert all(float(cells[name].replace(",", "")) > 0 for name in ("generate tokens / s", "run_jobs tokens / s"))


def test_both_ways_of_jobs_draw_the_same_tokens():
    model = models.build(generation.small_config(64, 1))
    forms = jobs.make_forms(model, random_params(model), jobs.Case(prompts=5, prompt=20, new=4, slots=3))
    batches = np.concatenate(forms["generate"]())[:, 0].tolist()
    assert sorted(map(tuple, batches)) == sorted(forms["run_jobs"]())


def test_generation_on_an_accelerator_by_hand():
    config = dataclasses.replace(shrink(MODELS["Gemma-2-2B"]), window=3)
    # A layer: query and output 16 x 16 each, key and value 16 x 8 each, three matrices 16 x 24: 512 + 256 + 1152.
    # Two of them and the output matrix 16 x 31. Columns: windowed 2 of the prompt and half of 3, global 5, half of 4.
    weights, columns = 2 * 1920 + 16 * 31, (2 + 1.5) + (5 + 2)
    assert generation.token_bytes(config, CASE) == 2 * (weights + 2 * 2 * 2 * 4 * columns)
    # A token of that many bytes in 4 ms, at twice as many bytes in 4 ms: half. transformers takes 12 ms.
    ours, theirs = generation.Seconds(0.02, 0.004), generation.Seconds(0.1, 0.012)
    peaks = hardware.device_peaks("h200")._replace(bandwidth=2 * generation.token_bytes(config, CASE) / 0.004)
    cells = generation.accelerator_row("toy", config, CASE, ours, theirs, peaks)
    assert cells == ("toy", "2", "20.0", "4.00", "500", "0.500", "12.00", "3.0")
    assert generation.accelerator_row("toy", config, CASE, ours, None, None)[5:] == ("-", "-", "-")


def test_decoding_is_timed_apart_from_its_prefill():
    config = dataclasses.replace(shrink(MODELS["Qwen3-0.6B"]), remat="none")
    ours = generation.decode_seconds(config, CASE, 1)
    assert ours.prefill > 0 and math.isfinite(ours.token)
    theirs = generation.torch_model(config, "cpu")
    assert sum(p.numel() for p in theirs.parameters()) == sum(p.size for p in jax.tree.leaves(params_of(config)))
    assert generation.torch_seconds(theirs, CASE).prefill > 0 and not generation.cuda_torch()


def params_of(config):
    """Their shapes."""
    return jax.eval_shape(models.build(config).init, jax.random.key(0), jnp.zeros((1, 2), jnp.int32))


def test_command_prints_the_machine_and_a_table(capsys):
    bench.main(table="kernels", rounds=1)
    machine, _, title, *_ = capsys.readouterr().out.splitlines()
    assert f"jax {jax.__version__}" in machine and "load average" in machine
    assert title == f"### {kernels.TITLE}"
