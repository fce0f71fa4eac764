"""experiments.attrprompt on a person's task and a server, from the command line: failures, budgets, replays, pauses."""

import json

import pyarrow.parquet
import pytest

from experiments.attrprompt import __main__ as attrprompt
from experiments.attrprompt import comparison, figures
from experiments.attrprompt.methods import ATTRPROMPT, SIMPROMPT
from experiments.common import machines
from jaxalign.attributes import OTHER, parse_task
from jaxalign.io import jobs, llm
from tests.experiments import attrprompt_server, test_attrprompt_datasets
from tests.experiments.attrprompt_server import BROKEN, SUBTOPICS
from tests.io.llm import chat_server

SMALL = "--classifier probe --num-documents 4 --num-similar 2 --num-values 3 --num-gold 27 54 --max-retries 0".split()


@pytest.fixture(scope="module", autouse=True)
def environment():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setattr(figures, "SUBSAMPLES", 2)
        yield


@pytest.fixture
def server(tmp_path):
    attrprompt_server.write_files(tmp_path)
    with chat_server.serving() as server:
        server.writer = attrprompt_server.Writer()
        server.faults = [server.writer] * 10_000
        yield server


def run(server, folder, *flags, preset="files", url=None):
    """What the command line does."""
    files = [] if preset != "files" else ["--task", str(folder / "task.toml")]
    asked = ["--model", "m", "--endpoint", url or server.url, "--gold", str(folder / "gold.jsonl")]
    words = [preset, *files, *asked, *SMALL, "--output", str(folder / "run"), *flags]
    config, _ = machines.command_line(attrprompt.PRESETS, words)
    return attrprompt.main(config)


def rows(folder, method=ATTRPROMPT):
    return jobs.read_documents(folder / "run" / "seed-0" / method / "documents.jsonl")


def is_document(prompt):
    return prompt.startswith(("Write one", "You are a writer"))


def of(tables, title, row, name):
    return tables[f"{title}/{row}/{name}"]


def test_one_request_that_fails_is_one_row(server, tmp_path, capsys):
    server.writer.broken = lambda prompt: "1. The subtopic is: parrot" in prompt and "style is: plain" in prompt
    tables = run(server, tmp_path, "--prices", str(tmp_path / "prices.toml"))
    err = capsys.readouterr().err
    assert "m will be asked for about " in err and " in all for $0.0" in err and f"{SIMPROMPT} " in err
    found = rows(tmp_path)
    failed = [row for row in found if row.document.text is None]
    assert len(found) == 12 and failed and all(BROKEN in row.document.reason for row in failed)
    for row in found:
        value = dict(row.document.assignment.values)["subtopic"]
        assert row in failed or value == OTHER or row.document.text.startswith(value)
    assert of(tables, comparison.EQUAL_DOCUMENTS, ATTRPROMPT, "texts") == 12 - len(failed)
    assert 0 < of(tables, comparison.EQUAL_TOKENS, ATTRPROMPT, "accuracy") < 1
    paid = [answer for answer in llm.Cache(tmp_path / "run" / "answers.jsonl").answers() if answer.prompt_tokens]
    cost = sum(answer.prompt_tokens + 10 * answer.completion_tokens for answer in paid) * 1e-6
    stages = json.loads((tmp_path / "run" / "stages.json").read_text())
    attributed = sum(each["cost"] for each in stages.values()) + sum(row.usage.get("cost", 0) for row in found)
    assert of(tables, comparison.EQUAL_TOKENS, ATTRPROMPT, comparison.DOLLARS) == pytest.approx(attributed)
    simple = sum(row.usage["cost"] for part in ("", "-more") for row in parts(tmp_path, part))
    assert attributed + simple == pytest.approx(cost)
    again, bodies = run(server, tmp_path, "--prices", str(tmp_path / "prices.toml")), len(server.bodies)
    assert again == tables and len(server.bodies) == bodies
    assert retry(server, tmp_path, found) == len(failed)


