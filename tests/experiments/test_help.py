"""What ``--help`` tells of every experiment and tool, and how each ends when its user makes a mistake."""

import ast
import pathlib
import re
import runpy
import sys

import pytest

from experiments import reward_model, text_classifier
from experiments.align import __main__ as align
from experiments.attrprompt import __main__ as attrprompt
from experiments.common import fields, machines
from experiments.ease import __main__ as ease
from experiments.hemenet import __main__ as hemenet
from experiments.judge import __main__ as judge
from experiments.label_preferences import __main__ as label_preferences
from experiments.lipo import __main__ as lipo
from experiments.plad import __main__ as plad
from experiments.planning import __main__ as planning
from experiments.rrm import __main__ as rrm
from experiments.teleclass import __main__ as teleclass

EXPERIMENTS = (
    *(align, attrprompt, ease, hemenet, judge, label_preferences, lipo, plad, planning, reward_model, rrm, teleclass),
    text_classifier,
)
ROOT = pathlib.Path(__file__).parents[2]
TOOLS = sorted(path.stem for path in (ROOT / "tools").glob("*.py") if "__main__" in path.read_text())


def plain(text):
    """Without the frames that tyro draws, and with each run of blanks as one."""
    return " ".join(re.sub("[│─╭╮╰╯]", " ", text).split())


def help_of(module, monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["experiment", *arguments, "--help"])
    with pytest.raises(SystemExit) as ended:
        machines.run(module.main, module.PRESETS, module.__doc__)
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("module", EXPERIMENTS, ids=lambda module: module.__name__)
def test_help_of_an_experiment(module, monkeypatch, capsys):
    told = help_of(module, monkeypatch, capsys)
    assert told.startswith(module.__doc__.strip())
    presets = re.search(r"Presets, .*?:\n\n((?:    .*\n)+)", told)[1].splitlines()
    assert [line.split()[0] for line in presets] == list(module.PRESETS)
    assert all(len(line.split()) > 1 and len(line) < 140 for line in presets)
    for name in list(module.PRESETS)[1:]:
        assert re.search(rf"tools/run experiments\.\w+ {name}\b", module.__doc__), f"{name} is not in the docstring"
    flags = plain(told)
    for name in fields.flat(next(iter(module.PRESETS.values()))):
        flag = "--" + name.replace("_", "-")
        values = r"(?:[A-Z{\[][^a-z]*|{[^}]*}[^a-z]*|\[{[^}]*} \[\.\.\.\]\] )"
        found = re.search(rf" {flag}(?:, --no-{flag[2:]} | {values})(\w[^()]+)", flags)
        assert found and len(found[1].split()) > 1, f"{flag} is not explained"


def test_help_of_a_preset_has_its_values(monkeypatch, capsys):
    told = plain(help_of(lipo, monkeypatch, capsys, "table"))
    assert "usage: ./tools/run" in told and "table [-h]" in told and "(default: 5)" in told


@pytest.mark.parametrize(
    ("module", "values"),
    [
        (lipo, "{point-mse,point-sigmoid,softmax,pair-hinge,pair-logistic, list-mle,lambda,dpo}"),
        (rrm, "{RM,RRM,RRM in RM's steps,RM in RRM's steps,no filter,no neutral,filter only}"),
        (reward_model, "{bradley-terry,listwise,pairwise}"),
    ],
)
def test_help_names_the_values_of_methods_and_losses(module, values, monkeypatch, capsys):
    assert values.replace(" ", "") in plain(help_of(module, monkeypatch, capsys)).replace(" ", "")


def test_every_choice_of_every_experiment_is_told(monkeypatch, capsys):
    from experiments.common.judging import methods as judge_methods
    from experiments.ease import methods
    from experiments.hemenet import methods as proteins
    from experiments.plad import methods as distilling

    kinds = (judge, judge_methods.METHODS), (label_preferences, judge_methods.METHODS), (plad, distilling.METHODS)
    for module, names in (*kinds, (ease, methods.SCORERS), (hemenet, proteins.METHODS)):
        told = plain(help_of(module, monkeypatch, capsys))
        assert ",".join(names).replace(" ", "") in told.replace(" ", "")


@pytest.mark.parametrize("tool", TOOLS)
def test_help_of_a_tool(tool, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, f"tools.{tool}", raising=False)
    description = ast.get_docstring(ast.parse((ROOT / "tools" / f"{tool}.py").read_text()))
    monkeypatch.setattr(sys, "argv", [tool, "--help"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # which the command changes
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"tools.{tool}", run_name="__main__")
    assert ended.value.code == 0
    told = plain(capsys.readouterr().out)
    assert f"usage: ./tools/run tools.{tool} " in told
    assert plain(description.splitlines()[0]) in told
    assert not re.search(r"--[a-z-]+ (?:{None}\|)?[A-Z]+ \(default", told), "a flag is not explained"
