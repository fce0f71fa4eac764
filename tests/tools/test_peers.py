"""TRL's trainers and ours, step by step from the same weights on the same examples."""

import pytest

from tools.benchmarks.generation import small_config
from tools.benchmarks.peers import table
from tools.benchmarks.peers.pairs import BATCH, Lengths, random_pairs, random_policies

# TRL's own settings have a name that transformers renames.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.:FutureWarning")
CASE = table.Case(small_config(64, 1), Lengths(16, 8))


@pytest.mark.parametrize("kind", [kind for kind in table.KINDS if kind != "SFT"])  # which is the row below
def test_the_losses_of_three_steps_are_those_of_trl(kind):
    lists = random_pairs(CASE.lengths, CASE.config.vocab_size)
    forms = table.KINDS[kind](random_policies(CASE.config), lists)
    assert table.loss_difference(forms, table.COMPARED_STEPS) < 1e-4
    assert 0 < forms.tokens <= len(lists) * (16 + 2 * 8)


def test_a_row():
    row = dict(zip(table.HEADER, table.row("SFT", CASE, rounds=1), strict=True))
    assert row["step"] == "SFT" and row["P, R at most"] == "16, 8"
    assert 0 < float(row["valid tokens"]) <= BATCH * (16 + 8)
    assert float(row["loss difference"]) < 1e-4 and float(row["speed-up"]) > 0