def parts(folder, part):
    path = folder / "run" / "seed-0" / SIMPROMPT / f"documents{part}.jsonl"
    return jobs.read_documents(path) if path.exists() else []


def retry(server, folder, before):
    """Asks for failed rows again, and for nothing else that was there; how many got a text."""
    server.writer.broken, asked = None, len(server.bodies)
    run(server, folder, "--retry-failed", "--until", "documents")
    after = rows(folder)
    changed = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert all(old.document.text is None and new.document.text and new.attempt == 1 for old, new in changed)
    asked = [prompt for prompt in server.asked()[asked:] if not prompt.startswith("You are")]
    assert len(asked) == len(changed)
    return len(changed)


def test_when_all_fail_the_first_error_is_shown_and_they_can_be_asked_again(server, tmp_path):
    server.writer.broken = is_document
    for _ in range(2):
        with pytest.raises(RuntimeError, match=f"none of the 12 requests of .* gave a document; the first: .*{BROKEN}"):
            run(server, tmp_path)
    with pytest.raises(RuntimeError, match=f"none of the 12 rows .* asked for again got a document.*{BROKEN}"):
        run(server, tmp_path, "--retry-failed")
    server.writer.broken = None
    assert run(server, tmp_path, "--retry-failed", "--until", "documents") == {}
    assert all(row.document.text and row.attempt == 2 for row in rows(tmp_path))


def test_a_stage_that_fails_ends_the_run_which_goes_on(server, tmp_path):
    server.writer.broken = lambda prompt: prompt.startswith("Name 3") and '"cars"' in prompt.partition(".")[0]
    with pytest.raises(Exception, match=BROKEN):
        run(server, tmp_path)
    assert (tmp_path / "run" / "similar.toml").exists() and not (tmp_path / "run" / "values.toml").exists()
    server.writer.broken = None
    run(server, tmp_path, "--until", "values")
    assert len(server.asked()) == len({*server.asked()}) + 1  # the one that failed
    asked = json.loads((tmp_path / "run" / "stages.json").read_text())["values"]["asked"]
    assert asked[0] == 3 + 1  # as often as an uninterrupted run asks


def test_a_replay_has_the_same_figures(server, tmp_path):
    server.writer.broken = lambda prompt: "1. The subtopic is: soup" in prompt
    tables = run(server, tmp_path)
    (tmp_path / "run").rename(tmp_path / "before")
    bodies = len(server.bodies)
    flags = ["--replay", str(tmp_path / "before" / "answers.jsonl"), "--known-as", server.url]
    assert run(server, tmp_path, *flags, url="http://127.0.0.1:9/v1") == tables and len(server.bodies) == bodies
    for name in ("documents.jsonl", "documents-more.jsonl"):
        before, after = (tmp_path / each / "seed-0" / SIMPROMPT / name for each in ("before", "run"))
        assert before.read_bytes() == after.read_bytes()


def test_a_budget_ends_a_run_politely_and_it_goes_on(server, tmp_path, capsys):
    prices = ["--prices", str(tmp_path / "prices.toml")]
    ends = 0
    while ends < 20:
        try:
            tables = run(server, tmp_path, *prices, "--budget-cost", "0.002", "--concurrency", "1")
            break
        except SystemExit as end:
            assert end.code == 1
            err = capsys.readouterr().err
            assert "the budget of this run is $0.002" in err and "the budget of $0.002 is spent, after " in err
            assert "the same command goes on from there, with a budget of its own" in err
            ends += 1
    assert 1 < ends < 20 and of(tables, comparison.EQUAL_DOCUMENTS, ATTRPROMPT, "texts") == 12
    seen = [(body["messages"][-1]["content"], body["seed"]) for body in server.bodies]
    assert len(seen) == len({*seen})  # nothing is paid twice


