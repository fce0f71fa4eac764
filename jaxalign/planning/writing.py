"""Asking for articles: at once, behind a plan in the same turn, or in several turns; and what each of them costs.

Whoever writes is injected as a :class:`WriteFn`. A text has room for a plan and room for an article: what is cut off
within the plan is an empty article, and says so.
"""

import bisect
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from jaxalign.planning.grammar import ARTICLE, OPENING, Reason, parse_output, parse_plan
from jaxalign.planning.records import PARTS
from jaxalign.planning.tasks import WORDING, Wording
from jaxalign.typing import GenerateFn


class Budget(NamedTuple):
    """The room of one text in tokens.

    Attributes:
      plan: everything before the article's opening mark is complete, this mark included.
      article: everything behind it.
    """

    plan: int
    article: int


class Draft(NamedTuple):
    """A text as a model wrote it.

    Attributes:
      text: the prefix that it was made to begin with included.
      prompt_tokens: tokens that were read, prefix included.
      completion_tokens: tokens that were written.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int


@runtime_checkable
class WriteFn(Protocol):
    """Continues prompts with texts that keep to a budget.

    ``prefix`` is what each text begins with. Who cannot force a beginning leaves it out, and the text has to bring it.
    """

    def __call__(self, prompts: Sequence[str], *, budget: Budget, prefix: str = "") -> list[Draft]: ...


class WrittenArticle(NamedTuple):
    """An article as it was written, its plan apart.

    Attributes:
      article: the article; "" if there is none.
      plan: the texts of its steps by name; empty where none was asked for.
      reason: why there is no article; "" if there is one.
      finished: whether the article has its closing mark, which a limit of tokens cuts off.
      turns: prompts that were answered for it.
      prompt_tokens: tokens that were read, in all turns.
      completion_tokens: tokens that were written, in all turns.
    """

    article: str
    plan: Mapping[str, str]
    reason: Reason
    finished: bool
    turns: int
    prompt_tokens: int
    completion_tokens: int


AskFn = Callable[..., list[WrittenArticle]]
"""``ask(write, xs, *, budget, parts=PARTS, wording=WORDING)``: an article for each x."""


def write_articles(
    write: WriteFn,
    xs: Sequence[str],
    *,
    budget: Budget,
    parts: Sequence[str] = PARTS,
    wording: Wording = WORDING,
) -> list[WrittenArticle]:
    """Asks for articles at once: the prompt of T1, and an answer that begins with the article's opening mark.

    Args:
      write: the model.
      xs: what is asked for.
      budget: only that of the article counts.
      parts: not used; all ways to ask have one signature.
      wording: of the prompts.
    """
    prompts = [wording.ask_article(x) for x in xs]
    drafts = write(prompts, budget=Budget(0, budget.article), prefix=OPENING)
    return [_read((draft,), ()) for draft in drafts]


def write_planned_articles(
    write: WriteFn,
    xs: Sequence[str],
    *,
    budget: Budget,
    parts: Sequence[str] = PARTS,
    wording: Wording = WORDING,
) -> list[WrittenArticle]:
    """Asks for a plan and then the article, in one turn: the prompt of T4.

    Args:
      write: the model.
      xs: what is asked for.
      budget: of the plan and of the article.
      parts: the steps of the plan, in order.
      wording: of the prompts.
    """
    drafts = write([wording.ask_planned_article(x, parts) for x in xs], budget=budget)
    return [_read((draft,), parts) for draft in drafts]


def write_in_turns(
    write: WriteFn,
    xs: Sequence[str],
    *,
    budget: Budget,
    parts: Sequence[str] = PARTS,
    wording: Wording = WORDING,
) -> list[WrittenArticle]:
    """Asks for a plan in one turn and for the article in the next, which reads the plan: the prompts of T2 and T3.

    Where the plan is not exactly what was asked for, no second turn is asked, and there is no article.

    Args:
      write: the model.
      xs: what is asked for.
      budget: of the plan and of the article.
      parts: the steps of the plan, in order.
      wording: of the prompts.
    """
    first = write([wording.ask_plan(x, parts) for x in xs], budget=Budget(budget.plan, 0))
    plans = [parse_plan(draft.text, parts) for draft in first]
    planned = [number for number, plan in enumerate(plans) if plan is not None]
    prompts = [wording.ask_continuation(xs[number], f"{first[number].text.strip()}\n") for number in planned]
    second = iter(write(prompts, budget=Budget(0, budget.article), prefix=OPENING) if prompts else [])
    written = []
    for draft, plan in zip(first, plans, strict=True):
        turns = (draft,) if plan is None else (draft, next(second))
        article = _read(turns, parts if plan is None else ())
        written.append(article if plan is None else article._replace(plan=plan))
    return written


def make_writer(generate: GenerateFn, count_tokens: Callable[[str], int], *, seed: int = 0) -> WriteFn:
    """Makes a writer of any language model, such as one on a server.

    A server has one limit for the complete text. So a plan that is longer than its budget is found afterwards, and the
    text ends there; an article is not longer than both budgets together. No beginning is forced.

    Args:
      generate: continues prompts with texts; the most likely ones are asked for.
      count_tokens: counts the tokens of a text.
      seed: of the sampling, for servers that draw at temperature 0 too.
    """

    def write(prompts: Sequence[str], *, budget: Budget, prefix: str = "") -> list[Draft]:
        answers = generate(prompts, n=1, temperature=0.0, max_tokens=budget.plan + budget.article, seed=seed)
        drafts = []
        for prompt, (text,) in zip(prompts, answers, strict=True):
            start = text.lower().find(f"<{ARTICLE}>")
            plan = text if start < 0 else text[:start]
            kept = plan if budget.plan and count_tokens(plan) > budget.plan else text
            drafts.append(Draft(kept, count_tokens(prompt), count_tokens(text)))
        return drafts

    return write


def make_budget_stop(
    decode: Callable[[Sequence[int]], str], budget: Budget, prefix: str = ""
) -> Callable[[Sequence[int]], int | None]:
    """Makes the ``stop`` of :func:`jaxalign.sampling.run_jobs` by which a text keeps to its budget.

    Args:
      decode: turns token ids into text.
      budget: of the plan and of the article.
      prefix: the text before the tokens, which the model was made to begin with.

    Returns:
      ``stop(tokens)``: after how many of them the text ends, None if it goes on.

    >>> stop = make_budget_stop(lambda ids: "".join(map(chr, ids)), Budget(20, 3))
    >>> stop([*b"<article>ab"]), stop([*b"<article>abcd"]), stop([*b"<outline>and so on, and so on"])
    (None, 12, 20)
    """

    def begun(tokens: Sequence[int]) -> bool:
        return f"<{ARTICLE}>" in (prefix + decode(tokens)).lower()

    def stop(tokens: Sequence[int]) -> int | None:
        end = budget.plan
        if begun(tokens):
            # Once there, the mark stays.
            first = bisect.bisect_left(range(len(tokens)), True, key=lambda count: begun(tokens[:count]))
            end = first + budget.article if first <= budget.plan else budget.plan
        return end if len(tokens) >= end else None

    return stop


def _read(drafts: Sequence[Draft], parts: Sequence[str]) -> WrittenArticle:
    """What the last of several turns says, and what all of them cost."""
    parsed = parse_output(drafts[-1].text, parts)
    prompt_tokens, completion_tokens = (sum(column) for column in zip(*(draft[1:] for draft in drafts), strict=True))
    return WrittenArticle(*parsed, len(drafts), prompt_tokens, completion_tokens)
