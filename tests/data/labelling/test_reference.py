import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import data, models

OPTIONS = dict(batch_size=2, list_size=2)


def make_lists(scale=1):
    prompts = [[2, 7], [2, 8, 9], [2]]
    responses = [[[5, 1], [6, 6, 1], [1]], [[4, 1]], [[3, 3, 3, 1], [9, 1]]]
    responses = [[[scale * token for token in response] for response in of] for of in responses]
    return data.lists_from_tokens(prompts, responses, [[0.5] * len(of) for of in responses], pad_id=0, limits=(3, 4))


def count_logps(batch):
    """Stands in for a model: minus the sum of a response's tokens, and of its prompt's over 100."""
    prompts = np.where(batch.prompt_mask, batch.prompt_tokens, 0).sum(axis=1)
    return jnp.array(-np.where(batch.response_mask, batch.response_tokens, 0).sum(axis=2) - prompts[:, None] / 100)


EXPECTED = [[-6.09, -13.09, -1.09], [-5.19, np.nan, np.nan], [-10.02, -10.02, np.nan]]


def test_a_file_is_written_once_and_mapped(tmp_path):
    logps = data.load_reference_logps(tmp_path / "new", make_lists(), count_logps, model="a", **OPTIONS)
    np.testing.assert_allclose(logps, EXPECTED, rtol=1e-6)
    assert isinstance(logps, np.memmap) and logps.dtype == np.float32

    def fail(batch):
        raise AssertionError("computed again")

    again = data.load_reference_logps(tmp_path / "new", make_lists(), fail, model="a", batch_size=9, list_size=9)
    np.testing.assert_array_equal(again, logps)
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_another_model_or_other_data_have_files_of_their_own(tmp_path):
    for lists, model in (make_lists(), "a"), (make_lists(), "b"), (make_lists(2), "a"):
        data.load_reference_logps(tmp_path, lists, count_logps, model=model, **OPTIONS)
    assert len(list(tmp_path.iterdir())) == 3


def test_equal_weights_under_another_config_have_another_name():
    params = {"w": jnp.arange(3.0)}
    config = models.DecoderConfig(32, 16, 24, 2, 4, 2, 4)
    others = ({"rope_base": 5e5}, {"window": 4}, {"norm_epsilon": 1e-2}, {"dtype": "bfloat16"}, {"logit_softcap": 30.0})
    configs = [config, *(dataclasses.replace(config, **change) for change in others)]
    names = [data.fingerprint((each, params)) for each in configs]
    assert len(set(names)) == len(names)
    assert data.fingerprint((dataclasses.replace(config), {"w": np.arange(3, dtype=np.float32)})) == names[0]


def test_a_computation_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(file, array):
        file.write(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        data.load_reference_logps(tmp_path, make_lists(), count_logps, model="a", **OPTIONS)
    assert not list(tmp_path.iterdir())


def test_batches_carry_the_log_probability_of_each_response():
    lists = make_lists()
    table = data.score_lists(lists, count_logps, **OPTIONS)
    stream = data.list_batches(
        lists, batch_size=3, list_size=2, reference_logps=table, num_epochs=5, buckets=[(2, 2), (3, 4)]
    )
    for batch in stream:
        expected = np.where(batch.where, count_logps(batch), 0)
        np.testing.assert_allclose(batch.reference_logps, expected, rtol=1e-6)


def test_fingerprint_sees_names_shapes_types_and_values():
    params = {"a": jnp.arange(4.0), "b": {"c": jnp.ones((2, 2), jnp.bfloat16)}}
    variants = [
        {"a": jnp.arange(4.0).at[0].set(1e-30), "b": params["b"]},
        {"a": jnp.arange(4.0).reshape(2, 2), "b": params["b"]},
        {"a": params["a"], "b": {"d": params["b"]["c"]}},
        {"a": params["a"], "b": {"c": jnp.ones((2, 2), jnp.float16)}},
    ]
    same = {"b": {"c": np.ones((2, 2), jnp.bfloat16)}, "a": np.arange(4, dtype=np.float32)}
    assert data.fingerprint(same) == data.fingerprint(params)
    assert len({data.fingerprint(variant) for variant in [params, *variants]}) == 5