def test_a_task_without_attributes_pauses_for_a_person(server, tmp_path, capsys):
    task = attrprompt_server.TASK.partition("[[attributes]]")[0]
    (tmp_path / "task.toml").write_text(task)
    assert run(server, tmp_path) == {}
    said, path = capsys.readouterr(), tmp_path / "run" / "dimensions.toml"
    assert f"the task has no attributes. Choose among those of {path}: set kind" in said.out
    assert "m will be asked for about 1 answers" in said.err and len(server.bodies) == 1
    proposed = parse_task(path.read_text())
    assert [each.name for each in proposed.attributes] == ["subtopic", "writing_style"]
    assert "the length of documents is no attribute" in (tmp_path / "run" / "stages.json").read_text()
    assert run(server, tmp_path, "--until", "dimensions") == {} and len(server.bodies) == 1
    path.write_text(path.read_text().replace('kind = "shared"', 'kind = "class"', 1))
    assert run(server, tmp_path, "--preview", "5") == {}
    assert capsys.readouterr().out.count("--- prompt ") == 3 and len(server.bodies) == 1
    assert run(server, tmp_path, "--until", "documents") == {}
    values = {dict(row.document.assignment.values)["subtopic"] for row in rows(tmp_path)}
    assert values <= {value for each in SUBTOPICS.values() for value in each} | {OTHER} and len(values) > 4


def test_seeds_share_the_stages(server, tmp_path):
    run(server, tmp_path, "--seeds", "2", "--until", "documents")
    prompts = server.asked()
    assert sum(prompt.startswith("Which") for prompt in prompts) == 3
    assert sum(prompt.startswith("Name") for prompt in prompts) == 4
    first, second = ((tmp_path / "run" / f"seed-{n}" / ATTRPROMPT / "documents.jsonl").read_bytes() for n in (0, 1))
    assert first != second


def test_a_data_set_of_the_paper(server, tmp_path, capsys):
    """Values and gold texts of AG News, of which small files are made."""
    labels = ["World", "Sports", "Business", "Sci_Tech"]
    values = [("agnews", "subtopics", label, label, f"{label} {n}") for label in labels for n in range(2)]
    values += test_attrprompt_datasets.shared("agnews", location=["Paris", "3rd Street"], style=["dry", "vivid"])
    folder = tmp_path / "attributes"
    folder.mkdir()
    test_attrprompt_datasets.write(folder, values, {"agnews": labels})
    gold = [
        {"title": label, "description": f"{label} {n} of {n}", "label_name": label}
        for label in labels
        for n in range(12)
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(gold), tmp_path / "gold.parquet")
    server.faults = []  # answers are prompts in capitals
    flags = ["--attributes", str(folder), "--gold", str(tmp_path / "gold.parquet"), "--encoder", ""]
    tables = run(server, tmp_path, *flags, preset="agnews")
    assert of(tables, comparison.EQUAL_DOCUMENTS, ATTRPROMPT, "texts") == 16
    assert {prompt.partition(" ")[0] for prompt in server.asked()} == {"Write", "You"}  # all values are there
    assert "Sci_Tech 0" in "".join(server.asked()) and attrprompt.PRESETS["agnews"].num_documents == 500
    with pytest.raises(ValueError, match="--attributes: expected the folder with the attribute values of agnews"):
        run(server, tmp_path / "other", "--encoder", "", preset="agnews")


def test_without_real_texts_to_learn_from(server, tmp_path):
    tables = run(server, tmp_path, "--num-gold", "0", "20", "--methods", SIMPROMPT)
    assert of(tables, comparison.EQUAL_TOKENS, ATTRPROMPT, "accuracy") > 1 / 3
    assert not any(comparison.GOLD in key for key in tables)


def test_gold_texts_of_several_labels_or_none_are_named(server, tmp_path):
    with (tmp_path / "gold.jsonl").open("a") as file:
        file.write(json.dumps({"text": "of both", "label": ["pets", "cars"]}) + "\n")
    with pytest.raises(
        ValueError, match="--gold: expected one label of each text, and 1 of .*the first one pets, cars"
    ):
        run(server, tmp_path)
    assert not server.bodies
