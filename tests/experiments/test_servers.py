"""How experiments ask servers: flags, secrets that are written nowhere, what a folder has cost, a server that moved."""

import json
import pathlib
import re

import pytest

from experiments.common import machines
from experiments.common.fields import flat, flattened, replace
from experiments.common.llm import accounts
from experiments.common.llm.server import Server, open_client, settings
from experiments.ease import __main__ as ease
from experiments.judge import __main__ as judge
from experiments.label_preferences import __main__ as label_preferences
from experiments.plad import __main__ as plad
from experiments.plad.texts import asked_texts
from jaxalign.data import PreferenceRecord
from jaxalign.io import llm
from jaxalign.io.llm.service import Ledger
from tests.experiments.test_judging_survives import config, environment, pairs, serving, whole  # noqa: F401
from tests.io.llm import chat_server
from tests.io.llm.chat_server import KEY

EXPERIMENTS = {"judge": judge, "ease": ease, "label_preferences": label_preferences, "plad": plad}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_flags_reach_the_client(name, capsys):
    presets = EXPERIMENTS[name].PRESETS
    flags = "--timeout 7 --max-retries 2 --concurrency 3 --thinking-tokens 500 --token-limit max_completion_tokens"
    found, _ = machines.command_line(presets, f"{flags} --key-variable MY_KEY --known-as http://old/v1".split())
    asked = Server(7.0, 2, 3, 500, "max_completion_tokens", "MY_KEY", "http://old/v1")
    assert found == replace(presets[next(iter(presets))], **flat(asked))
    client = open_client("http://h/v1/", "m", asked)
    limits = {"timeout": 7.0, "max_retries": 2, "token_limit": "max_completion_tokens"}
    assert client == llm.Client("http://h/v1", "m", key_variable="MY_KEY", known_as="http://old/v1", **limits)
    with pytest.raises(SystemExit):
        machines.command_line(presets, ["--help"])
    told = " ".join(re.sub("[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    for part in ("--timeout", "seconds that a server may be silent", "--thinking-tokens", "for models that think"):
        assert part in told


@pytest.mark.parametrize("url", [f"http://me:{KEY}@h/v1", f"https://h/v1?api_key={KEY}", f"http://{KEY}@h/v1"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_secret_in_a_url_is_refused_before_anything_is_written(name, url, tmp_path):
    run = replace(EXPERIMENTS[name].PRESETS["files"], output=tmp_path / "run", data=tmp_path)
    place = {"teacher": url} if name == "plad" else {"endpoint": url, "model": "m"}
    with pytest.raises(ValueError, match="an API key goes into the environment") as error:
        EXPERIMENTS[name].main(replace(run, **place))
    assert KEY not in str(error.value) and not (tmp_path / "run").exists()


def test_settings_of_a_folder_are_what_changes_answers():
    run = replace(judge.PRESETS["files"], endpoint="http://h/v1", budget_tokens=9)
    priced = replace(run, budget_cost=0.5, prices=pathlib.Path("prices.toml"))
    server = {"timeout": 1.0, "concurrency": 2, "key_variable": "K", "token_limit": "max_completion_tokens"}
    assert settings(replace(run, **server)) == flattened(replace(run, budget_tokens=None))
    assert settings(priced) == settings(run)
    thinking = replace(run, thinking_tokens=9, budget_tokens=None)
    assert settings(thinking) == flattened(thinking) != settings(run)
    moved = replace(run, endpoint="http://new/v1", known_as="http://h/v1")
    assert settings(moved) == settings(run)
    teacher = replace(plad.PRESETS["files"], teacher="some/model")
    assert settings(teacher) == flattened(teacher)


def test_the_bill_after_a_break_is_of_the_whole_folder(whole, pairs, tmp_path):  # noqa: F811
    """Two processes: the first ends with its budget, the second pays the rest and shows what both have paid."""
    with serving() as server:
        run = config(pairs, server.url, tmp_path)
        with pytest.raises(SystemExit):
            judge.main(replace(run, budget_tokens=3000))
        before = paid_answers(tmp_path)
        assert judge.main(run) == whole[1]
    total = paid_answers(tmp_path)
    assert total == paid_answers(whole[0]) and 0 < before.requests < total.requests
    rows = bill_of(tmp_path)
    assert rows["paid for this folder, in all"] == list(total[:3])
    assert rows["paid by this process"] == [all - then for all, then in zip(total[:3], before[:3], strict=True)]
    assert rows["asked for"] == bill_of(whole[0])["asked for"]
    assert bill_of(whole[0])["paid for this folder, in all"] == list(total[:3])


def paid_answers(folder):
    return llm.usage_of(a for a in llm.Cache(folder / "answers.jsonl").answers() if a.prompt_tokens != 0)


def bill_of(folder):
    """The rows of the report's bill as numbers."""
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", (folder / "report.html").read_text()))
    names = ("asked for", "paid for this folder, in all", "paid by this process")
    found = {name: re.search(re.escape(name) + r" ((?:[\d, ]+ ){2}[\d,]+)", text) for name in names}
    return {name: [int(n.replace(",", "")) for n in match[1].split()] for name, match in found.items()}


def test_a_bill_by_hand():
    """Three answers are in the file, of which this process paid one and asked for two, one of them twice."""
    file = [llm.Answer(("a",), ("stop",), 10, n, seconds=2.0, retries=n) for n in (1, 2, 3)]
    ledger = Ledger()
    ledger.add(llm.usage_of([file[2], file[1], file[1]]), llm.usage_of(file[2:]), seconds=4.0, retries=1)
    ledger.add_texts([llm.Answer(("half", ""), ("length", "stop"))])
    table = accounts.bill(ledger, file)
    assert table.rows == [
        ("asked for", 3, 30, 7),
        ("paid for this folder, in all", 3, 30, 6),
        ("paid by this process", 1, 10, 3),
    ]
    for part in (
        "asked for 4.0 s, with 1 retries",
        "took 6.0 s, added up, with 6 retries",
        "1 were cut",
        "1 are empty",
    ):
        assert part in table.caption
    said = accounts.sentence(ledger, file)
    assert said.startswith(
        "asked for 37 tokens in 4.0 s; 36 tokens were paid for this folder in all, 13 of them now. Of"
    )


def test_a_server_that_moved_goes_on_with_its_folder(whole, pairs, tmp_path):  # noqa: F811
    with serving() as first, serving() as second:
        run = config(pairs, first.url, tmp_path)
        with pytest.raises(SystemExit):
            judge.main(replace(run, budget_tokens=3000))
        moved = replace(run, endpoint=second.url, known_as=first.url)
        assert judge.main(moved) == whole[1]
        assert sorted(map(str, [*first.bodies, *second.bodies])) == whole[2]
    assert json.loads((tmp_path / "config.json").read_text())["endpoint"] == first.url


def test_a_teacher_that_thinks_refuses_and_is_cut(server, tmp_path, capsys):
    """Each of three prompts is answered once; a refusal is no text, and what was lost is told."""
    said = iter([("a whole text", "stop"), ("half a te", "length"), (None, "content_filter")])

    def chat(body):
        content, finish = next(said)
        choice = {"message": {"content": content, "reasoning_content": "hm"}, "finish_reason": finish}
        return chat_server.completion(body, choices=[choice])

    server.chat = chat
    records = [PreferenceRecord(f"q{n}", ("",), (0.0,), id=str(n)) for n in range(3)]
    options = {"max_new_tokens": 30, "server": Server(concurrency=1, thinking_tokens=70)}
    for _ in range(2):
        texts = asked_texts(tmp_path / "teacher.jsonl", server.url, "m", records, **options)
        assert texts == {"0": ["a whole text"], "1": ["half a te"], "2": []}
        told = capsys.readouterr().err
        assert "45 tokens were paid for this folder in all" in told
        assert "Of 3 texts, 1 were cut at their limit of tokens and 1 are empty" in told
    assert len(server.bodies) == 3 and {body["max_tokens"] for body in server.bodies} == {100}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with chat_server.serving() as server:
        yield server
