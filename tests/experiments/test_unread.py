"""What experiments make of a model that cannot be read: no answer, no vote, and numbers that say so."""

import json
import math

import pyarrow.parquet
import pytest

from experiments.common.fields import replace
from experiments.common.judging.methods import TASKS, JudgeSetup
from experiments.common.llm.counting import Scored
from experiments.common.llm.engine import Engine, count_words, counting
from experiments.common.task import exactly
from experiments.ease import __main__ as ease
from experiments.ease import figures as ensemble_figures
from experiments.ease import methods
from experiments.judge import __main__ as judge
from experiments.judge import figures as judge_figures
from experiments.judge.results import run_methods
from experiments.label_preferences import __main__ as label_preferences
from jaxalign import data, ensemble
from jaxalign.data import PreferencePair, Question
from jaxalign.ensemble import BootstrapConfig, FewShot
from jaxalign.io import hf
from jaxalign.io.llm.service import Ledger
from jaxalign.judge import StructuredConfig
from jaxalign.typing import OptionScore
from tests.io.llm import chat_server, test_local

NAMES = ("Ann", "Bob", "Cid")


def engine_of(text, logp):
    """A model that always writes one text, and gives every option one score."""

    def generate(prompts, *, n=1, **_):
        return [[text] * n for _ in prompts]

    def score_options(prompts, options):
        return [[OptionScore(logp, 1) for _ in each] for each in options]

    return counting(Engine("m", generate, score_options, count_words, Ledger()))


@pytest.mark.parametrize("logp", [-math.inf, math.nan, None])
@pytest.mark.parametrize("gold", [0, 2])
def test_an_ensemble_that_reads_nothing_answers_nothing(gold, logp):
    """Neither the first option nor any other: right nowhere, and all of it is counted."""
    shown = tuple(Question(f"shown {n}?", NAMES, n % 3, (f"It is {n}.",)) for n in range(4))
    questions = [Question(f"test {n}?", NAMES, gold) for n in range(5)]
    engine = engine_of(" I cannot say.\nAnswer: Ann or Bob", logp)
    setting = methods.EnsembleSetup(
        engine, FewShot(shown), 2, 0.7, "once", 16, BootstrapConfig(num_shown=2, num_samples=1)
    )
    runs = methods.run_methods(setting, questions, ("bootstrapped", "zero-shot", "pairwise"))
    for name, row in ensemble_figures.table(runs, questions).items():
        assert row["accuracy"].value == 0 and row["unparsed answers"].value == 1, name
        asks = name in ("ICL", "predict-then-explain", "SPA") or name.startswith("EASE")
        assert row["unread scores"].value == float(asks), name
    assert runs["ICL"].scored == Scored(5, 5) and runs["SPA"].scored == Scored(10, 10)
    assert all(prediction.choice is None for run in runs.values() for prediction in run.predictions)


def test_an_ensemble_of_which_one_question_is_read():
    """Two of four are right, one is wrong, one has no answer: it counts among the four."""
    questions = [Question(f"test {n}?", NAMES, 0) for n in range(4)]
    shares = [(0.8, 0.1, 0.1), (0.9, 0.1, 0.0), (0.2, 0.7, 0.1), None]
    run = methods.MethodResult([ensemble.Prediction(each) for each in shares], 7, Scored(4, 1))
    row = ensemble_figures.table({"ICL": run}, questions)["ICL"]
    assert [row[name].value for name in ("accuracy", "unparsed answers", "unread scores")] == [0.5, 0.25, 0.25]


