"""Real lists as a task: many models' responses to each prompt, with a judge's preference as label.

The folder holds ``train.parquet`` and ``validation.parquet`` in long form, one row a response: ``prompt_id``,
``prompt``, ``response``, ``preference`` in [0, 1] (AlpacaEval 2 has the probability that it beats GPT-4 Turbo's).
A prompt is a text, or a list of messages, which a model with a chat template reads as a chat; ``--as-chat`` makes a
text a user's message.
JSON lines do as well (``train.jsonl``, ``train.jsonl.gz``, ...), and so do pairs, one a row: ``chosen`` and
``rejected`` with ``prompt``, or whole chats or HH-RLHF's transcripts without.
Nothing is sampled: the implicit reward ``log pi(y|x) - log pi_SFT(y|x)`` of an aligned policy ranks held-out lists.
Judges like length, so every figure stands beside its length-matched form and beside the rule "longer wins".
"""

import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
from jaxtyping import Array

from experiments.common import prompts
from experiments.common.draw import draw
from experiments.common.lists import over_prompts, padded, pairwise_accuracy, spread_over_labels
from experiments.common.stages import REFERENCE_BATCH, make_logps_fn
from experiments.common.task import Policy, Row, Sample, Task
from jaxalign import data, metrics
from jaxalign.data import EncodedLists, HfTokenizer, PreferenceRecord, ResponseColumns
from jaxalign.data.text.comparisons import render_context
from jaxalign.io import hf, keys
from jaxalign.io.cluster import processes

COLUMNS = ResponseColumns(id="prompt_id", prompt="prompt", response="response", label="preference", source="source")
BEST = 4  # responses of each prompt that are demonstrations
SUFFIXES = (".parquet", ".jsonl", ".json", ".jsonl.gz", ".json.gz", ".jsonl.zst", ".json.zst")
FILES = tuple(f"{part}{suffix}" for part in ("train", "validation") for suffix in SUFFIXES)
LIST_SIZE = 8  # responses scored at once
NUM_SAMPLES = 16  # validation prompts that the report shows responses to


def make_task(
    folder: pathlib.Path | None,
    work: pathlib.Path,
    *,
    model: str,
    vocab_size: int,
    limits: tuple[int, int],
    responses_per_prompt: int,
    as_chat: bool = False,
) -> Task:
    """Makes the task of ``folder``, prompts and responses cut at ``limits`` tokens.

    ``work`` keeps the tokenizer that is trained when there is no ``model`` to take one from.

    ``responses_per_prompt`` training responses are kept, spread evenly over the ranking; validation keeps all.

    ``as_chat`` makes prompts that are texts a user's message, in the template of ``model``.
    """
    train, validation = read_lists(folder, as_chat=as_chat)
    tokenizer = make_tokenizer(train, model=model, vocab_size=vocab_size, work=work)
    prompts.check(train, tokenizer, model, as_chat=as_chat)
    encode = functools.partial(data.encode_lists, tokenizer=tokenizer, max_prompt=limits[0], max_response=limits[1])
    held_out = encode(validation)
    labels, lengths, where = padded(validation)

    def make_lists(sft: Policy, key: Array) -> EncodedLists:
        return encode([spread_over_labels(record, responses_per_prompt) for record in train])

    def scores(policy: Policy) -> np.ndarray:
        logps_fn = make_logps_fn(policy)
        sizes = {"batch_size": REFERENCE_BATCH, "list_size": LIST_SIZE}
        return data.score_lists(held_out, logps_fn, **sizes, map_fn=processes.dealt)

    before: dict[str, np.ndarray] = {}  # log-probabilities of the SFT policy, needed for every other one

    def evaluate(policy: Policy, sft: Policy, key: Array) -> Row:
        if policy is sft:
            before["sft"] = scores(sft)
            return rank_figures(before["sft"], labels, lengths, where)
        return rank_figures(scores(policy) - before["sft"], labels, lengths, where)

    def baselines(key: Array) -> dict[str, Row]:
        return {
            "longer wins": rank_figures(lengths, labels, lengths, where),
            "random": rank_figures(np.asarray(jax.random.uniform(key, labels.shape)), labels, lengths, where),
        }

    def samples(policy: Policy, key: Array) -> list[Sample]:
        asked = encode([record.unanswered() for record in validation[:NUM_SAMPLES]])
        tokens = draw(policy, asked, key, num_samples=1, end_ids=tokenizer.end_ids)
        return [
            Sample(render_context(record.prompt), tokenizer.decode(ids), len(ids))
            for record, (ids,) in zip(validation, tokens, strict=False)
        ]

    demonstrations = encode([record.best(BEST) for record in train])
    return Task(tokenizer, demonstrations, make_lists, evaluate, baselines, samples)


