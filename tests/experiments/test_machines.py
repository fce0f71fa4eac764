import dataclasses

import pytest

from experiments.common import machines
from experiments.judge import __main__ as judge
from experiments.lipo import __main__ as lipo


def test_flags_of_machines_stand_beside_those_of_the_config():
    config, on = machines.command_line(lipo.PRESETS, ["table", "--steps", "7", "--mesh", "2", "-1", "1", "2"])
    assert config == dataclasses.replace(lipo.PRESETS["table"], steps=7)
    assert on == machines.Machines(mesh=(2, -1, 1, 2))
    assert machines.command_line(lipo.PRESETS, []) == (lipo.PRESETS["default"], machines.Machines())
    with pytest.raises(SystemExit, match="unknown preset 'tabel'; there are default, table"):
        machines.command_line(lipo.PRESETS, ["tabel"])


def test_some_experiments_have_nothing_to_share_out(monkeypatch):
    monkeypatch.setattr(machines.launch, "initialize", lambda **options: None)
    monkeypatch.setattr("sys.argv", ["judge", "--mesh", "2", "-1", "1", "1"])
    with pytest.raises(ValueError, match="nothing to lay out over a mesh, got --mesh .2, -1, 1, 1.; leave it out"):
        machines.run_alone(judge.main, judge.PRESETS)
    monkeypatch.setattr("jax.process_count", lambda: 3)
    with pytest.raises(ValueError, match="runs in one process, and there are 3; start one"):
        machines.run_alone(judge.main, judge.PRESETS)
