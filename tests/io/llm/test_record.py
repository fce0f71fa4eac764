"""The memory of a model in this process: nothing is computed twice, a kill costs a chunk, the file replays a run."""

import dataclasses
import math
import random

import jax
import pytest

from jaxalign.io import llm
from jaxalign.io.llm.service import Ledger, StoppedError
from jaxalign.typing import GenerateFn, OptionScore, ScoreOptionsFn
from tests.io.llm.echo_model import echo_model

PROMPTS = [f"question {n}" for n in range(10)]
OPTIONS = [(" Yes", " No")] * 10
CHAT = [{"role": "user", "content": "question 0"}]


class Model:
    """Counts the prompts of each call, and breaks at call ``broken``."""

    def __init__(self, broken=None):
        self.calls, self.broken = [], broken

    def generate(self, prompts, *, n=1, temperature=1.0, max_tokens=256, seed=None, stop=()):
        self._called(prompts)
        settings = temperature, max_tokens, seed, tuple(stop)
        return [[f"{prompt} {k} {settings}" for k in range(n)] for prompt in prompts]

    def score_options(self, prompts, options):
        self._called(prompts)
        draw = [random.Random(str(prompt)) for prompt in prompts]
        rows = [[OptionScore(-rng.random(), len(o)) for o in each] for rng, each in zip(draw, options, strict=True)]
        rows[0][0] = rows[0][0]._replace(logp=-math.inf if prompts[0] == "question 0" else rows[0][0].logp)
        return rows

    def _called(self, prompts):
        if len(self.calls) == self.broken:
            raise KeyboardInterrupt
        self.calls.append(list(prompts))


def words(prompt):
    return len(prompt.split()) if isinstance(prompt, str) else 100


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.jsonl"


def remembered(path, model, ledger=None, chunk=4, name="m@1"):
    recorder = llm.record.Recorder(name, llm.Cache(path), words, ledger or Ledger(), chunk, show=False)
    return llm.record.record(recorder, model.generate, model.score_options)


def test_they_are_the_callables_that_judges_take(path):
    model = remembered(path, Model())
    assert isinstance(model.generate, GenerateFn) and isinstance(model.score_options, ScoreOptionsFn)
    assert model.generate([]) == [] == model.score_options([], [])


def test_nothing_is_asked_twice(path):
    first, second = Model(), Model()
    texts = remembered(path, first).generate(PROMPTS, n=2, temperature=0.5, max_tokens=9, seed=3, stop=["."])
    scores = remembered(path, first).score_options(PROMPTS, OPTIONS)
    assert texts == Model().generate(PROMPTS, n=2, temperature=0.5, max_tokens=9, seed=3, stop=["."])
    assert scores == Model().score_options(PROMPTS, OPTIONS)
    assert [len(call) for call in first.calls] == [4, 4, 2] * 2  # in chunks
    again = remembered(path, second)
    assert again.generate(PROMPTS, n=2, temperature=0.5, max_tokens=9, seed=3, stop=["."]) == texts
    assert again.generate(PROMPTS[3:5], n=1, temperature=0.5, max_tokens=9, seed=3, stop=["."]) == [
        each[:1] for each in texts[3:5]
    ]
    assert again.score_options(PROMPTS, OPTIONS) == scores and second.calls == []
    assert again.score_options(PROMPTS[:3], [(" Yes", " No"), (" Yes", "."), (" Yes", " No")])[0] == scores[0]
    assert second.calls == [PROMPTS[1:2]]


@pytest.mark.parametrize("ask", ["generate", "score_options"])
def test_equal_prompts_are_asked_once(path, ask):
    model = Model()
    arguments = [["a", "b", "a"], [("x", "y")] * 3][: 2 if ask == "score_options" else 1]
    found = getattr(remembered(path, model), ask)(*arguments)
    assert found[0] == found[2] and model.calls == [["a", "b"]]


@pytest.mark.parametrize("broken", range(3))
@pytest.mark.parametrize("ask", ["generate", "score_options"])
def test_a_break_costs_one_chunk(path, ask, broken):
    """Chunks are those of the unbroken run, so that the model sees the same batches again."""
    arguments = [PROMPTS, OPTIONS][: 2 if ask == "score_options" else 1]
    model = Model(broken)
    with pytest.raises(KeyboardInterrupt):
        getattr(remembered(path, model), ask)(*arguments)
    rest = Model()
    found = getattr(remembered(path, rest), ask)(*arguments)
    assert found == getattr(Model(), ask)(*arguments)
    assert model.calls + rest.calls == [PROMPTS[:4], PROMPTS[4:8], PROMPTS[8:]]


