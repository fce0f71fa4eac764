import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import data, losses


def test_record_of_lists_becomes_a_record_of_tuples():
    record = data.PreferenceRecord("p", ["a", ""], [1, np.float32(0.5)], source="s", id="7")
    assert record == data.PreferenceRecord("p", ("a", ""), (1, 0.5), "s", "7")


def test_chat_keeps_roles_and_contents_only():
    record = data.PreferenceRecord([{"role": "user", "content": "hi", "name": "x"}], ("a",), (1.0,))
    assert record.prompt == ({"role": "user", "content": "hi"},)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((5, ("a",), (1.0,)), "prompt: expected a text or a list"),
        ((None, ("a",), (1.0,)), "prompt: expected a text or a list"),
        (([], ("a",), (1.0,)), "prompt: expected a text or a list of at least one"),
        (([{"role": "user"}], ("a",), (1.0,)), "prompt: expected messages with texts for role and content"),
        (("p", (), ()), "responses: expected at least one"),
        (("p", ("a", None), (1.0, 0.0)), "responses: expected texts, got None at index 1"),
        (("p", ("a", "b"), (1.0,)), "labels: expected 2, one for each response, got 1"),
        (("p", ("a", "b"), (0.5, 1.5)), "labels: expected numbers in .0, 1., got 1.5 at index 1; rescale"),
        (("p", ("a",), (float("nan"),)), "labels: .* got nan"),
        (("p", ("a",), ("0.5",)), "labels: .* got '0.5'"),
        (("p", ("a",), (None,)), "labels: .* got None"),
    ],
)
def test_a_bad_value_is_named_with_its_field(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.PreferenceRecord(*arguments)


def test_labels_from_ranks_by_hand():
    # Psi, rows beat columns, best to worst: [.5 1 1], [0 .5 1], [0 0 .5]; row means 2.5/3, 1.5/3, 0.5/3.
    np.testing.assert_allclose(data.labels_from_ranks([1, 2, 3]), [2.5 / 3, 1.5 / 3, 0.5 / 3])
    # Two share the first place: each .5 against itself and the other, 1 against the last.
    np.testing.assert_allclose(data.labels_from_ranks([1, 1, 5]), [2 / 3, 2 / 3, 0.5 / 3])


def test_labels_from_ranks_equal_those_of_the_losses():
    ranks = np.random.default_rng(0).integers(1, 6, size=9)
    expected = losses.labels_from_ranks(jnp.array(ranks))
    np.testing.assert_allclose(data.labels_from_ranks(ranks.tolist()), expected, rtol=1e-6)


def test_pair_is_a_ranking_of_two():
    record = data.PreferenceRecord.from_pair("p", "good", "bad", source="s")
    assert record == data.PreferenceRecord("p", ("good", "bad"), (0.75, 0.25), source="s")


def test_ranks_must_be_numbers():
    with pytest.raises(ValueError, match="ranks: expected numbers, got None at index 1"):
        data.PreferenceRecord.from_ranks("p", ("a", "b"), (1, None))


def test_best_responses_come_best_first():
    record = data.PreferenceRecord("p", ("a", "b", "c", "d"), (0.1, 0.9, 0.4, 0.9))
    assert record.best().responses == ("b",)
    assert record.best(3) == data.PreferenceRecord("p", ("b", "d", "c"), (0.9, 0.9, 0.4))


def test_importing_data_loads_no_optional_library():
    program = """
import sys
from jaxalign import data
assert "list_batches" in dir(data)
heavy = {"grain", "pyarrow", "tensorflow_datasets", "sentencepiece", "tokenizers", "jinja2", "jax"} & set(sys.modules)
assert not heavy, heavy
data.PreferenceRecord("p", ("a",), (1.0,))
assert "jax" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_public_name_exists():
    assert all(getattr(data, name) is not None for name in data.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = data.nothing
