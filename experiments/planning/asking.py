"""Articles that students write, each in a file that a killed run continues."""

import functools
import json
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.common.task import Policy
from experiments.planning.methods import DIRECT, PLANNED, TURNS, WAYS
from jaxalign import data, planning, sampling
from jaxalign.data import HfTokenizer
from jaxalign.io import keys, line_file
from jaxalign.planning import Budget, Wording, WriteFn, WrittenArticle
from jaxalign.typing import Prompt

FORMAT = 1  # of a line of written articles
AT_ONCE = 16  # articles between two lines that are kept, and side by side


class Manner(NamedTuple):
    """How students are asked, whatever they have learnt."""

    tokenizer: HfTokenizer
    wording: Wording
    as_prompt: Callable[[str], Prompt]
    budget: Budget
    prompt_tokens: int
    temperature: float = 0.0
    at_once: int = AT_ONCE


class Written(NamedTuple):
    """What one method has written to all that was asked, and the seconds that it took."""

    articles: list[WrittenArticle]
    seconds: float


def write(
    policy: Policy, manner: Manner, way: str, parts: Sequence[str], xs: Sequence[str], path: pathlib.Path
) -> Written:
    """Returns what the student writes, from the file where it has been written before.

    Args:
      policy: the student.
      manner: how it is asked.
      way: a name in ``WAYS``.
      parts: the steps of its plans.
      xs: what is asked for.
      path: the file.

    Raises:
      ValueError: the file was begun with another student, other questions or another manner.
    """
    key = {
        "model": data.fingerprint((policy.model.config, policy.params)),
        "tokenizer": keys.of_tokenizer(manner.tokenizer),
        "asked": keys.digest([manner.as_prompt(x) for x in xs]),
        "wording": keys.digest([*manner.wording[:4], dict(manner.wording.steps)]),
        "way": way,
        "parts": list(parts),
        "budget": list(manner.budget),
        "prompt_tokens": manner.prompt_tokens,
        "temperature": manner.temperature,
    }
    keys.begin(path, {keys.FORMAT: FORMAT, **key})
    writer = _writer(policy, manner)
    rows = line_file.read_rows(path) if path.exists() else []
    if len(rows) == len(xs):
        return _written(rows)
    _warm_up(policy, manner, way, xs[0])
    with line_file.Writer(path) as file:
        while len(rows) < len(xs):
            chunk, before = xs[len(rows) : len(rows) + manner.at_once], time.monotonic()
            articles = WAYS[way](writer, chunk, budget=manner.budget, parts=parts, wording=manner.wording)
            seconds = (time.monotonic() - before) / len(chunk)
            for x, article in zip(chunk, articles, strict=True):
                rows.append({"x": x, **article._asdict(), "plan": dict(article.plan), "seconds": seconds})
                file.append(json.dumps(rows[-1], ensure_ascii=False), "an article")
    return _written(rows)


def check_room(manner: Manner, way: str, parts: Sequence[str], xs: Sequence[str]) -> None:
    """Refuses questions for which the prompts have no room, before anybody learns anything.

    Raises:
      ValueError: naming the flag.
    """
    wording, plan = manner.wording, manner.budget.plan
    prompts = {
        DIRECT: [(wording.ask_article(x) + planning.OPENING, 0) for x in xs],
        PLANNED: [(wording.ask_planned_article(x, parts), 0) for x in xs],
        TURNS: [(wording.ask_continuation(x, "") + planning.OPENING, plan) for x in xs],
    }[way]
    encode = functools.partial(data.encode_continued, continuation="", tokenizer=manner.tokenizer)
    longest = max(len(encode(manner.as_prompt(prompt))) + more for prompt, more in prompts)
    if longest > manner.prompt_tokens:
        raise ValueError(
            f"--prompt-tokens {manner.prompt_tokens}: a prompt has up to {longest} tokens ({way}); raise it, or "
            "leave that article out"
        )


def _writer(policy: Policy, manner: Manner, **options: Any) -> WriteFn:
    return planning.make_local_writer(
        policy.model,
        policy.params,
        manner.tokenizer,
        as_prompt=manner.as_prompt,
        num_slots=manner.at_once,
        max_prompt_tokens=manner.prompt_tokens,
        rule=sampling.sample(sampling.temperature(manner.temperature)) if manner.temperature else sampling.greedy,
        **options,
    )


def _warm_up(policy: Policy, manner: Manner, way: str, x: str) -> None:
    """Compiles what is about to run, so that the seconds of the articles are those of writing them."""
    briefly = _writer(policy, manner, make_stop=lambda *_: lambda tokens: 1)
    plan, article = manner.budget
    turns = {PLANNED: [(plan, article)], DIRECT: [(0, article)], TURNS: [(plan, 0), (0, article)]}
    for room in turns[way]:
        briefly([x], budget=Budget(*room))


def _written(rows: Sequence[Mapping[str, Any]]) -> Written:
    return Written([_article(row) for row in rows], sum(row["seconds"] for row in rows))


def _article(row: Mapping[str, Any]) -> WrittenArticle:
    return WrittenArticle(**{name: row[name] for name in WrittenArticle._fields})
