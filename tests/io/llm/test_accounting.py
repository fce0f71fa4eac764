"""Prices and caps: sums by hand, what is unknown stays unknown, and nothing is sent above a cap."""

import functools

import pytest

from jaxalign.io import llm
from jaxalign.io.llm.accounting import Budget
from jaxalign.io.llm.service import Ledger, StoppedError
from tests.io.llm import chat_server

PRICE = llm.Price(prompt=0.15, completion=0.6)
TOKENS = 10 + 5  # what chat_server.completion reports
COST = 10 * 0.15e-6 + 5 * 0.6e-6  # 4.5 millionths of a dollar


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def service(server, path, ledger, concurrency=1, **options):
    client = llm.Client(server.url, "m", max_retries=0, **options)
    return llm.service.asking(client, llm.Cache(path), ledger=ledger, concurrency=concurrency, show=False)


def test_a_cost_by_hand():
    assert llm.cost_of(PRICE, llm.Usage(3, 2_000_000, 500_000)) == 0.3 + 0.3
    assert llm.cost_of(PRICE, llm.Usage(1, 10, 5)) == 4.5e-6
    assert llm.cost_of(llm.Price(0.0, 0.0), llm.Usage(1, 10, 5)) == 0  # free is a price


def test_what_is_unknown_is_not_0():
    assert llm.cost_of(None, llm.Usage(1, 10, 5)) is None
    assert llm.cost_of(PRICE, llm.Usage(2, 10, 5, unreported=1)) is None
    assert llm.cost_of(None, llm.Usage()) is None and llm.cost_of(PRICE, llm.Usage()) == 0


@pytest.mark.parametrize(
    ("cost", "said"), [(0.0, "$0.00"), (1.5, "$1.50"), (0.07, "$0.07"), (0.999, "$0.999"), (4.5e-6, "$0.0000045")]
)
def test_small_amounts_are_seen(cost, said):
    assert llm.dollars(cost) == said


