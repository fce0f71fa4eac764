"""experiments.planning: a toy run of the made world, and runs on files with and without a teacher."""

import dataclasses
import json

import pytest

from experiments.common import machines
from experiments.common.fields import replace
from experiments.planning import __main__ as planning_run
from experiments.planning import asking, figures, judging, made_judge, world, worlds
from experiments.planning.figures import NO_ARTICLE, pad
from experiments.planning.methods import BASELINE, METHODS, lessons
from experiments.planning.models import Models, warnings
from experiments.planning.study import COST, HELD_OUT, PADDED, REQUESTS, SIDE_BY_SIDE
from jaxalign import data, models, planning
from jaxalign.io import hf
from jaxalign.planning import Budget, PlannedArticle, WrittenArticle
from tests.experiments import planning_files
from tests.io.llm import chat_server

PLANNED, TURNS = "T1 + T4: plan first", "T2 + T3: several turns"
OTHERS = "T4, shuffled plans: plan first"
MANNER = asking.Manner(None, world.WORDING, str, Budget(50, 80), 64)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A toy run: students that have seen next to nothing."""
    config = replace(
        planning_run.DEFAULT,
        num_articles=(40, 6),
        size=(16, 1),
        target_tokens=500,
        batch=(8, 256),
        methods=(BASELINE, PLANNED, TURNS),
        output=tmp_path_factory.mktemp("planning"),
    )
    return config, planning_run.main(config)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_toy_run_has_all_tables_and_a_report(made):
    config, found = made
    rows = {name: {key.split("/")[1] for key in found if key.startswith(f"{name}/")} for name in (HELD_OUT, COST)}
    assert rows[HELD_OUT] == rows[COST] == {BASELINE, PLANNED, TURNS}
    assert {key.split("/")[1] for key in found if key.startswith(f"{SIDE_BY_SIDE}/")} == {
        PLANNED, TURNS, PADDED,
    }  # fmt: skip
    # Each lesson learnt from as many target tokens, to within a row.
    learnt = [found[f"{COST}/{name}/learnt: target tokens"] for name in rows[COST]]
    assert 500 <= min(learnt) and max(learnt) < 500 + 8 * 256
    page = (config.output / "report.html").read_text()
    for text in (PLANNED, "Articles side by side", "Loss on targets", "true key information", "asked for"):
        assert text in page
    records = [planning.from_row(row) for row in lines(config.output / "seed-0/records.jsonl")]
    assert len(records) == 40 and all(record.known_parts == planning.PARTS for record in records)


def test_the_same_command_asks_nothing_again_and_a_changed_file_is_refused(made):
    config, found = made
    written = config.output / "seed-0/T1/direct.jsonl"
    before = written.stat().st_mtime_ns
    assert planning_run.main(config) == found and written.stat().st_mtime_ns == before
    assert [row["x"] for row in lines(written)] == [
        record.x for record in world.make_world(0, num_train=40, num_test=6).test
    ]
    with pytest.raises(ValueError, match="target_tokens was 500 and is 600"):
        planning_run.main(replace(config, target_tokens=600))


def test_a_cut_file_of_articles_goes_on_where_it_was_cut(made):
    config, found = made
    written = config.output / "seed-0/T1-+-T4/plan-first.jsonl"
    whole = written.read_text().splitlines(keepends=True)
    written.write_text("".join(whole[:3]) + whole[3][:20])
    again = planning_run.main(config)
    unchanged = [name for name in found if not name.endswith("seconds")]
    assert [again[name] for name in unchanged] == [found[name] for name in unchanged]
    for old, new in zip(whole, written.read_text().splitlines(), strict=True):
        old, new = ({**json.loads(line), "seconds": 0} for line in (old, new))
        assert old == new


def test_a_trained_run_is_asked_in_another_way(made):
    """Drawn texts stand beside the likeliest ones; nothing is trained again."""
    config, _ = made
    folder = config.output / "seed-0/T1"
    trained = (folder / "metrics.jsonl").stat().st_mtime_ns
    planning_run.main(replace(config, temperature=0.7, methods=(BASELINE,)))
    drawn, likeliest = lines(folder / "direct-at-0.7.jsonl"), lines(folder / "direct.jsonl")
    assert [row["x"] for row in drawn] == [row["x"] for row in likeliest]
    assert [row["article"] for row in drawn] != [row["article"] for row in likeliest]
    assert (folder / "metrics.jsonl").stat().st_mtime_ns == trained


def test_an_export_writes_what_the_run_wrote(made):
    config, _ = made
    folder = config.output / "seed-0/T1/hf"
    student, params = hf.load_pretrained(folder)
    made_world = world.make_world(0, num_train=40, num_test=6)
    write = planning.make_local_writer(
        models.build(student), params, data.load_tokenizer(folder), max_prompt_tokens=made_world.limits[0]
    )
    xs = [record.x for record in made_world.test]
    again = planning.write_articles(write, xs, budget=made_world.budget, wording=made_world.wording)
    assert [each.article for each in again] == [
        row["article"] for row in lines(config.output / "seed-0/T1/direct.jsonl")
    ]


def test_lessons_differ_in_the_plans_that_they_learn_from():
    records = world.make_world(3, num_train=8, num_test=1).train
    ground = worlds.Ground(records, [], None, MANNER, None, planning.PARTS, [])
    lesson_of = {name: method.lesson for name, method in METHODS.items()}
    true, others = (worlds.material(ground, lesson_of[name], 0) for name in ("T4: plan first", OTHERS))
    assert true.records == records and [r.article for r in others.records] == [r.article for r in records]
    assert all(
        mine.summary != its.summary or mine.outline != its.outline
        for mine, its in zip(records, others.records, strict=True)
    )
    assert worlds.parts_of(ground, lesson_of["T4, headings alone: plan first"]) == ("outline",)


def test_lessons_are_learnt_once_for_all_ways_to_ask():
    groups = lessons(tuple(METHODS))
    assert len(groups) == 7 and sum(map(len, groups.values())) == len(METHODS) == 11
    assert METHODS[PLANNED].lesson.name == "T1 + T4"


def test_files_with_a_teacher_and_a_judge(tmp_path, monkeypatch, capsys):
    """The server refuses the heron's steps, so that the heron is left out, and every fourth candidate."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(planning_run, "TEXT_LENGTHS", (64,))
    articles = planning_files.write_articles(tmp_path / "articles.jsonl", steps=False)
    judge = planning_files.write_judge(tmp_path / "judge")
    with chat_server.serving() as server:
        server.chat = planning_files.chat
        words = ["files", "--data", str(articles), "--x-column", "title", "--article-column", "text"]
        words += ["--teacher", server.url, "--teacher-name", "m", "--model", str(judge), "--size", "16", "1"]
        words += "--vocab-size 300 --target-tokens 50 --prompt-tokens 768 --plan-tokens 24".split()
        words += "--article-tokens 32 --batch 8 0".split()
        requests = tmp_path / "requests.jsonl"
        requests.write_text('{"prompt": "Write 20 words.", "length": 20}\n')
        words += [
            "--requests",
            str(requests),
            "--methods",
            BASELINE,
            PLANNED,
            "--encoder",
            str(judge),
            "--output",
            str(tmp_path / "run"),
        ]
        config, _ = machines.command_line(planning_run.PRESETS, words)
        found = planning_run.main(config)
    said = capsys.readouterr().err
    assert "1 of 8 articles to learn from lack a step" in said
    records = [planning.from_row(row) for row in lines(tmp_path / "run/seed-0/records.jsonl")]
    assert all(
        record.provenance["summary"].startswith("m") and 0 <= record.scores["summary"] <= 1 for record in records
    )
    assert f"{HELD_OUT}/{BASELINE}/ROUGE-Lsum" in found
    assert 0 <= found[f"{REQUESTS}/{PLANNED}/length score"] <= 1
    assert f"{SIDE_BY_SIDE}/{PADDED}/coherence, raw" in found and f"{SIDE_BY_SIDE}/{PLANNED}/length, raw" in found
    page = (tmp_path / "run/report.html").read_text()
    assert "Candidates of the teacher" in page and "refused" in page and "stemmer: Porter" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["files"], "expected --data"),
        (["default", "--num-articles", "0", "4"], "made articles have no end"),
        (["files", "--methods", "T5"], "unknown methods"),
    ],
)
def test_mistakes_are_told(words, message, tmp_path):
    config, _ = machines.command_line(planning_run.PRESETS, [*words, "--output", str(tmp_path)])
    with pytest.raises(ValueError, match=message):
        planning_run.main(config)


