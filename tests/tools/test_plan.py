"""tools/plan.py: the command."""

import json

import pytest

from jaxalign.io import hf
from tests.tools.planning import tiny
from tools import plan


@pytest.fixture
def model(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(hf.config_to_json(tiny.CONFIG)))
    return str(tmp_path)


def test_several_topologies_are_a_table(model, capsys):
    plan.main(("h100:3", "h200:6"), model=model, step="dpo", prompt=16, response=8, data=-1, fsdp=1)
    *_, header, line, first, second = capsys.readouterr().out.splitlines()
    assert header.startswith("| topology | devices | mesh | batch |") and set(line) <= set("|- ")
    # Batches grow with the devices; for so many GPUs there is no compile.
    assert first.startswith("| h100:3 | 3 | data=3 | 3 |") and second.startswith("| h200:6 | 6 | data=6 | 6 |")
    assert first.count("|") == header.count("|")


def test_shardings_are_shown(model, capsys):
    plan.main(("h100:3",), model=model, step="reward", prompt=16, response=8, data=-1, fsdp=1, shardings=True)
    assert "params/backbone/embedding" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"topology": ("v5x:4x4",)}, "known are v4:2x2x1"),
        ({"model": "gemma-9"}, "Gemma-2-9B"),
        ({"fsdp": 2}, "does not fill the 3 devices"),
        ({"fsdp": 3}, "params/embedding|'embedding' of shape .* cannot be split over fsdp=3"),
        ({"batch": 4, "data": -1, "fsdp": 1}, "use a multiple of 3"),
        ({"step": "dpo", "list_size": 4}, "a dpo step takes pairs"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_errors(model, options, message):
    with pytest.raises(ValueError, match=message):
        plan.main(**{"topology": ("h100:3",), "model": model, "prompt": 16, "response": 8} | options)
