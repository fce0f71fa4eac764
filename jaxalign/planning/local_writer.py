"""A model in this process as a writer of articles: its beginning can be forced, and both budgets hold exactly."""

from collections.abc import Callable, Sequence

import jax

from jaxalign import sampling
from jaxalign.data import Tokenizer, encode_continued
from jaxalign.planning.writing import Budget, Draft, WriteFn, make_budget_stop
from jaxalign.sampling import Rule
from jaxalign.sampling.jobs import StopFn
from jaxalign.typing import Params, Prompt


def make_local_writer(
    model,
    params: Params,
    tokenizer: Tokenizer,
    *,
    as_prompt: Callable[[str], Prompt] = str,
    rule: Rule = sampling.greedy,
    num_slots: int = 16,
    max_prompt_tokens: int | None = None,
    seed: int = 0,
    make_stop: Callable[..., StopFn] = make_budget_stop,
) -> WriteFn:
    """Makes a writer of a model in this process.

    Args:
      model: a decoder from :func:`jaxalign.models.build`.
      params: its parameters.
      tokenizer: its tokenizer.
      as_prompt: makes a chat of a prompt for models that want one, for instance :func:`jaxalign.planning.as_chat`.
      rule: how the next token is chosen.
      num_slots: texts that are written side by side.
      max_prompt_tokens: room for a prompt with its prefix, the same for each call, so that few programs are compiled;
        None is the longest prompt of a call.
      seed: of the sampling; a text depends on it and on its prompt, not on the other prompts.
      make_stop: makes what ends a text, of ``decode``, the budget and the prefix.

    Raises:
      ValueError: (when called) a prompt that is too long, or more than the model's positions.
    """

    def write(prompts: Sequence[str], *, budget: Budget, prefix: str = "") -> list[Draft]:
        rows = [tuple(encode_continued(as_prompt(prompt), prefix, tokenizer)) for prompt in prompts]
        numbers = sampling.job_numbers(rows)
        completions = sampling.run_jobs(
            model,
            params,
            [sampling.Job(number, row, (0,)) for row, number in numbers.items()],
            jax.random.key(seed),
            num_slots=num_slots,
            max_prompt_tokens=max_prompt_tokens or max(map(len, rows), default=1),
            max_new_tokens=budget.plan + budget.article,
            eos_id=tokenizer.end_ids,
            rule=rule,
            stop=make_stop(tokenizer.decode, budget, prefix),
        )
        written = {each.job: each.tokens for each in completions}
        return [
            Draft(prefix + tokenizer.decode(written[numbers[row]]), len(row), len(written[numbers[row]]))
            for row in rows
        ]

    return write


def as_chat(prompt: str) -> Prompt:
    """Returns the prompt as the one turn of a user, for models that were trained on chats.

    Args:
      prompt: a text.

    >>> as_chat("Hello!")
    ({'role': 'user', 'content': 'Hello!'},)
    """
    return ({"role": "user", "content": prompt},)