def test_articles_without_steps_need_a_teacher(tmp_path):
    articles = planning_files.write_articles(tmp_path / "articles.jsonl", steps=False)
    words = ["files", "--data", str(articles), "--x-column", "title", "--article-column", "text", "--vocab-size", "300"]
    config, _ = machines.command_line(planning_run.PRESETS, [*words, "--output", str(tmp_path / "run")])
    with pytest.raises(ValueError, match="name a --teacher"):
        planning_run.main(config)


def test_a_padded_article_wins_raw_and_not_matched():
    """The judge of the made world likes words; with both texts as long, it sees the missing facts."""
    records = world.make_world(5, num_train=1, num_test=40).test
    xs, articles = [record.x for record in records], [record.article for record in records]
    judges = {"likes length": made_judge.make_judge(records), "length": judging.prefer_longer}
    found = judging.compare(judges, xs, [pad(article) for article in articles], articles)
    rates = {name: float(rate.numerator.sum() / rate.denominator.sum()) for name, rate in found.rates.items()}
    assert rates["likes length", "raw"] > 0.9 and rates["length", "raw"] == 1
    assert rates["likes length", "length-matched"] < 0.5 and rates["length", "length-matched"] <= 0.5
    assert found.longer > 2 and found.without == found.unread == 0


def test_an_article_that_is_missing_loses_without_a_judge():
    asked = []

    def judge(pairs):
        asked.extend(pairs)
        return judging.prefer_longer(pairs)

    found = judging.compare({"a": judge}, ["x", "y", "z"], ["", "b", ""], ["a", "", ""])
    assert found.rates["a", "raw"].numerator.tolist() == [0, 1, 0.5] and not asked and found.without == 3