@pytest.mark.parametrize("logp", [-math.inf, math.nan, None])
def test_judges_that_read_nothing_prefer_nothing(logp):
    pairs = [PreferencePair(f"q{n}", f"left {n}", f"right {n}", float(n % 2)) for n in range(4)]
    engine = engine_of("A's answer is a concise", logp)
    setting = JudgeSetup(engine, TASKS["rating"], StructuredConfig(2, 2), 32)
    names = ("direct", "chain of thought", "structured")
    runs = run_methods(names, setting, pairs, pairs[:1])
    for name, row in judge_figures.tables(runs, pairs)["all pairs"].items():
        assert row["unparsed judgements"].value == 1 and "accuracy" not in row
        assert row["unread scores"].value == float(name != "chain of thought")
        assert ("asked outright" in row) == (name == "structured") and row.get("asked outright", exactly(1)).value == 1
    assert runs["direct"].scored == Scored(8, 8)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run_of_files(path, output, **fields):
    """Longer wins, which asks nobody: what the file says is all that counts."""
    return replace(
        judge.PRESETS["files"],
        data=path,
        columns=("q", "left", "right", "winner"),
        methods=("longer wins",),
        num_pairs=(1, 99),
        model="m",
        endpoint="http://127.0.0.1:1/v1",
        output=output,
        **fields,
    )


def targets(folder):
    lines = (folder / "seed-0" / "predictions.jsonl").read_text().splitlines()
    return {row["id"]: row["target"] for row in map(json.loads, lines)}


@pytest.mark.parametrize(
    "values, labels, expected",
    [
        (("A", "tie", "B", "model_a"), (), (1.0, 0.5, 0.0, 1.0)),
        ((1, 2, "2", 1.0), (), (1.0, 0.0, 0.0, 1.0)),
        (("left", "right", "Tie", "left"), (), (1.0, 0.0, 0.5, 1.0)),
        ((0, 1, 2, 0), ("0=first", "1=second", "2=tie"), (1.0, 0.0, 0.5, 1.0)),
        ((0, 1, 2, 0), ("0=tie", "1=first", "2=second"), (0.5, 1.0, 0.0, 0.5)),
        (("gut", "schlecht", "gut", "gleich"), ("gut=first", "schlecht=second", "gleich=tie"), (1.0, 0.0, 1.0, 0.5)),
    ],
)
def test_labels_of_a_file(tmp_path, values, labels, expected):
    rows = [{"q": f"q{n}", "left": "a" * n, "right": "bb", "winner": value} for n, value in enumerate(values)]
    path = write(tmp_path / "pairs.jsonl", rows)
    judge.main(run_of_files(path, tmp_path / "run", labels=labels))
    found = targets(tmp_path / "run")
    assert len(found) == 3 and found.items() <= {f"row {n + 1}": each for n, each in enumerate(expected)}.items()


def test_rows_that_are_skipped_are_named(tmp_path, capsys):
    values = ("A", "better", "B", None, "tie", "A")
    rows = [{"q": f"q{n}", "left": "a" * n, "right": "bb", "winner": value} for n, value in enumerate(values)]
    path = write(tmp_path / "pairs.jsonl", rows)
    with pytest.raises(ValueError, match="row 2: winner: expected 1 or 2, 'A', .*got 'better'; .*--labels"):
        judge.main(run_of_files(path, tmp_path / "stops"))
    capsys.readouterr()
    judge.main(run_of_files(path, tmp_path / "run", skip_bad_rows=True))
    told = capsys.readouterr().err
    assert "pairs.jsonl, row 2: winner: expected 1 or 2" in told and "pairs.jsonl, row 4: winner: the row has" in told
    assert "2 pairs are skipped" in told
    assert targets(tmp_path / "run").keys() < {"row 1", "row 3", "row 5", "row 6"}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Rows that were skipped" in page and "row 4" in page


@pytest.mark.parametrize("skip", [False, True])
def test_a_label_of_0_is_not_guessed(tmp_path, skip):
    """Skipping its rows would leave 1 and 2 with a meaning that they may not have."""
    rows = [{"q": f"q{n}", "left": "a", "right": "bb", "winner": n % 3} for n in range(9)]
    path = write(tmp_path / "pairs.jsonl", rows)
    with pytest.raises(ValueError, match="winner: .*--labels"):
        judge.main(run_of_files(path, tmp_path / "run", skip_bad_rows=skip))


@pytest.mark.parametrize("labels", [("0",), ("=first",), ("0=third",), ("0=first", "0=tie")])
def test_labels_that_are_not_understood(tmp_path, labels):
    with pytest.raises(ValueError, match="labels: expected VALUE=first, VALUE=second or VALUE=tie"):
        judge.main(run_of_files(tmp_path / "none", tmp_path / "run", labels=labels))
    assert not (tmp_path / "run").exists()


