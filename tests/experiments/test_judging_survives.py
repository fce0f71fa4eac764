"""A judge on a server: whatever ends a run, the same command goes on, pays nothing twice and has the same figures."""

import contextlib
import os
import pathlib
import re
import signal

import pytest

from experiments.common.fields import replace
from experiments.judge import __main__ as judge
from jaxalign.io import llm
from jaxalign.io.llm import runs
from tests.experiments import judging_server
from tests.io.llm import chat_server


@pytest.fixture(scope="module", autouse=True)
def environment():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield


@pytest.fixture
def server():
    with serving() as server:
        yield server


@contextlib.contextmanager
def serving():
    with chat_server.serving() as server:
        server.chat, server.echo = judging_server.chat, judging_server.echo
        yield server


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    judging_server.write_pairs(path, 8)
    return path


def config(pairs, url, output, **fields):
    return replace(
        judge.PRESETS["files"],
        data=pairs,
        columns=("prompt", "first", "second", "wins"),
        methods=("direct", "chain of thought", "structured", "self-consistency, equal tokens"),
        num_pairs=(3, 5),
        num_aspects=1,
        num_candidates=2,
        model="m",
        endpoint=url,
        output=output,
        **fields,
    )


@pytest.fixture(scope="module")
def whole(pairs, tmp_path_factory):
    """A run without a break: its folder, figures, and how often the server was asked what."""
    folder = tmp_path_factory.mktemp("whole")
    with serving() as server:
        values = judge.main(config(pairs, server.url, folder))
        return folder, values, sorted(map(str, server.bodies))


def test_the_server_judges_as_the_model_does(whole, pairs, tmp_path, monkeypatch):
    """Scores and texts that went through the server give the judgements of the simulated model itself."""
    monkeypatch.setattr(
        judge.methods, "open_judge", lambda flags, folder, ledger, **_: judging_server.JUDGE.open(ledger)
    )
    monkeypatch.setattr(judge.forecast, "announce", lambda *arguments, **options: None)
    values = judge.main(config(pairs, "", tmp_path))
    for method in ("direct", "chain of thought"):
        for figure in ("accuracy", "ECE", "orders agree", "unparsed texts"):
            name = f"all pairs/{method}/{figure}"
            assert whole[1][name] == pytest.approx(values[name], abs=1e-6)


def test_a_run_that_breaks_again_and_again(whole, server, pairs, tmp_path, monkeypatch, capsys):
    """The client dies at its k-th request: no request is sent twice, and the figures are those of one run."""
    run = config(pairs, server.url, tmp_path)
    ask, left = runs.ask, []

    def mortal(*arguments, **options):
        if not left:
            raise MemoryError("killed")
        left.pop()
        return ask(*arguments, **options)

    monkeypatch.setattr(runs, "ask", mortal)
    for lives in (0, 3, 30, 31, 60):
        left[:] = [None] * lives
        with pytest.raises(MemoryError):
            judge.main(run)
    monkeypatch.setattr(runs, "ask", ask)
    capsys.readouterr()
    assert judge.main(run) == whole[1]
    assert sorted(map(str, server.bodies)) == whole[2]
    assert predictions(tmp_path) == predictions(whole[0])
    answers = llm.Cache(tmp_path / "answers.jsonl").answers()
    assert 0 < check_forecast(capsys.readouterr().err.splitlines()[0], answers) < len(answers)


def check_forecast(line, answers):
    """It is no less than what a whole run takes; how many answers were there when it was made."""
    requests, prompts, written, total, known, _ = (int(n) for n in re.findall(r"\d+", line.replace(",", "")))
    paid = llm.usage_of(answer for answer in answers if answer.prompt_tokens != 0)
    assert 0 < paid.requests < requests
    assert paid.prompt_tokens < prompts and paid.completion_tokens < written and total == prompts + written
    return known


def test_a_replay_asks_nobody(whole, pairs, tmp_path):
    """There is no server at the address any more."""
    replayed = config(pairs, "http://127.0.0.1:1/v1", tmp_path, replay=whole[0] / "answers.jsonl")
    assert judge.main(replayed) == whole[1] and predictions(tmp_path) == predictions(whole[0])
    assert not (tmp_path / "answers.jsonl").exists()
    with pytest.raises(llm.NotRecordedError, match=r"answers\.jsonl has no answer of 'm' to request"):
        judge.main(replace(replayed, temperature=0.1, output=tmp_path / "other"))
    with pytest.raises(ValueError, match="expected the answers.jsonl of an earlier run, and .* is no file"):
        judge.main(replace(replayed, replay=tmp_path / "none"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_politely(whole, server, pairs, tmp_path, capsys, number):
    """The ninth request brings the signal: those under way, eight at most, are kept, and no other one is sent."""
    before = signal.getsignal(number)

    def tell(body):
        if len(server.bodies) == 9:
            os.kill(os.getpid(), number)

    server.on_request = tell
    with pytest.raises(SystemExit) as ended:
        judge.main(config(pairs, server.url, tmp_path))
    sent = len(server.bodies)
    assert ended.value.code == 0 and sent <= 9 + 8 and signal.getsignal(number) is before
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"the run was stopped, after {sent} new answers of ")
    assert line.endswith("answers.jsonl; the same command goes on from there")
    assert judge.main(config(pairs, server.url, tmp_path)) == whole[1]
    assert sorted(map(str, server.bodies)) == whole[2]


def test_a_budget_ends_a_run_and_another_goes_on(whole, server, pairs, tmp_path, capsys):
    run = config(pairs, server.url, tmp_path, budget_tokens=3000)
    with pytest.raises(SystemExit) as ended:
        judge.main(run)
    told = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1 and told[-1].startswith("the budget of 3,000 tokens is spent, after ")
    assert told[0].startswith("m will be asked for at most about ")
    assert told[0].endswith("0 answers of 0 tokens are there already; the budget of this run is 3,000 tokens.")
    sent = len(server.bodies)
    assert 0 < sent < len(whole[2])
    assert judge.main(replace(run, budget_tokens=None)) == whole[1]
    assert sorted(map(str, server.bodies)) == whole[2]
    assert f"{sent} answers of 3," in capsys.readouterr().err.splitlines()[0]


@pytest.mark.parametrize(
    "flag", [{"budget_tokens": 9}, {"budget_cost": 0.5}, {"prices": pathlib.Path("p")}, {"replay": pathlib.Path("r")}]
)
def test_simulated_models_have_no_budget(tmp_path, flag):
    message = "--budget-tokens, --budget-cost, --prices and --replay are for real models, and a simulated one is asked"
    with pytest.raises(ValueError, match=message):
        judge.main(replace(judge.PRESETS["default"], output=tmp_path, **flag))


def predictions(folder):
    return (folder / "seed-0" / "predictions.jsonl").read_text()