def test_a_judge_that_cannot_be_read_is_no_vote():
    def judge(pairs):
        return [dataclasses.replace(each, probability=None) for each in judging.prefer_longer(pairs)]

    found = judging.compare({"a": judge}, ["x"], ["a b"], ["a"])
    assert found.rates["a", "raw"].denominator.tolist() == [0] and found.unread == 2


def test_a_judge_that_wrote_the_data_is_told():
    class Engine:
        name = "m"

    record = PlannedArticle("x", "y", summary="s", provenance={"summary": "m"})
    assert "also wrote the plans" in warnings(Models(None, Engine), [record])[0]
    assert warnings(Models(None, Engine), [PlannedArticle("x", "y")]) == []
    assert warnings(Models(Engine, None), [record]) == []


def test_figures_of_the_true_articles_are_full_and_of_none_are_empty():
    records = [
        planning.from_row({"x": animal, "article": planning_files.article(animal), "outline": ["Life", "Work"]})
        for animal in planning_files.ANIMALS[:3]
    ]
    gold = [WrittenArticle(r.article, {}, "", True, 1, 3, 30) for r in records]
    none = [WrittenArticle("", {}, "cut off in the plan", False, 1, 3, 30)] * 3
    full, empty = (figures.evaluate(each, records) for each in (gold, none))
    for name in ("ROUGE-1", "ROUGE-Lsum", "heading recall", "supported, by words", "length score"):
        assert float(full[name].numerator.sum() / full[name].denominator.sum()) == pytest.approx(1)
    assert empty[NO_ARTICLE].numerator.sum() == 3 and empty["ROUGE-1"].numerator.sum() == 0
    assert figures.along(gold, records)["quarter 4"].value == 1 and figures.along(none, records) == {}
    assert empty["supported, by words"].denominator.sum() == 0
    assert figures.reasons({"a": none, "b": gold}) == [("", "cut off in the plan"), ("a", 3), ("b", 0)]
