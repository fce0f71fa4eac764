"""The made worlds for distillation: a larger decoder learnt from careful people, a smaller one from careless ones.

Gold targets are careless too, so that a teacher's texts are better than them, as they are on many real tasks. Quality
is known; :mod:`experiments.plad.made_texts` says what texts are like.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from experiments.common import sequences, stages
from experiments.common.draw import RULE, draw
from experiments.common.task import Policy, Row
from experiments.plad import figures
from experiments.plad.made_texts import KINDS, Kind
from experiments.plad.texts import sampled_texts, texts_of
from experiments.plad.world import World
from jaxalign import data, sampling
from jaxalign.data import EncodedLists, HfTokenizer, PreferenceRecord
from jaxalign.io.cluster import processes

DEMONSTRATIONS = 16_384  # that the teacher has learnt from, and, with more errors, the student
GOLD_ERRORS = 0.3  # of the letters of the student's demonstrations, and of gold targets
ROWS, LEARNING_RATE = 32, 3e-3  # rows of packed demonstrations in a step of imitation, and the peak rate
NUM_TEST, TEST_SAMPLES = 256, 4  # prompts, and samples of each policy for each of them
POOLED = 4  # texts of the warm start, and as many of the teacher, to each of them


class Drawn(NamedTuple):
    """Texts of a policy to each prompt, and their quality, ``[prompts, samples]``."""

    texts: list[list[str]]
    tokens: list[list[Sequence[int]]]
    quality: np.ndarray


class Prompts(NamedTuple):
    """Prompts to which policies write texts of known quality."""

    texts: list[str]
    encoded: EncodedLists
    tokenizer: HfTokenizer
    kind: Kind

    def draw(self, policy: Policy, key: Array, num_samples: int, rule: sampling.Rule = RULE) -> Drawn:
        """Draws texts of a policy, and tells how good they are."""
        options = {"num_samples": num_samples, "end_ids": self.tokenizer.end_ids, "rule": rule}
        tokens = draw(policy, self.encoded, key, **options)
        texts = [[self.tokenizer.decode(ids) for ids in row] for row in tokens]
        quality = [quality_of(self.kind, prompt, row) for prompt, row in zip(self.texts, texts, strict=True)]
        return Drawn(texts, tokens, np.array(quality, np.float32))


def make_world(
    kind: str,
    seed: int,
    directory: pathlib.Path,
    key: Array,
    *,
    num_prompts: int,
    size: tuple[int, int],
    teacher_size: tuple[int, int],
    teacher_errors: float,
    imitation_steps: tuple[int, int],
) -> World:
    """Makes a new world; teacher and student are trained in ``directory``.

    Args:
      kind: of texts, a name in :data:`~experiments.plad.made_texts.KINDS`.
      seed: of the prompts and of the errors.
      directory: keeps what is trained, and the teacher's texts.
      key: of the weights, of training, and of the teacher's texts; consumed.
      num_prompts: to learn from.
      size: width and layers of the student.
      teacher_size: width and layers of the teacher.
      teacher_errors: share of careless letters in what the teacher learns from.
      imitation_steps: steps that make the teacher, and the student.
    """
    texts, numbers = KINDS[kind], {"num_demonstrations": DEMONSTRATIONS, "num_train": num_prompts, "num_test": NUM_TEST}
    world = sequences.make_world(seed, **numbers, error_rate=0.0)
    rng, tokenizer = np.random.default_rng((seed, 2)), sequences.make_tokenizer()
    student_key, teacher_key, texts_key = jax.random.split(key, 3)

    def imitate(errors: float, size: tuple[int, int], steps: int, name: str, key: Array) -> Policy:
        init_key, train_key = jax.random.split(key)
        demonstrations = encode(texts, tokenizer, demonstrate(texts, world.demonstrations, errors, rng))
        start = stages.new_policy(size, tokenizer, sum(texts.limits), init_key)
        options = {"steps": steps, "batch": (ROWS, texts.row_length), "learning_rate": LEARNING_RATE}
        return stages.imitate(start, demonstrations, tokenizer, directory / name, train_key, **options)

    teacher = imitate(teacher_errors, teacher_size, imitation_steps[0], "teacher", teacher_key)
    student = imitate(GOLD_ERRORS, size, imitation_steps[1], "student", student_key)
    train = demonstrate(texts, world.train_prompts, GOLD_ERRORS, rng)
    test = encode(texts, tokenizer, [record.unanswered() for record in world.test_prompts])
    prompts = Prompts([record.prompt for record in world.test_prompts], test, tokenizer, texts)

    def write_texts():
        options = {"num_samples": 1, "max_new_tokens": texts.limits[1]}
        return texts_of(sampled_texts(directory / "teacher.jsonl", teacher, tokenizer, train, texts_key, **options))

    return World(
        tokenizer,
        student,
        train,
        processes.first(write_texts),
        teacher,
        lambda start, key: common_pool(prompts, (start, teacher), key),
        lambda prompt, responses: quality_of(texts, prompt, responses),
        make_evaluate(prompts, teacher),
    )


def demonstrate(
    kind: Kind, records: Sequence[PreferenceRecord], errors: float, rng: np.random.Generator
) -> list[PreferenceRecord]:
    """Writes a text to each prompt with this share of careless letters; a record's id is its number."""
    return [
        dataclasses.replace(record, responses=(kind.write(record.prompt, errors, rng),), id=str(number))
        for number, record in enumerate(records)
    ]


def encode(kind: Kind, tokenizer: HfTokenizer, records: Sequence[PreferenceRecord]) -> EncodedLists:
    """Encodes records within the limits of this kind of texts."""
    return data.encode_lists(records, tokenizer, max_prompt=kind.limits[0], max_response=kind.limits[1])


def quality_of(kind: Kind, prompt: str, texts: Sequence[str]) -> list[float]:
    """Computes the true quality of each text."""
    return [kind.quality(prompt, text) for text in texts]


def common_pool(prompts: Prompts, writers: Sequence[Policy], key: Array) -> EncodedLists:
    """Draws texts of several policies to each prompt, at temperature 1, each text once, with their quality as labels.

    A policy's likelihood of them can be compared with that of another: all rank the same texts.
    """
    drawn = [
        prompts.draw(writer, jax.random.fold_in(key, n), POOLED, sampling.sample()) for n, writer in enumerate(writers)
    ]
    records = []
    for number, prompt in enumerate(prompts.texts):
        texts = tuple(dict.fromkeys(text for each in drawn for text in each.texts[number]))
        records.append(PreferenceRecord(prompt, texts, tuple(quality_of(prompts.kind, prompt, texts))))
    return encode(prompts.kind, prompts.tokenizer, records)


def make_evaluate(prompts: Prompts, teacher: Policy) -> Callable[[Mapping[str, Policy], Array], dict[str, Row]]:
    """Makes a function of policies and a key that tells how good their texts are, however they are chosen."""

    def evaluate(policies: Mapping[str, Policy], key: Array) -> dict[str, Row]:
        of_teacher = prompts.draw(teacher, jax.random.fold_in(key, 1), TEST_SAMPLES).quality
        table = {}
        for name, policy in policies.items():
            greedy = prompts.draw(policy, key, 1, sampling.greedy).quality
            drawn = prompts.draw(policy, key, TEST_SAMPLES)
            logps = figures.logps_of(policy, prompts.encoded, drawn.tokens)
            words = np.array([[len(text.split()) for text in row] for row in drawn.texts])
            table[name] = figures.quality_figures(greedy, drawn.quality, logps, of_teacher, words)
        return table

    return evaluate