def read_lists(
    folder: pathlib.Path | None, *, as_chat: bool = False
) -> tuple[list[PreferenceRecord], list[PreferenceRecord]]:
    """Reads training and validation lists; with ``as_chat`` a prompt that is a text becomes a user's message.

    Raises:
      ValueError: a file is missing, or there are two of which it could be; a row that is no list or pair.
    """
    parts = [read_part(part_file(folder, part)) for part in ("train", "validation")]
    if as_chat:
        parts = [[record.as_chat() for record in part] for part in parts]
    train, validation = parts
    return train, validation


def part_file(folder: pathlib.Path | None, part: str) -> pathlib.Path:
    """Returns the file of ``train`` or ``validation`` in a folder, however it is stored."""
    there = [] if folder is None else [folder / f"{part}{suffix}" for suffix in SUFFIXES]
    there = [path for path in there if path.is_file()]
    if len(there) == 1:
        return there[0]
    found = f", which has {' and '.join(path.name for path in there)}: remove all but one" if there else ""
    raise ValueError(
        f"expected --data FOLDER with train.parquet and validation.parquet, got {folder}{found}; both may also be "
        f"{', '.join(SUFFIXES[1:])}"
    )


def read_part(path: pathlib.Path) -> list[PreferenceRecord]:
    """Reads lists of a file in long form, or of pairs, as its first row has it."""
    first = next(iter(data.read_file(path, dict).records))
    if "preference" in first or "chosen" not in first:
        return data.read_file(path, COLUMNS, group_by_id=True).records
    return data.read_file(path, pair_columns(first)).records


def pair_columns(row: Mapping) -> Callable[[Mapping], PreferenceRecord]:
    """Tells how the pairs of a file are read of which this is a row: transcripts, chats, or texts after a prompt."""
    prompt = "prompt" if "prompt" in row else None
    text = row.get("prompt") or row["chosen"]
    is_transcript = isinstance(text, str) and (text.rstrip().endswith("\n\nAssistant:") or prompt is None)
    return (data.TranscriptColumns if is_transcript else data.PairColumns)(prompt=prompt)


def make_tokenizer(
    records: Sequence[PreferenceRecord], *, model: str, vocab_size: int, work: pathlib.Path
) -> HfTokenizer:
    """Loads the tokenizer of ``model``, or trains one on the records and keeps it in ``work``."""
    if model:
        return data.load_tokenizer(hf.resolve(model))
    texts = [
        text
        for record in records
        for text in (render_context(record.prompt), *map(data.answer_text, record.best(2).responses))
    ]
    path = work / f"sentencepiece-{vocab_size}-{keys.digest(texts)[:12]}.model"

    def train() -> None:
        work.mkdir(parents=True, exist_ok=True)
        data.train_sentencepiece(texts, path, vocab_size=vocab_size)

    if not processes.first(path.exists):
        processes.first(train)
    return data.load_sentencepiece(path)


def rank_figures(scores: np.ndarray, labels: np.ndarray, lengths: np.ndarray, where: np.ndarray):
    """Measures how well scores ``[prompts, n]`` order the responses of each prompt, with intervals over prompts."""
    scores = np.nan_to_num(scores)
    return {
        "pairwise accuracy": over_prompts(pairwise_accuracy, scores, labels, where=where),
        "length-matched": over_prompts(pairwise_accuracy, scores, labels, where=where, lengths=lengths),
        "NDCG": over_prompts(metrics.ndcg_metric, scores, labels, where=where),
        "Kendall tau": over_prompts(metrics.kendall_tau_metric, scores, labels, where=where),
    }
