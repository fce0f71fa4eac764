"""Every experiment refuses a folder with results of other settings, whatever field it is that differs."""

import json
import pathlib
import re

import pytest

from experiments import reward_model
from experiments.common.fields import flat, replace
from experiments.common.llm import accounts
from experiments.common.llm.server import Server
from experiments.ease import __main__ as ease
from experiments.hemenet import __main__ as hemenet
from experiments.judge import __main__ as judge
from experiments.label_preferences import __main__ as label_preferences
from experiments.lipo import __main__ as lipo
from experiments.plad import __main__ as plad
from experiments.rrm import __main__ as rrm

SERVER = flat(Server()).keys() - {"thinking_tokens"}
ASKING = ("budget_tokens", "budget_cost", "prices", "replay")
FREE = {  # fields that change nothing that exists
    lipo: {"output", "first_seed", "seeds", "losses", "list_sizes", "label_noise"},
    reward_model: {"output", "seeds", "kinds"},
    rrm: {"output", "first_seed", "seeds", "variants", "rates"},
    plad: {"output", "first_seed", "seeds", "methods"} | SERVER,
    hemenet: {"output", "seeds", "first_seed", "methods", "num_workers"},
    judge: {"output", "seeds", "num_pairs", "methods", "aspect_counts", "candidate_counts", *ASKING} | SERVER,
    ease: {"output", "seeds", "num_questions", "scorers", *ASKING} | SERVER,
    label_preferences: {"output", *ASKING} | SERVER,
}
FIELDS = [
    pytest.param(experiment, name, id=f"{experiment.__name__}-{name}")
    for experiment in FREE
    for name in flat(experiment.Config())
]


class Reached(Exception):
    """The work would begin here."""


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    def reached(*arguments, **options):
        raise Reached

    for experiment in (lipo, reward_model, rrm, plad, hemenet):
        monkeypatch.setattr(experiment, "run_seed", reached)
    monkeypatch.setattr(accounts, "limited", reached)
    monkeypatch.setattr(label_preferences.worlds, "make_world", reached)


def run(experiment, folder, **fields):
    with pytest.raises(Reached):
        experiment.main(replace(experiment.Config(), output=folder, **fields))


def another(name, value):
    """A value of the same kind that no default has."""
    special = {"task": "files", "endpoint": "http://127.0.0.1:1/v1", "labels": ("1=first", "2=second")}
    special |= {"betas": (2.0,), "rates": (1.0,), "list_sizes": (3,)}
    if name in special:
        return special[name]
    if value is None:
        return 7 if name.startswith("budget_") else pathlib.Path("elsewhere")
    if isinstance(value, tuple):
        return (another("", value[0]), *value[1:]) if value and not isinstance(value[0], str) else value[:-1]
    if isinstance(value, float):
        return value / 2
    return f"{value}x" if isinstance(value, str) else value + 1


@pytest.mark.parametrize(("experiment", "name"), FIELDS)
def test_each_field_is_compared_or_changes_nothing(experiment, name, tmp_path):
    run(experiment, tmp_path)
    (tmp_path / "seed-0").mkdir()
    (tmp_path / "seed-0" / "metrics.jsonl").write_text('{"step": 1}\n')
    settings = (tmp_path / "config.json").read_text()
    run(experiment, tmp_path)
    value = flat(experiment.Config())[name]
    if name in FREE[experiment]:
        if name != "output":
            run(experiment, tmp_path, **{name: another(name, value)})
        return
    config = replace(experiment.Config(), **{"output": tmp_path, name: another(name, value)})
    with pytest.raises(ValueError) as told:
        experiment.main(config)
    # What can be told from the settings alone is told before the folder is looked at.
    early = re.match(f"unknown {name}|.*--(data|{name})", str(told.value))
    assert early or re.search(rf"holds a run with other settings: .*\b{name} was", str(told.value)), told.value
    assert (tmp_path / "config.json").read_text() == settings


@pytest.mark.parametrize("experiment", FREE, ids=lambda experiment: experiment.__name__)
def test_presets_of_one_experiment_have_runs_of_their_own(experiment, tmp_path):
    run(experiment, tmp_path)
    (tmp_path / "report.html").write_text("figures")
    with pytest.raises(ValueError, match="experiment was 'other' and is"):
        key = json.loads((tmp_path / "run.json").read_text())
        (tmp_path / "run.json").write_text(json.dumps(key | {"experiment": "other"}))
        run(experiment, tmp_path)


@pytest.mark.parametrize("task", ["alpacaeval"])
@pytest.mark.parametrize("steps", [1, 10, 2000])
def test_a_reward_model_of_real_lists_is_refused_before_anything_is_made(task, steps, tmp_path):
    config = replace(lipo.PRESETS[task], judge_steps=steps, output=tmp_path / "run")
    with pytest.raises(ValueError, match=f"--judge-steps {steps}: .* lists of --task alpacaeval have labels of their"):
        lipo.main(config)
    assert not (tmp_path / "run").exists()