def test_everything_that_changes_an_answer_makes_another(path):
    model = Model()
    changes = [{}, {"temperature": 0.5}, {"max_tokens": 3}, {"seed": 0}, {"seed": 1}, {"stop": ["."]}, {"n": 2}]
    for change in changes:
        remembered(path, model).generate(["question 0"], **change)
    remembered(path, model).generate([CHAT])  # a chat of one turn is another prompt than its text
    remembered(path, model, name="m@2").generate(["question 0"])
    for options in ((" Yes", " No"), (" No", " Yes"), (" Yes", " No", ".")):
        remembered(path, model).score_options(["question 0"], [options])
    assert len(model.calls) == len(changes) + 2 + 3


def test_what_tells_models_apart():
    _, (model, params), tokenizer = echo_model()
    names = {
        llm.record.identify("m", model.config, params, tokenizer),
        llm.record.identify("m", dataclasses.replace(model.config, max_length=48), params, tokenizer),
        llm.record.identify("m", model.config, jax.tree.map(lambda leaf: 2 * leaf, params), tokenizer),
    }
    assert len(names) == 3 and all(name.startswith("m@") for name in names)
    assert llm.record.identify("m", model.config, params, tokenizer) in names
    count = llm.record.make_count_tokens(tokenizer)
    assert count("the end") == 1 + len(tokenizer.encode("the end"))
    assert count(CHAT) == len(tokenizer.encode_chat(CHAT, add_generation_prompt=True))


def test_a_ledger_counts(path):
    ledger = Ledger()
    model = remembered(path, Model(), ledger)
    model.generate(PROMPTS[:2], n=3)
    model.score_options(PROMPTS[:2], OPTIONS[:2])
    written = sum(words(text) for each in Model().generate(PROMPTS[:2], n=3) for text in each)
    # 2 words a prompt, for each text; options count their own tokens.
    expected = llm.Usage(6 + 2, 6 * 2 + 2 * 2, written + 2 * (4 + 3))
    assert ledger.asked == ledger.paid == expected and ledger.seconds > 0
    model.generate(PROMPTS[:2], n=3)
    assert ledger.paid == expected and ledger.asked.requests == 14


def test_a_budget_stops_between_chunks(path):
    ledger = Ledger(budget_tokens=20)
    with pytest.raises(StoppedError, match="the budget of 20 tokens is spent, after 4 new answers .* 6 of the 10 req"):
        remembered(path, Model(), ledger).generate(PROMPTS)
    assert remembered(path, Model(), ledger).generate(PROMPTS[:4])  # what is there costs nothing
    assert remembered(path, Model(), Ledger(budget_tokens=10**6)).generate(PROMPTS) == Model().generate(PROMPTS)


def test_a_signal_stops_between_chunks(path):
    model = Model()
    ledger = Ledger(stop=lambda: len(model.calls) == 2)
    with pytest.raises(StoppedError, match="the run was stopped, after 8 new answers .* 2 of the 10 requests"):
        remembered(path, model, ledger).score_options(PROMPTS, OPTIONS)
    assert len(model.calls) == 2


def test_a_replay_is_the_run(path):
    run = remembered(path, Model(), name="org/m@1")
    texts, scores, count = run.generate(PROMPTS, n=2), run.score_options(PROMPTS, OPTIONS), run.count_tokens("a b c")
    ledger = Ledger()
    replay = llm.record.find_replay("org/m", llm.Cache(path), ledger)
    assert (replay.generate(PROMPTS, n=2), replay.score_options(PROMPTS, OPTIONS)) == (texts, scores)
    assert replay.count_tokens("a b c") == count == 3 and ledger.asked.requests == 30
    assert ledger.paid == llm.Usage()
    with pytest.raises(llm.NotRecordedError, match=r"answers\.jsonl has no answer of 'org/m@1' to 'question 10'"):
        replay.generate([*PROMPTS, "question 10"], n=2)
    with pytest.raises(llm.NotRecordedError, match="to 'question 0'"):
        replay.score_options([CHAT], [("a", "b")])
    with pytest.raises(llm.NotRecordedError, match="to 'other'"):
        replay.count_tokens("other")
    with pytest.raises(ValueError, match=r"expected answers of one model 'm' in .*, got \['org/m@1'\]"):
        llm.record.find_replay("m", llm.Cache(path), ledger)
    remembered(path, Model(), name="org/m@2").count_tokens("a")
    with pytest.raises(ValueError, match=r"one model 'org/m' in .*, got \['org/m@1', 'org/m@2'\]"):
        llm.record.find_replay("org/m", llm.Cache(path), ledger)


def test_progress(path, capsys):
    recorder = llm.record.Recorder("m@1", llm.Cache(path), words, Ledger(), chunk=4)
    ask = llm.record.record(recorder, Model().generate, Model().score_options).generate
    ask(PROMPTS)
    assert "asking m@1: step 10/10, tokens/s" in capsys.readouterr().err
    ask(PROMPTS)
    assert capsys.readouterr().err == ""
