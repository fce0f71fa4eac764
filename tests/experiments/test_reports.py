"""What reports say, and how commands end when their user has made a mistake."""

import html
import json
import re
import shlex
import sys
import types

import pytest

from experiments import reward_model
from experiments.common import machines, origin, report
from experiments.common.fields import replace
from experiments.common.task import exactly
from experiments.ease import __main__ as ease
from experiments.hemenet import __main__ as hemenet
from experiments.judge import __main__ as judge
from experiments.judge import sections
from experiments.label_preferences import __main__ as label_preferences
from experiments.lipo import __main__ as lipo
from experiments.plad import __main__ as plad
from experiments.plad.texts import asked_cost, asked_texts
from experiments.rrm import __main__ as rrm
from jaxalign.data import PreferencePair, PreferenceRecord
from jaxalign.io import edge
from jaxalign.io.llm import Cache
from jaxalign.io.report import Estimate
from jaxalign.io.run.writers import MetricsWriter
from jaxalign.judge import Judgement
from jaxalign.prompting import Orders
from tests.io.llm import chat_server

KEY = "sk-a-key-that-stands-nowhere"


def facts_of(path):
    """What the head of a report says, by name."""
    text = path.read_text()
    assert text.index("What was run on what") < text.index("<table>")
    found = re.findall(r"<div><dt>(.*?)</dt><dd>(.*?)</dd></div>", text)
    return {name: html.unescape(" ".join(re.sub("<[^>]+>", " ", value).split())) for name, value in found}


