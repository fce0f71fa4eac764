"""Score every response of a file with a reward model: ``./tools/run tools.score MODEL DATA OUT``.

DATA has one row a prompt: ``--responses responses`` names a column with a list of responses, ``--responses chosen
rejected`` several columns with one response each. OUT is a file of JSON lines, see :mod:`jaxalign.io.jobs.scoring`; the
same command continues it where it was killed. What the rewards were made with stands in OUT.settings.json: with another
model, template, tokenizer or limit the file is refused.
"""

import functools
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import jax
import tyro

from jaxalign import data, models
from jaxalign.io import edge, hf, keys
from jaxalign.io.cluster import launch
from jaxalign.io.jobs import scoring
from jaxalign.typing import RewardFn

_response_rewards = jax.jit(models.response_rewards, static_argnums=0)


class Scorer(NamedTuple):
    """A reward model, with the tokenizer that writes what it reads and a name that no other model has."""

    reward_fn: RewardFn
    tokenizer: data.Tokenizer
    name: str
    key: Mapping[str, Any] = {}  # what the name is a hash of, part by part


def main(
    model: Annotated[str, tyro.conf.arg(metavar="MODEL")],
    file: Annotated[pathlib.Path, tyro.conf.arg(metavar="DATA")],
    out: Annotated[pathlib.Path, tyro.conf.arg(metavar="OUT")],
    /,
    prompt: str = "prompt",
    responses: tuple[str, ...] = ("responses",),
    id: str | None = None,
    source: str | None = None,
    max_prompt: int = 1024,
    max_response: int = 1024,
    batch_size: int = 4,
    list_size: int = 4,
    skip_bad_rows: bool = False,
) -> None:
    """Score every response of a file with a reward model.

    Args:
        model: a directory or a hub id.
        file: a .parquet file, or JSON lines.
        out: the file to write or to continue.
        prompt: the column with the prompt, a text or a chat.
        responses: a column with a list of responses, or several columns with one response each.
        id: the column with a name for each row.
        source: the column that says where a row is from.
        max_prompt: tokens of the longest prompt that is scored.
        max_response: tokens of the longest response that is scored, its end included.
        batch_size: prompts at once.
        list_size: responses to a prompt at once.
        skip_bad_rows: leave out rows that cannot be read or scored and count them, instead of stopping there.
    """
    edge.check_least(1, max_prompt=max_prompt, max_response=max_response, batch_size=batch_size, list_size=list_size)
    columns = data.UnlabelledColumns(prompt, responses[0] if len(responses) == 1 else responses, source, id)
    limits = {"max_prompt": max_prompt, "max_response": max_response}
    sizes = {"batch_size": batch_size, "list_size": list_size}
    launch.keep_programs()
    score(load_scorer(model), file, out, columns, limits, sizes, skip_bad_rows=skip_bad_rows)


def load_scorer(model: str) -> Scorer:
    """The scalar reward model in a directory."""
    directory = hf.resolve(model)
    config, params = hf.load_pretrained(directory)
    if not isinstance(config, models.RewardConfig):
        raise ValueError(
            f"expected a reward model, which is a sequence classifier with one label, got a {type(config).__name__} in "
            f"{directory}; tools.classify takes classifiers of several labels"
        )
    tokenizer = data.load_tokenizer(directory)
    key = {**keys.of_model(config, params), "tokenizer": keys.of_tokenizer(tokenizer)}
    reward_fn = functools.partial(_response_rewards, models.build(config), params)
    return Scorer(reward_fn, tokenizer, keys.digest(key)[:16], key)


def score(
    scorer: Scorer, file: pathlib.Path, out: pathlib.Path, columns, limits, sizes, *, skip_bad_rows: bool
) -> None:
    """Reads, scores, writes, and prints what there was."""
    source = data.read_file(file, columns, skip_bad_rows=skip_bad_rows)
    encode_fn = functools.partial(data.encode_reward_lists, tokenizer=scorer.tokenizer, **limits)
    name = "/".join([scorer.name, *map(str, limits.values())])
    report = scoring.score_file(
        source.records,
        scorer.reward_fn,
        encode_fn,
        out,
        model=name,
        settings={**scorer.key, **limits},
        rows=source.rows,
        skip_bad_rows=skip_bad_rows,
        **sizes,
    )
    print(
        f"{out}: {report.records - report.skipped} of {source.report.rows} rows scored ({report.resumed} lines were "
        f"there), {source.report.skipped} not readable, {report.skipped} not scored, {report.duplicate_prompts} with "
        f"the prompt of an earlier one, {report.empty_responses} empty responses"
    )
    for problem in (*source.report.problems, *report.problems):
        print(f"  skipped {problem}")


if __name__ == "__main__":
    edge.explain_errors()
    tyro.cli(main, prog=f"./tools/run {__spec__.name}", description=__doc__)
