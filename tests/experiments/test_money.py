"""Documents by each engine with what they took, a cap in money, and costs in the bill, the forecast and the errors."""

import json

import pytest

from experiments.common.llm import accounts, forecast
from experiments.common.llm.engine import open_engine, simulated
from experiments.common.llm.server import LanguageModel, Server
from jaxalign.attributes import Failure, make_requests, sample_assignments
from jaxalign.io import hf, jobs, llm
from jaxalign.io.llm.service import Ledger, StoppedError
from tests.attributes.fakes import Writer
from tests.attributes.tiny import TASK
from tests.io.llm import chat_server, test_local

REQUESTS = make_requests(TASK, sample_assignments(TASK, 4, seed=0))
PRICES = '["m"]\nprompt = 1.0\ncompletion = 100.0\n'
EACH = 0.00051  # of ten tokens of a prompt and five of an answer


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with chat_server.serving() as server:
        yield server


@pytest.fixture
def prices(tmp_path):
    (tmp_path / "prices.toml").write_text(PRICES)
    return tmp_path / "prices.toml"


def flags(server, prices=None, **changes):
    asked = {"endpoint": server.url, "server": Server(concurrency=2, max_retries=0)}
    return LanguageModel(**{"model": "m", "prices": prices} | asked | changes)


def write(engine, folder, requests=REQUESTS):
    options = {"settings": {"model": engine.name}, "chunk": 4, "show": False}
    writer = engine.documents
    jobs.write_document_file(folder / "documents.jsonl", writer.generate, requests, usage_fn=writer.usage_fn, **options)
    return (folder / "documents.jsonl").read_bytes()


def test_documents_of_a_server_and_of_its_replay(server, prices, tmp_path):
    server.faults = [chat_server.status(400)]
    folders = [tmp_path / name for name in ("run", "again")]
    with accounts.limited(flags(server, prices), simulated=False) as ledger:
        engine = open_engine(flags(server, prices), folders[0], ledger)
        written = write(engine, folders[0])
    rows = jobs.read_documents(folders[0] / "documents.jsonl")
    usage = {"model": "m", "prompt_tokens": 10, "completion_tokens": 5, "tokens": 15, "cost": EACH}
    assert sorted(str(row.usage) for row in rows) == sorted([str({"model": "m"})] + [str(usage)] * 11)
    assert engine.cost() == pytest.approx(11 * EACH)
    replay = flags(server, prices, endpoint="http://127.0.0.1:1/v1", replay=folders[0] / "answers.jsonl")
    replay = LanguageModel(**vars(replay) | {"server": Server(known_as=server.url), "budget_cost": 0.0})
    with accounts.limited(replay, simulated=False) as ledger:  # which pays nothing, so that no budget ends it
        assert write(open_engine(replay, folders[1], ledger), folders[1]) == written


def test_documents_of_a_model_in_this_process(tmp_path):
    tokenizer = test_local.make_tokenizer()
    model, params = test_local.make_policy(tokenizer, max_length=64)
    hf.save_pretrained(tmp_path / "model", model.config, params, tokenizer)
    name, prompts = str(tmp_path / "model"), ["write", "a long prompt " * 9]
    price = llm.Price(1.0, 100.0)
    (tmp_path / "prices.toml").write_text(PRICES.replace("m", name, 1))
    asked = LanguageModel(name, prices=tmp_path / "prices.toml")
    engine = open_engine(asked, tmp_path, Ledger(price=price))
    texts = engine.documents.generate(prompts, n=2, seed=3, max_tokens=4)
    assert isinstance(texts[1][1], Failure) and texts[1][1].reason.endswith("and the context has 64")
    usage = engine.documents.usage_fn("write", 4)
    count = llm.record.make_count_tokens(tokenizer)
    turn = [{"role": "user", "content": "write"}]  # as servers are asked
    expected = (count(turn), count(texts[0][1]))
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == expected
    assert usage["cost"] == pytest.approx((expected[0] + 100 * expected[1]) * 1e-6)
    assert engine.documents.usage_fn(prompts[1], 3)["tokens"] is None
    replayed = open_engine(LanguageModel(name, replay=tmp_path / "answers.jsonl"), tmp_path, Ledger(price=price))
    assert replayed.documents.generate(prompts, n=2, seed=3, max_tokens=4) == texts
    assert replayed.documents.usage_fn("write", 4) == usage and replayed.cost() is None  # no prices are given to it
    assert engine.cost() == pytest.approx(sum(engine.documents.usage_fn("write", seed)["cost"] for seed in (3, 4)))


def test_documents_of_a_simulated_model():
    """Its tokens are words. A failure that it plants is one of the engine, which counts it and no tokens of it."""
    ledger = Ledger()

    def generate(prompts, *, n=1, seed=None, **_):
        return [
            [Failure("planted") if prompt == "bad" else f"{prompt} {seed + k}" for k in range(n)] for prompt in prompts
        ]

    engine = simulated("writer", generate, lambda *_: [], ledger)
    texts = engine.documents.generate(["a b", "bad", "c"], n=2, seed=5)
    assert texts == [["a b 5", "a b 6"], ["", ""], ["c 5", "c 6"]] and texts[1][0].reason == "planted"
    tokens = {"prompt_tokens": 2, "completion_tokens": 3, "tokens": 5}
    assert engine.documents.usage_fn("a b", 6) == {"model": "writer", **tokens, "cost": None}
    assert engine.documents.usage_fn("bad", 6)["tokens"] is None
    assert ledger.asked == llm.Usage(4, 6, 10) and ledger.failed == 2 and ledger.paid == llm.Usage()
    assert engine.generate(["a b", "bad"], n=1, seed=5) == [["a b 5"], [""]]
    few = simulated("writer", Writer(fails=1.0), lambda *_: [], Ledger())
    assert few.documents.generate(["write"], n=2, seed=0) == [[]]


