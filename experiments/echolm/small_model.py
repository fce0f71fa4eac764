"""What examples do for a real small model: questions with options or with numbers, and answers recorded elsewhere.

Each question is asked without examples, with random ones and with those of the most similar questions, the best one
last. Beside them stands what reuse gives: the most similar question's answer, unchanged.

    encoder = Encoder("MINILM", (32, 64, 128, 256))
    study = small_model.read_intents("../shared/data/clinc150", questions=120)
    tables = small_model.measure_intents(study, encoder, score_options)

What the small model is shown is EchoLM's form (arXiv 2501.12689), in words of ours: what to do, examples, the request.
"""

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.common import task
from experiments.common.report import Figures
from jaxalign.numerics import Ratio
from jaxalign.prompting import option_probabilities
from jaxalign.typing import EmbedFn, GenerateFn, ScoreOptionsFn

ALONE, RANDOM, CHOSEN, REUSE = "no examples", "random examples", "chosen examples", "nearest answer, reused"
STOP = ("\nQuestion:", "\nRequest:")
_NUMBER = re.compile(r"(?<!\d)-?\d[\d,]*(?:\.\d+)?")


class Case(NamedTuple):
    """A question, the answer that an example of it shows, and what a right answer is."""

    text: str
    answer: str
    gold: str


class Study(NamedTuple):
    """Questions to ask, others with answers to choose examples from, and the names to choose between, if any."""

    asked: tuple[Case, ...]
    pool: tuple[Case, ...]
    names: tuple[str, ...] = ()


Shown = Mapping[str, Sequence[tuple[Case, ...]]]
"""The examples that stand before each question, by how they were found."""


def read_intents(
    folder: str | pathlib.Path, *, questions: int, domains: int = 8, each: int = 2, seed: int = 0
) -> Study:
    """Reads requests and their gold intents, of a few intents of each domain.

    Args:
      folder: the one with ``train.parquet``, which examples come from, and ``test.parquet``, which is asked.
      questions: how many requests are asked, drawn at random.
      domains: how many domains count, the first by name.
      each: how many intents of a domain count, the first by name.
      seed: draws the questions.
    """
    import pyarrow.parquet

    train, test = (
        pyarrow.parquet.read_table(pathlib.Path(folder) / f"{part}.parquet").to_pylist() for part in ("train", "test")
    )
    by_domain: dict[str, set[str]] = {}
    for row in train:
        by_domain.setdefault(row["domain"], set()).add(row["intent"])
    chosen = [name for name in sorted(by_domain) if name != "oos"][:domains]
    names = {intent: intent.replace("_", " ") for name in chosen for intent in sorted(by_domain[name])[:each]}
    pool, asked = (
        [Case(row["text"], names[row["intent"]], names[row["intent"]]) for row in rows if row["intent"] in names]
        for rows in (train, test)
    )
    return Study(*_without_repeats(pool, asked, questions, seed), tuple(names.values()))


def read_sums(path: str | pathlib.Path, *, questions: int, seed: int = 0) -> Study:
    """Reads questions whose answers are numbers, with what a large model once wrote, right or wrong.

    Args:
      path: a file with the columns ``prompt``, ``gpt4_response``, ``answer`` and ``contaminated``.
      questions: how many are asked, drawn at random; examples come from the others.
      seed: draws the questions.
    """
    import pyarrow.parquet

    rows = [row for row in pyarrow.parquet.read_table(path).to_pylist() if not row["contaminated"]]
    cases = [Case(row["prompt"], row["gpt4_response"].strip(), row["answer"]) for row in rows]
    order = np.random.default_rng(seed).permutation(len(cases))
    asked, pool = ([cases[place] for place in part] for part in (order[:questions], order[questions:]))
    return Study(*_without_repeats(pool, asked, questions, seed))