@pytest.mark.parametrize("cost", [0.3, 0.7, 1.1, 4.35, 0.000123])
def test_a_budget_in_money_is_spent_exactly(cost):
    """Of a price of 0.1 millionths for a token: floats do not leave a rest that would let more be sent."""
    budget = Budget(cost=cost, price=llm.Price(0.1, 0.1))
    tokens = round(cost * 1e7)
    assert not budget.spent(llm.Usage(1, tokens - 1, 0))
    for prompt in range(0, tokens, max(tokens // 7, 1)):
        paid = llm.Usage(1, prompt, tokens - prompt)
        assert budget.spent(paid) == f"the budget of {llm.dollars(cost)} is spent"
        assert budget.minus(llm.Usage(1, prompt, 0)).spent(llm.Usage(1, 0, tokens - prompt))
        assert not budget.minus(llm.Usage(1, prompt, 0)).spent(llm.Usage(1, 0, tokens - prompt - 1))
        assert budget.minus(paid).spent(llm.Usage())


def test_either_cap_ends():
    budget = Budget(40, 4 * COST, PRICE)
    assert str(budget) == "40 tokens and $0.000018" and budget.limits and not Budget(price=PRICE).limits
    assert not budget.spent(llm.Usage(2, 20, 10))
    assert budget.spent(llm.Usage(3, 30, 15)) == "the budget of 40 tokens is spent"
    assert Budget(None, 4 * COST, PRICE).spent(llm.Usage(4, 40, 20)) == "the budget of $0.000018 is spent"
    assert not Budget(None, None, PRICE).spent(llm.Usage(9, 10**9, 10**9))
    assert Budget(0).spent(llm.Usage()) and Budget(cost=0.0, price=PRICE).spent(llm.Usage())


def test_a_budget_in_money_needs_a_price(tmp_path):
    complete = functools.partial(llm.complete, llm.Client("http://h/v1", "m"), [], cache=llm.Cache(tmp_path / "pool"))
    for make in (Ledger, complete):
        with pytest.raises(ValueError, match=r"a budget of \$2.00 can be kept only where the model's price is known"):
            make(budget_cost=2.0)


@pytest.mark.parametrize("concurrency", [1, 3, 8])
@pytest.mark.parametrize("kind", ["tokens", "money"])
@pytest.mark.parametrize("ask", ["ask", "attempt"])
def test_no_more_is_paid_than_the_cap_and_what_was_under_way(tmp_path, kind, concurrency, ask):
    """A cap of 7.5 answers: the eighth passes it, while up to ``concurrency - 1`` others were under way."""
    caps = {"tokens": {"budget_tokens": 15 * TOKENS // 2}, "money": {"budget_cost": 7.5 * COST, "price": PRICE}}
    ledger = Ledger(**caps[kind])
    with chat_server.serving() as server:
        asking = getattr(service(server, tmp_path / "pool.jsonl", ledger, concurrency), ask)
        asking([llm.Request(f"first {n}") for n in range(3)])  # the cap is of the run and not of a call
        with pytest.raises(StoppedError, match="the budget of .* is spent, after .* all later steps"):
            asking([llm.Request(f"second {n}") for n in range(60)])
        paid = len(server.bodies)
        assert 8 <= paid <= 7 + concurrency and ledger.paid == llm.Usage(paid, 10 * paid, 5 * paid)
        with pytest.raises(StoppedError):
            asking([llm.Request("third")])
        asking([llm.Request("first 0")])  # what is there costs nothing
        assert len(server.bodies) == paid
    assert len(llm.Cache(tmp_path / "pool.jsonl").answers()) == paid


def test_failed_requests_take_nothing_of_a_budget(tmp_path):
    ledger = Ledger(budget_cost=3 * COST, price=PRICE)
    with chat_server.serving([chat_server.status(400)] * 5) as server:
        asking = service(server, tmp_path / "pool.jsonl", ledger)
        with pytest.raises(
            StoppedError, match=r"\$0.0000135 is spent, after 3 new answers of 45 tokens for \$0.0000135"
        ):
            asking.attempt([llm.Request(f"question {n}") for n in range(60)])
        assert len(server.bodies) == 5 + 3


def test_money_needs_a_server_that_counts(tmp_path):
    with chat_server.serving() as server:
        server.chat = lambda body: chat_server.completion(body, usage=None)
        asking = service(server, tmp_path / "pool.jsonl", Ledger(budget_cost=1.0, price=PRICE))
        with pytest.raises(ValueError, match=r"does not report tokens, so a budget of \$1.00 cannot be kept"):
            asking.ask([llm.Request("question")])


def test_a_model_in_this_process_ends_between_chunks(tmp_path):
    """Each text takes one token and its prompt one: a chunk of four costs 8 of the 10 dollars."""
    ledger = Ledger(budget_cost=10.0, price=llm.Price(1e6, 1e6))
    recorder = llm.record.Recorder("m", llm.Cache(tmp_path / "pool.jsonl"), lambda _: 1, ledger, 4, show=False)
    generate = llm.record.recorded_generate(recorder, lambda prompts, **_: [["text"] for _ in prompts])
    with pytest.raises(StoppedError, match=r"\$10.00 is spent, after 8 new answers of 16 tokens for \$16.00: 4 of the"):
        generate([f"question {n}" for n in range(12)])


def write(tmp_path, text):
    path = tmp_path / "prices.toml"
    path.write_text(text)
    return path


def test_prices_of_a_file(tmp_path):
    text = '["some/model"]\nprompt = 0.15\ncompletion = 0.6\n["free-4.1"]\nprompt = 0\ncompletion = 0\n'
    prices = llm.prices.read_prices(write(tmp_path, text))
    assert prices == {"some/model": PRICE, "free-4.1": llm.Price(0.0, 0.0)}
    assert llm.prices.price_of(prices, "some/model@0123456789abcdef") == PRICE  # as models in this process are called
    assert llm.prices.price_of(prices, "free-4.1") == (0, 0) and llm.prices.price_of(prices, "other") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[m", "expected TOML with a table for each model"),
        ("m = 3", "model 'm': expected a table"),
        ("[m]\nprompt = 1", "model 'm': .*completion is missing"),
        ("[m]\nprompt = 1\ncompletion = 1\ncached = 1", "'cached' is not known"),
        ("[gpt-4.1]\nprompt = 1\ncompletion = 1", "model 'gpt-4': .*names with dots stand in quotes"),
        ("[m]\nprompt = '1'\ncompletion = 1", "model 'm': prompt: expected US dollars of at least 0 .* got '1'"),
        ("[m]\nprompt = -1\ncompletion = 1", "got -1"),
        ("[m]\nprompt = nan\ncompletion = 1", "got nan"),
        ("[m]\nprompt = inf\ncompletion = 1", "got inf"),
        ("[m]\nprompt = true\ncompletion = 1", "got True"),
    ],
)
def test_files_that_are_no_prices(tmp_path, text, message):
    with pytest.raises(ValueError, match=rf"prices\.toml.*{message}"):
        llm.prices.read_prices(write(tmp_path, text))