def test_a_cap_in_money_ends_a_run_and_another_goes_on(server, prices, tmp_path, capsys):
    """The sixth answer passes the cap of 0.0028: two may be under way when it is passed."""
    capped = flags(server, prices, budget_cost=0.0028)
    with pytest.raises(SystemExit) as ended, accounts.limited(capped, simulated=False) as ledger:
        write(open_engine(capped, tmp_path, ledger), tmp_path)
    paid = len(server.bodies)
    assert ended.value.code == 1 and 6 <= paid <= 5 + 2
    told = capsys.readouterr().err.splitlines()[-1]
    cost = llm.dollars(round(paid * EACH, 12))
    assert told.startswith(
        f"the budget of $0.0028 is spent, after {paid} new answers of {15 * paid} tokens for {cost}: "
    )
    assert told.endswith("the same command goes on from there, with a budget of its own")
    more = flags(server, prices, budget_cost=1.0)
    with accounts.limited(more, simulated=False) as ledger:
        engine = open_engine(more, tmp_path, ledger)
        write(engine, tmp_path)
    assert len(server.bodies) == len(REQUESTS)
    table = accounts.bill(ledger, engine.paid(), engine.cost())
    assert table.columns[-1] == "US dollars" and [row[0] for row in table.rows][1] == "paid for this folder, in all"
    assert [row[-1] for row in table.rows][1:] == [llm.dollars(12 * EACH), llm.dollars((12 - paid) * EACH)]
    said = accounts.sentence(ledger, engine.paid(), engine.cost())
    assert (
        f"180 tokens were paid for this folder in all for {llm.dollars(12 * EACH)}, {15 * (12 - paid)} of them now"
        in said
    )
    assert f"for {llm.dollars(12 * EACH)}; this start paid" in accounts.told(engine)["cost"]


def test_a_cost_that_is_not_known_is_left_out(server, prices, tmp_path):
    """Of one answer without a report, and of a model without a price that was asked for the same folder before."""
    other = flags(server, prices, model="other")
    open_engine(other, tmp_path, Ledger()).generate(["first"])
    engine = open_engine(flags(server, prices), tmp_path, Ledger(price=llm.Price(1.0, 100.0)))
    engine.documents.generate(["second"], seed=0)
    assert engine.cost() is None
    table = accounts.bill(engine.ledger, engine.paid(), engine.cost())
    assert [row[-1] for row in table.rows] == ["$0.00051", "", "$0.00051"]
    assert "A cost is left out where a price or the report of an answer's tokens is missing." in table.caption
    server.chat = lambda body: chat_server.completion(body, usage=None)
    engine.documents.generate(["third"], seed=0)
    assert [row[-1] for row in accounts.bill(engine.ledger, engine.paid()).rows] == ["", "", ""]
    assert accounts.bill(Ledger(), []).columns[-1] == "answer tokens"


def test_flags_that_say_no_price(server, prices, tmp_path, capsys):
    for given in (None, prices):
        asked = flags(server, given, model="other", budget_cost=1.0)
        where = given or "a file of --prices"
        with pytest.raises(
            ValueError, match=f"--budget-cost: the price of 'other' is not known; write it into {where}"
        ):
            with accounts.limited(asked, simulated=False):
                pass
    with accounts.limited(flags(server, prices, model="other"), simulated=False) as ledger:
        assert ledger.price is None
    assert "prices.toml has no price of 'other', so that costs stay unknown" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError), accounts.limited(flags(server, tmp_path / "none"), simulated=False):
        pass


def test_the_forecast_asks_nobody_and_tells_the_cost(server, prices, tmp_path, capsys):
    asked = flags(server, prices, budget_cost=1.0, budget_tokens=9999)
    with accounts.limited(asked, simulated=False) as ledger:
        engine = open_engine(asked, tmp_path, ledger)

        def run(engine):
            engine.documents.generate(["a prompt"], n=2, max_tokens=100, seed=0)

        forecast.announce(asked, engine, run, times=3, simulated=False)
    said = capsys.readouterr().err
    assert not server.bodies and not (tmp_path / "answers.jsonl").exists()
    assert "6 answers: 12 tokens of prompts and 600 of answers, or 612 in all for $0.06. 0 answers of 0" in said
    assert said.endswith("; the budget of this run is 9,999 tokens and $1.00.\n")


def test_a_stop_leaves_the_rows_before(server, tmp_path):
    ledger = Ledger(stop=lambda: len(server.bodies) >= 6)
    with pytest.raises(StoppedError, match="the run was stopped"):
        write(open_engine(flags(server), tmp_path, ledger), tmp_path)
    rows = (tmp_path / "documents.jsonl").read_text().splitlines()
    assert len(rows) == 4 and all(json.loads(row)["text"] for row in rows)