def find_examples(study: Study, embed: EmbedFn, *, count: int, seed: int = 0) -> dict[str, list[tuple[Case, ...]]]:
    """Returns each question's examples: none, random ones, and those of the most similar questions, best last.

    Args:
      study: the questions, and what to choose from.
      embed: makes embeddings of texts.
      count: examples of a question, at most as many as there are.
      seed: draws the random ones.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(-_cosines(study, embed), axis=1, kind="stable")[:, :count]
    drawn = [rng.permutation(len(study.pool))[:count] for _ in study.asked]
    pick = lambda places: tuple(study.pool[place] for place in places)  # noqa: E731
    return {
        ALONE: [() for _ in study.asked],
        RANDOM: [pick(places) for places in drawn],
        CHOSEN: [pick(places[::-1]) for places in order],
    }


def measure_intents(
    study: Study, embed: EmbedFn, score_options: ScoreOptionsFn, *, count: int = 5, seed: int = 0
) -> dict[str, Figures]:
    """Returns the share of requests whose most likely intent is the right one, and paired differences to no examples.

    Args:
      study: from :func:`read_intents`.
      embed: makes embeddings of texts.
      score_options: the small model's log-probabilities of intents.
      count: examples of a request.
      seed: draws the random ones.
    """
    options = [f" {name}." for name in study.names]
    right, unread = {}, {}
    for name, examples in find_examples(study, embed, count=count, seed=seed).items():
        prompts = [intent_prompt(study.names, shown, case) for shown, case in zip(examples, study.asked, strict=True)]
        shares = [option_probabilities(scores) for scores in score_options(prompts, [options] * len(prompts))]
        said = ["" if each is None else study.names[int(np.argmax(each))] for each in shares]
        right[name], unread[name] = _marks(said, study), [each is None for each in shares]
    return _tables(right, unread, reuse(study, embed))


def measure_sums(
    study: Study, embed: EmbedFn, generate: GenerateFn, *, count: int = 5, max_tokens: int = 160, seed: int = 0
) -> dict[str, Figures]:
    """Returns the share of questions whose written answer ends in the right number, and paired differences.

    Args:
      study: from :func:`read_sums`.
      embed: makes embeddings of texts.
      generate: the small model, which is asked for the most likely answer.
      count: examples of a question.
      max_tokens: the longest answer; one that is cut is marked by its last number so far.
      seed: draws the random examples.
    """
    right, unread = {}, {}
    for name, examples in find_examples(study, embed, count=count, seed=seed).items():
        # As a user's turn: the end of a text that goes on behind "Answer:" is what this model likes best there.
        prompts = [
            [{"role": "user", "content": sum_prompt(shown, case)}]
            for shown, case in zip(examples, study.asked, strict=True)
        ]
        texts = [each[0] for each in generate(prompts, temperature=0.0, max_tokens=max_tokens, stop=STOP)]
        numbers = [last_number(text) for text in texts]
        right[name], unread[name] = _marks(numbers, study), [not number for number in numbers]
    return _tables(right, unread, reuse(study, embed, last_number))


def reuse(study: Study, embed: EmbedFn, read=lambda answer: answer) -> list[bool]:
    """Says for which questions the answer to the most similar one is right as it stands.

    Args:
      study: the questions, and those with answers.
      embed: makes embeddings of texts.
      read: what an answer says, to be compared with the gold one.
    """
    nearest = _cosines(study, embed).argmax(axis=1)
    return _marks([read(study.pool[place].answer) for place in nearest], study)


def intent_prompt(names: Sequence[str], examples: Sequence[Case], case: Case) -> str:
    """Returns what the small model continues with the name of an intent and a full stop."""
    opening = f"Name the intent of the last request. It is one of: {'; '.join(names)}."
    shown = [f"Request: {example.text}\nIntent: {example.answer}." for example in examples]
    return "\n\n".join([opening, *shown, f"Request: {case.text}\nIntent:"])


def sum_prompt(examples: Sequence[Case], case: Case) -> str:
    """Returns what the small model is asked in a user's turn, to be answered with a text that ends in a number."""
    opening = "Answer the last question step by step. End with the number that is asked for."
    shown = [f"Question: {example.text}\nAnswer: {example.answer}" for example in examples]
    return "\n\n".join([opening, *shown, f"Question: {case.text}"])


def last_number(text: str) -> str:
    """Returns the last number of a text without commas and needless zeros, or nothing.

    >>> last_number("He pays 3 * $400 = $1,200.00."), last_number("No idea.")
    ('1200', '')
    """
    found = _NUMBER.findall(text)
    return f"{float(found[-1].replace(',', '')):.10g}" if found else ""


def _without_repeats(pool: list[Case], asked: list[Case], questions: int, seed: int):
    """Draws the questions, and leaves out of the pool what is asked: an example must not be the question itself."""
    drawn = np.random.default_rng(seed).permutation(len(asked))[:questions]
    chosen = tuple(asked[place] for place in drawn)
    texts = {case.text for case in chosen}
    if not (rest := tuple(case for case in pool if case.text not in texts)) or not chosen:
        raise ValueError(
            f"expected questions to ask and others to choose examples from, got {len(chosen)} and {len(rest)}; ask for "
            "fewer questions, or give larger files"
        )
    return chosen, rest


def _cosines(study: Study, embed: EmbedFn) -> np.ndarray:
    asked, pool = (np.asarray(embed([case.text for case in cases])) for cases in (study.asked, study.pool))
    return (asked / np.linalg.norm(asked, axis=1, keepdims=True)) @ (
        pool / np.linalg.norm(pool, axis=1, keepdims=True)
    ).T


def _marks(said: Sequence[str], study: Study) -> list[bool]:
    golds = [case.gold if study.names else last_number(case.gold) for case in study.asked]
    return [answer == gold for answer, gold in zip(said, golds, strict=True)]


def _tables(right: Mapping[str, Sequence[bool]], unread: Mapping[str, Sequence[bool]], reused) -> dict[str, Figures]:
    """Accuracy of each way of asking, what could not be read, and how much better it is than asking alone."""
    marks = {name: np.asarray(each, np.float32) for name, each in [*right.items(), (REUSE, reused)]}
    ratios = {name: Ratio(jnp.asarray(each), jnp.ones(len(each))) for name, each in marks.items()}
    ratios |= {
        (name, ALONE): Ratio(jnp.asarray(each - marks[ALONE]), jnp.ones(len(each)))
        for name, each in marks.items()
        if name != ALONE
    }
    found = task.estimates(ratios)
    accuracy = {name: {"accuracy": found[name]} for name in marks}
    for name, each in unread.items():
        accuracy[name]["not read"] = task.exactly(float(np.mean(each)))
    differences = {name: {f"more than {ALONE}": found[name, ALONE]} for name in marks if name != ALONE}
    return {"accuracy of the small model": accuracy, "paired differences": differences}
