"""What README shows runs: the notebook example as it stands, the commands as files and presets that exist."""

import pathlib
import re

from experiments.lipo import __main__ as lipo
from jaxalign.io.serve import config

ROOT = pathlib.Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_notebook_examples_run(capsys):
    section = re.search(r"## In a notebook\n(.*?)\n## ", README, re.DOTALL).group(1)
    training, arrays = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names = {}
    exec(compile(training, "README.md", "exec"), names)
    assert "'accuracy': 1.0" in capsys.readouterr().out
    assert names["metrics"]["accuracy"] == (2, 2)
    assert names["metrics"]["loss"].value < 0.6  # log 2 at the start
    assert names["state"].step == 20 and names["state"].finite
    exec(compile(arrays, "README.md", "exec"), names)
    # The scores order all three pairs as the labels do: 0.7, 0.3, 0.1 against 0.9, 0.5, 0.2.
    assert names["accuracy"] == 1


def test_the_example_of_serving_runs():
    section = re.search(r"## Examples from earlier answers\n(.*?)\n## ", README, re.DOTALL).group(1)
    (example,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["chosen"].ids.tolist() == [[0, -1, -1, -1, -1], [1, -1, -1, -1, -1]]


def test_the_settings_of_a_server_hold_together(tmp_path):
    path = tmp_path / "serve.toml"
    section = re.search(r"## A server that learns from its traffic\n(.*?)\n## ", README, re.DOTALL).group(1)
    path.write_text(re.search(r"```toml\n(.*?)```", section, re.DOTALL).group(1))
    found = config.read_config(path)
    assert found.fallback == "large" and [each.name for each in found.tenants] == ["search-team"]


def runs(module: str) -> bool:
    """Whether ``python -m`` takes it: a module, or a package with a ``__main__``."""
    path = ROOT / module.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__main__.py").exists()


def test_the_commands_name_what_exists():
    commands = re.findall(r"\./tools/(\w+)(?: ([\w.]+))?", README)
    assert commands
    for script, module in commands:
        assert (ROOT / "tools" / script).exists()
        assert not module or runs(module)
    modules = set(re.findall(r"`(?:\./tools/run )?((?:experiments|tools)\.\w+)", README))
    assert {"experiments.lipo", "tools.sample"} <= modules
    for module in modules:
        assert runs(module)
    presets = set(re.findall(r"experiments\.lipo ([a-z][a-z-]*)", README))
    assert presets and presets <= set(lipo.PRESETS)