def test_a_pair_that_is_too_long_does_not_end_a_run(tmp_path, capsys):
    """It is unread, named in the report, and also in a replay; the others are judged as without it."""
    tokenizer = test_local.make_tokenizer()
    model, params = test_local.make_policy(tokenizer, max_length=320)
    hf.save_pretrained(tmp_path / "model", model.config, params, tokenizer)
    rows = [{"q": f"q{n}", "left": "a" * n, "right": "bb" * (200 if n == 2 else 1), "winner": 1} for n in range(5)]
    config = replace(
        run_of_files(write(tmp_path / "pairs.jsonl", rows), tmp_path / "run"),
        methods=("direct",),
        model=str(tmp_path / "model"),
        endpoint="",
    )
    values = judge.main(config)
    told = capsys.readouterr().err
    assert "row 3: " in told and "and the context has 320" in told and "1 pairs are too long" in told
    lines = (tmp_path / "run" / "seed-0" / "predictions.jsonl").read_text().splitlines()
    found = {row["id"]: row["probability"] for row in map(json.loads, lines)}
    assert [name for name, p in found.items() if p is None] == ["row 3"] and len(found) == 4
    assert values["all pairs/direct/unparsed judgements"] == values["all pairs/direct/unread scores"] == 0.25
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Pairs that are too long for the model" in page and "row 3" in page
    replayed = replace(config, replay=tmp_path / "run" / "answers.jsonl", output=tmp_path / "replayed")
    assert judge.main(replayed) == values


@pytest.mark.parametrize(
    "experiment, fields, message",
    [
        (label_preferences, {"num_lists": 1}, "num.lists: expected at least 2"),
        (label_preferences, {"num_lists": 0}, "num.lists: expected at least 2"),
        (label_preferences, {"list_size": 1}, "list.size: expected at least 2"),
        (label_preferences, {"list_size": 0}, "list.size: expected at least 2"),
        (label_preferences, {"validation": 1.0}, "validation: expected a share of the lists between 0 and 1"),
        (label_preferences, {"validation": 0.0}, "validation: expected a share"),
        (label_preferences, {"validation": math.nan}, "validation: expected a share"),
        (label_preferences, {"num_candidates": 0, "method": "direct"}, "num.candidates: expected at least 1"),
        (label_preferences, {"num_aspects": -1}, "num.aspects: expected at least 0"),
        (label_preferences, {"method": "oracle"}, "unknown method 'oracle'"),
        (judge, {"num_candidates": 0}, "num.candidates: expected at least 1"),
        (judge, {"candidate_counts": (2, 0)}, "(num.candidates|candidate.counts): expected at least 1"),
        (judge, {"aspect_counts": (-1,)}, "(num.aspects|aspect.counts): expected at least 0"),
        (judge, {"seeds": 0}, "seeds: expected at least 1"),
        (judge, {"num_pairs": (0, 5)}, r"num.pairs(\[0\])?: expected at least 1"),
        (judge, {"temperature": math.nan}, "temperature: expected .*at least 0, got nan"),
        (ease, {"num_samples": 0}, "num.samples: expected at least 1"),
        (ease, {"num_bootstrap": 0}, "num.(samples|bootstrap): expected at least 1"),
        (ease, {"num_shown": -1}, "num.shown: expected at least 0"),
        (ease, {"num_questions": (4, 0)}, r"num.questions(\[1\])?: expected at least 1"),
        (ease, {"seeds": 0}, "seeds: expected at least 1"),
    ],
)
def test_sizes_that_make_no_run_are_refused_before_it(tmp_path, experiment, fields, message):
    config = replace(experiment.PRESETS["default"], output=tmp_path / "run", **fields)
    with pytest.raises(ValueError, match=message):
        experiment.main(config)
    assert not (tmp_path / "run").exists()


