"""What a run keeps on disk, and that it says so beforehand."""

import jax
import jax.numpy as jnp
import pytest

from jaxalign.io.run import best
from tests.io.run import tiny

STATE_BYTES = (4 + 1) * 4 * 3  # float32 weights, and two moments of each


def kept(directory):
    return sorted(int(path.name) for path in (directory / "checkpoints").iterdir())


@pytest.mark.parametrize(
    ("options", "steps", "said"),
    [
        ({}, [8, 12], "will keep 2 checkpoints of"),
        ({"checkpoint_every": 3, "keep": None}, [3, 6, 9, 12], "will keep 4 checkpoints of"),
        ({"checkpoint_every": None}, [12], "will keep 1 checkpoint of"),
        ({"keep": 1, "eval_fn": lambda state: {"b": 1.0}, "best": lambda row: row["b"]}, [12], "and the best one, "),
    ],
)
def test_two_checkpoints_unless_told_otherwise(options, steps, said, tmp_path, capsys):
    tiny.run(tmp_path / "mine", **options)
    assert kept(tmp_path / "mine") == steps
    first = capsys.readouterr().err.splitlines()[0]
    assert first.startswith("mine: ") and said in first and first.endswith(f" in all, in {tmp_path / 'mine'}")


def test_sizes_by_hand():
    state = tiny.init_state()
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    assert STATE_BYTES < size < STATE_BYTES + 40  # and counters
    assert best.room(state, 2, best=False) == f"will keep 2 checkpoints of {size} bytes, {2 * size} bytes in all,"
    wide = {"w": jnp.zeros(1_500_000, jnp.bfloat16)}
    assert best.room(wide, 1, best=True) == "will keep 1 checkpoint of 3.0 MB and the best one, 6.0 MB in all,"


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (538_060_032, "538 MB"), (10**13, "10 TB")],
)
def test_units(size, words):
    assert best.in_units(size) == words
