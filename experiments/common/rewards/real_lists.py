"""Real lists for reward models: AlpacaEval 2 responses with graded labels, and pairs of other kinds to test on.

The lists are in a folder as :mod:`experiments.common.alpacaeval_task` reads it. Beside it may lie ``hh_harmless``
(``validation.parquet``: prompt, chosen, rejected) and ``llmbar`` (``pairs.parquet``: subset, input, output_1, output_2,
label 1 or 2), which are tested on where they are there.
"""

import itertools
import pathlib

import numpy as np
import pyarrow.parquet

from experiments.common import alpacaeval_task, prompts
from experiments.common.lists import MIN_GAP
from experiments.common.rewards.stages import at_most
from experiments.common.rewards.task import Artifact, RewardTask
from jaxalign import data
from jaxalign.data import PreferencePair, PreferenceRecord
from jaxalign.data.records.pairs import ARTIFACT

RESPONSES = 12  # of each training prompt, spread over the ranking
TEST_RESPONSES = 16  # of each validation prompt, likewise


def make_task(
    folder: pathlib.Path | None,
    work: pathlib.Path,
    *,
    seed: int,
    model: str,
    vocab_size: int,
    limits: tuple[int, int],
    num_pairs: int,
    as_chat: bool = False,
) -> RewardTask:
    """Makes the task of ``folder``, with ``num_pairs`` training pairs drawn from all prompts alike.

    Args:
      folder: the lists.
      work: keeps the tokenizer that is trained when there is no ``model`` to take one from.
      seed: of the draw of pairs.
      model: a Hugging Face directory or hub id, or empty.
      vocab_size: tokens of the tokenizer that is trained.
      limits: tokens of a prompt and of a response, for demonstrations.
      num_pairs: at most as many are drawn.
      as_chat: prompts that are texts become a user's message, in the model's chat template.
    """
    train, validation = alpacaeval_task.read_lists(folder, as_chat=as_chat)
    tokenizer = alpacaeval_task.make_tokenizer(train, model=model, vocab_size=vocab_size, work=work)
    prompts.check(train, tokenizer, model, as_chat=as_chat)
    demonstrations = [record.best(alpacaeval_task.BEST) for record in train]
    return RewardTask(
        tokenizer,
        demonstrations=data.encode_lists(demonstrations, tokenizer, **at_most(limits)),
        pairs=draw_pairs(train, num_pairs, np.random.default_rng(seed)),
        lists=[alpacaeval_task.spread_over_labels(record, RESPONSES) for record in train],
        tests={
            "validation prompts": [alpacaeval_task.spread_over_labels(r, TEST_RESPONSES) for r in validation],
            **other_tests(folder.parent, as_chat=as_chat),
        },
        artifact=Artifact(ARTIFACT),
    )


def draw_pairs(records: list[PreferenceRecord], count: int, rng: np.random.Generator) -> list[PreferencePair]:
    """Draws up to ``count`` pairs whose labels differ by ``MIN_GAP`` or more, as many of each prompt as of others."""
    by_prompt = []
    for record in records:
        pairs = data.pairs_from_record(alpacaeval_task.spread_over_labels(record, RESPONSES), min_gap=MIN_GAP)
        by_prompt.append([pairs[place] for place in rng.permutation(len(pairs))])
    turns = itertools.chain.from_iterable(itertools.zip_longest(*by_prompt))
    return list(itertools.islice((pair for pair in turns if pair is not None), count))


def other_tests(folder: pathlib.Path, *, as_chat: bool = False) -> dict[str, list[PreferenceRecord]]:
    """Reads pairs of other kinds, by test; of LLMBar each subset is one. With ``as_chat`` prompts become messages."""
    tests = {}
    if (harmless := folder / "hh_harmless" / "validation.parquet").exists():
        columns = data.PairColumns(prompt="prompt", chosen="chosen", rejected="rejected")
        tests["HH harmless"] = data.read_parquet(harmless, columns).records
    if (judged := folder / "llmbar" / "pairs.parquet").exists():
        for row in pyarrow.parquet.read_table(judged).to_pylist():
            outputs = row["output_1"], row["output_2"]
            record = PreferenceRecord.from_ranks(row["input"], outputs, (row["label"], 3 - row["label"]))
            tests.setdefault(f"LLMBar {row['subset']}", []).append(record)
    if as_chat:
        return {name: [record.as_chat() for record in records] for name, records in tests.items()}
    return tests