def labelling(path, output, server, **fields):
    return replace(
        label_preferences.PRESETS["files"], data=path, model="m", endpoint=server.url, output=output, **fields
    )


def test_responses_that_are_not_labelled_are_told(tmp_path, capsys):
    """Of lists of six, four each are compared; nobody is asked which is longer."""
    rows = [{"prompt": f"q{n}", "responses": [letter * (n + 1) for letter in "abcdef"]} for n in range(3)]
    path = write(tmp_path / "lists.jsonl", rows)
    with chat_server.serving() as server:
        figures = label_preferences.main(labelling(path, tmp_path / "run", server, method="longer wins"))
    assert (figures["labelled responses"], figures["unlabelled responses"]) == (12, 6)
    told = capsys.readouterr().out
    assert "labelled 12 of 18 responses, in 3 of 3 lists" in told
    assert "6 are beyond the first 4 of their list: --list-size" in told


def test_responses_without_a_comparison_have_no_label(tmp_path, monkeypatch, capsys):
    """The judge says nothing of texts with an x: such lists are in no file, nor is such a response."""

    def completion(body):
        text = "Answer: A" if "x" not in body["messages"][-1]["content"].split("[QUESTION]")[0] else "I cannot say"
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return {"object": "chat.completion", "choices": [choice]}

    lists = [("a", "b", "c"), ("a", "bx"), ("ax", "b"), ("a", "b", "cx"), ("a",)]
    rows = [{"prompt": f"q{n}", "responses": list(each)} for n, each in enumerate(lists)]
    path = write(tmp_path / "lists.jsonl", rows)
    with chat_server.serving() as server:
        server.chat = completion
        config = labelling(path, tmp_path / "run", server, method="chain of thought")
        figures = label_preferences.main(config)
        told = capsys.readouterr().out
        for each in rows:
            each["responses"] = [f"{text}x" for text in each["responses"]]
        write(path, rows)
        with pytest.raises(ValueError, match="comparisons that can be read in two lists or more, got them in 0 of 5"):
            label_preferences.main(replace(config, output=tmp_path / "nothing"))
    written = data.read_jsonl(tmp_path / "run" / "labels.jsonl", data.ListColumns()).records
    assert [record.responses for record in written] == [("a", "b", "c"), ("a", "b")]
    assert all(label == 0.5 for record in written for label in record.labels)  # the first shown wins, in both orders
    assert "labelled 5 of 11 responses, in 2 of 5 lists" in told
    assert "6 have no comparison that could be read, 1 of them being alone in their list" in told
    assert (figures["lists"], figures["unlabelled lists"], figures["unparsed pairs"]) == (2, 3, 4)
    parts = [
        pyarrow.parquet.read_table(tmp_path / "run" / f"{name}.parquet").num_rows for name in ("train", "validation")
    ]
    assert sorted(parts) == [2, 3]


def test_an_ensemble_on_a_server_whose_tokens_name_no_option(tmp_path):
    """Its first tokens are told, and are none of the options: nothing is an equal share."""

    def completion(body):
        text = " I cannot say.\nAnswer: who knows"
        top = [{"token": "I", "logprob": -0.1}, {"token": "Who", "logprob": -3.0}]
        choice = {"index": 0, "message": {"content": text}, "finish_reason": "stop"}
        if body.get("top_logprobs"):
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        return {"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 5}}

    rows = [{"question": f"q{n}?", "choices": list(NAMES), "answer": 0, "explanation": f"It is {n}."} for n in range(5)]
    with chat_server.serving() as server:
        server.chat = completion
        config = replace(
            ease.PRESETS["files"],
            data=write(tmp_path / "q.jsonl", rows),
            model="m",
            endpoint=server.url,
            num_questions=(2, 3),
            num_samples=1,
            num_bootstrap=1,
            scorers=("zero-shot",),
            seeds=1,
            output=tmp_path / "run",
        )
        values = ease.main(config)
    for method in ("ICL", "SPA", "EASE, zero-shot"):
        assert values[f"questions/{method}/accuracy"] == 0
        assert values[f"questions/{method}/unparsed answers"] == values[f"questions/{method}/unread scores"] == 1