def write_pairs(path):
    rows = [{"prompt": f"q{n}", "response_a": "a" * n, "response_b": "bb", "label": 1 + n % 2} for n in range(6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_judge_tells_what_was_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    write_pairs(tmp_path / "pairs.jsonl")
    with chat_server.serving() as server:
        config = replace(
            judge.PRESETS["files"],
            data=tmp_path / "pairs.jsonl",
            model="some-model",
            endpoint=server.url,
            methods=("direct",),
            num_pairs=(2, 4),
            output=tmp_path / "run",
        )
        judge.main(config)
    facts = facts_of(tmp_path / "run" / "report.html")
    assert "model: some-model" in facts["model"] and f"endpoint: {server.url}" in facts["model"]
    assert "pairs.jsonl: 6 rows, sha256 " in facts["data"]
    assert re.search(r"by .* for \d+ prompts", facts["options scored"])
    counted = r"\d+ answers of [\d,]+ tokens"
    assert re.fullmatch(f"{counted}, .* for this folder in all; this start paid {counted}", facts["cost"])
    words = shlex.split(facts["command"])
    assert machines.command_line(judge.PRESETS, words[words.index("experiments.judge") + 1 :])[0] == config
    for file in (tmp_path / "run").rglob("*.*"):
        assert file.is_dir() or KEY.encode() not in file.read_bytes()


def test_labels_have_a_report(tmp_path):
    config = replace(label_preferences.DEFAULT, num_lists=3, num_candidates=1, output=tmp_path)
    figures = label_preferences.main(config)
    facts = facts_of(tmp_path / "report.html")
    assert facts["preset"] == "default" and "num_lists: 3, in the preset 60" in facts["fields that differ from it"]
    text = (tmp_path / "report.html").read_text()
    assert all(name in text for name in figures) and "response 1, label " in text


SAID = {
    Orders(0.41, 0.5): "with a probability of 45.5%, and an order is for neither, which makes a tie.",
    Orders(0.9, 0.8): "with a probability of 85.0%, and both orders are for the first.",
    Orders(0.1, 0.2): "with a probability of 15.0%, and both orders are for the second.",
    Orders(0.9, 0.2): "with a probability of 55.0%, and the two orders are for different texts.",
    Orders(None, 0.2): "nothing that could be read in both orders.",
}


@pytest.mark.parametrize("orders", SAID)
def test_a_judgement_is_a_sentence(orders):
    said = sections.describe_judgement(Judgement(orders.probability, orders))
    start = "" if orders.probability is None else "the first text is better "
    assert said == start + SAID[orders]


@pytest.mark.parametrize(
    ("target", "known"),
    [
        (1.0, "It is known that the first text is better."),
        (0.0, "It is known that the second text is better."),
        (0.5, "It is known that the first text is better with a probability of 50.0%."),
    ],
)
def test_what_is_known_is_a_sentence(target, known):
    run = types.SimpleNamespace(judgements=[Judgement(0.8, Orders(0.9, 0.7))])
    described = sections.describe(PreferencePair("p", "a", "b", target), 0, {"direct": run})
    first, second = described["which is better"].splitlines()
    assert first == known and second.startswith("direct says: the first text is better with a probability of 80.0%")


FILES = {
    "rows.jsonl": '{"prompt": "a", "x": "b"}\n',
    "text.txt": "hello\n",
    "cut.jsonl": '{"prompt": "a", ',
    "empty.jsonl": "",
    "fake.parquet": "PAR1 and no more",
    "lists/train.jsonl": '{"prompt": "a", "chosen": "b"}\n',
    "model/config.json": "{",
}
SERVER = ("--model", "m", "--endpoint", "http://127.0.0.1:1/v1")
MISTAKES = [
    (lipo, "alpacaeval", "expected --data FOLDER with train.parquet"),
    (lipo, "alpacaeval --data T/nothing", "expected --data FOLDER with train.parquet"),
    (rrm, "alpacaeval --data T/rows.jsonl", "expected --data FOLDER with train.parquet"),
    (reward_model, "alpacaeval --data T/lists", "train.jsonl, row 1: rejected: no such column"),
    (lipo, "--output T/rows.jsonl", "expected a folder or a free name, and a file is there"),
    (lipo, "--seeds 0", "--seeds: expected at least 1, got 0"),
    (plad, "files --teacher-outputs T/nothing", "T/nothing: expected a file or folder, and there is none"),
    (plad, "files --teacher-outputs T/lists", "T/lists: expected a file, and this is a folder"),
    (plad, "files --teacher-outputs T/rows.jsonl", "rows.jsonl, row 1: response: no such column"),
    (hemenet, "shared", "expected --data FOLDER with structures/"),
    (hemenet, "shared --data T/text.txt", "expected --data FOLDER with structures/"),
    (judge, "files", "expected --model DIR, or --endpoint URL"),
    (judge, "files --data T/rows.jsonl --model T/nothing", "does not exist; pass a model's or a hub id"),
    (judge, "files --data T/rows.jsonl --model T/model", "T/model/config.json is not JSON"),
    (judge, "files --data T/rows.jsonl --model m --replay T/nothing", "--replay: expected the answers.jsonl"),
    *((module, f"files --data T/nothing {shlex.join(SERVER)}", "T/nothing: expected a file or folder")
      for module in (judge, ease, label_preferences)),
    *((module, f"files --data T/lists {shlex.join(SERVER)}", "T/lists: expected a file, and this is a folder")
      for module in (judge, ease, label_preferences)),
    *((module, f"files --data T/{name} {shlex.join(SERVER)}", words)
      for module in (judge, ease, label_preferences)
      for name, words in (("rows.jsonl", "row 1: "), ("text.txt", "row 1: "), ("cut.jsonl", "row 1: "),
                          ("empty.jsonl", "no usable row"), ("fake.parquet", "not a parquet file"))),
]  # fmt: skip


@pytest.mark.parametrize(("module", "arguments", "words"), MISTAKES)
def test_a_mistake_ends_with_a_line(module, arguments, words, tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    typed = arguments.replace("T/", f"{tmp_path}/").split()
    typed += [] if "--output" in typed else ["--output", str(tmp_path / "run")]
    monkeypatch.setattr(machines.launch, "initialize", lambda **options: None)
    monkeypatch.setattr(sys, "argv", [module.__name__, *typed])
    with pytest.raises(Exception) as caught:  # noqa: B017
        machines.run(module.main, module.PRESETS, module.__doc__)
    line = edge.explanation(caught.value)
    assert line is not None and words.replace("T/", f"{tmp_path}/") in line and "\n" not in line


@pytest.mark.parametrize(
    ("module", "arguments", "words"),
    [
        (lipo, ["tabel"], "unknown preset 'tabel'; there are default, table"),
        (lipo, ["--losses", "lamda"], "lamda"),
        (plad, ["--methods", "PLaD"], "PLaD"),
        (rrm, ["--variants", "RMM"], "RMM"),
        (judge, ["--method", "direct"], "--method"),
        (ease, ["--seeds", "many"], "many"),
        (hemenet, ["--tasks", "folds"], "folds"),
        (reward_model, ["--size", "64"], "--size"),
        (label_preferences, ["files", "--colums", "a"], "--colums"),
    ],
)
def test_presets_fields_and_values_that_there_are_not(module, arguments, words, capsys):
    with pytest.raises(SystemExit) as ended:
        machines.command_line(module.PRESETS, arguments)
    assert ended.value.code not in (0, None)
    assert words in (ended.value.code if isinstance(ended.value.code, str) else capsys.readouterr().err)


def test_what_a_teacher_took_of_a_server(tmp_path):
    """Over all starts: what was answered before is asked no more, and still counts."""
    records = [PreferenceRecord(f"prompt {n}", ("",), (0.0,), id=str(n)) for n in range(3)]
    with chat_server.serving() as server:
        for start in (records[:1], records):
            asked_texts(tmp_path / "teacher.jsonl", server.url, "m", start, max_new_tokens=4)
        assert len(server.bodies) == 3
    answers = Cache(tmp_path / "teacher.jsonl").answers()
    tokens = sum(answer.prompt_tokens + answer.completion_tokens for answer in answers)
    cost = asked_cost([tmp_path / "teacher.jsonl"])
    assert cost == f"3 answers of {tokens} tokens, prompts included, paid for this folder in all"


def test_only_tables_with_intervals_tell_of_them(tmp_path):
    config = replace(lipo.DEFAULT, output=tmp_path)
    run = origin.begin("experiments.lipo", lipo.PRESETS, config)
    tables = {"figures": {"a": {"x": Estimate(0.5, 0.4, 0.6)}}, "cost": {"a": {"tokens": exactly(7)}}}
    values = report.report_tables(run, "Title", tables, caption=report.spread(1, "pairs"))
    assert values == {"figures/a/x": 0.5, "cost/a/tokens": 7}
    text = (tmp_path / "report.html").read_text()
    assert text.count('<p class="caption">Below a figure stand the ends of its 95 % bootstrap interval over pairs') == 1


def test_curves_of_one_unit_are_drawn_together(tmp_path):
    for folder, values in (("a", (1.0, 2.0)), ("b", (-4.0, -3.0))):
        with MetricsWriter(tmp_path / folder) as writer:
            for step, value in enumerate(values, 1):
                writer.write(step, {"chosen": value, "rejected": 10 * value})
    runs = {name: tmp_path / name for name in "ab"}
    curves = [report.Curve(f"the {side} text", side, runs, "nats") for side in ("chosen", "rejected")]
    panels = report.draw_together("Log-probability", curves)
    assert panels.panels["the rejected text"] == {"a": ([1, 2], [10, 20]), "b": ([1, 2], [-40, -30])}
    ticks = [re.findall(r">([−\d]+)</text>", drawing.svg) for drawing in panels.draw()]
    assert ticks[0] == ticks[1] and panels.y_label == "nats"
