"""The sequence world for distillation: a larger decoder learnt from careful people, a smaller one from careless ones.

Gold targets are careless too, so that a teacher's texts are better than them, as they are on many real tasks. Quality
is known: the share of right letters.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jaxtyping import Array

from experiments.common import sequences, stages
from experiments.common.draw import draw
from experiments.common.rewards.sequence_world import graded_list
from experiments.common.sequence_task import LIMITS, true_rewards
from experiments.common.task import Policy, Row, mean_over_prompts
from experiments.plad import figures
from experiments.plad.texts import sampled_texts, texts_of
from experiments.plad.world import World
from jaxalign import data
from jaxalign.data import EncodedLists
from jaxalign.io.cluster import processes

DEMONSTRATIONS = 16_384  # that the teacher has learnt from, and, with more errors, the student
TEACHER_ERRORS, GOLD_ERRORS = 0.05, 0.3  # of the letters of demonstrations, and of gold targets
IMITATION = {"steps": 500, "batch": (32, 64), "learning_rate": 3e-3}
NUM_TEST, TEST_SAMPLES = 512, 4  # prompts, and samples of each policy for each of them
GRADED = 8  # responses of known quality to each of them


def make_world(
    seed: int,
    directory: pathlib.Path,
    key: Array,
    *,
    num_prompts: int,
    size: tuple[int, int],
    teacher_size: tuple[int, int],
    max_response: int,
) -> World:
    """Makes a new world; the teacher is trained in ``directory / "teacher"``.

    Args:
      seed: of the prompts and of the errors.
      directory: keeps what is trained, and the teacher's texts.
      key: of the weights, of training, and of the teacher's texts; consumed.
      num_prompts: to learn from.
      size: width and layers of the student.
      teacher_size: width and layers of the teacher.
      max_response: tokens of a text that the teacher writes.
    """
    world = sequences.make_world(
        seed,
        num_demonstrations=DEMONSTRATIONS,
        num_train=num_prompts,
        num_test=NUM_TEST,
        error_rate=TEACHER_ERRORS,
    )
    rng = np.random.default_rng((seed, 2))
    tokenizer = sequences.make_tokenizer()
    encode = lambda records: data.encode_lists(records, tokenizer, **LIMITS)  # noqa: E731
    train = [
        dataclasses.replace(sequences.blur(record, GOLD_ERRORS, rng), id=str(number))
        for number, record in enumerate(world.train_prompts)
    ]
    demonstrations = encode(world.demonstrations)
    careless = encode([sequences.blur(record, GOLD_ERRORS, rng) for record in world.demonstrations])

    def imitate(demonstrations: EncodedLists, size: tuple[int, int], name: str, key: Array) -> Policy:
        init_key, train_key = jax.random.split(key)
        start = stages.new_policy(size, tokenizer, sum(LIMITS.values()), init_key)
        return stages.imitate(start, demonstrations, tokenizer, directory / name, train_key, **IMITATION)

    student_key, teacher_key, texts_key = jax.random.split(key, 3)
    teacher = imitate(demonstrations, teacher_size, "teacher", teacher_key)
    student = imitate(careless, size, "student", student_key)
    answers = [record.responses[0] for record in world.test_prompts]
    test = encode([record.unanswered() for record in world.test_prompts])

    def rewards(policy: Policy, key: Array) -> tuple[list[list[str]], np.ndarray]:
        tokens = draw(policy, test, key, num_samples=TEST_SAMPLES, end_ids=tokenizer.end_ids)
        texts = [[tokenizer.decode(ids) for ids in row] for row in tokens]
        return texts, true_rewards(world.test_prompts, texts)

    def evaluate(policies: Mapping[str, Policy], key: Array) -> dict[str, Row]:
        _, of_teacher = rewards(teacher, jax.random.fold_in(key, 1))
        table = {}
        for name, policy in policies.items():
            texts, own = rewards(policy, key)
            table[name] = {
                "true reward": mean_over_prompts(own),
                "win rate against teacher": mean_over_prompts(0.5 + 0.5 * np.sign(own - of_teacher)),
                **figures.text_figures(texts, answers),
            }
        return table

    def write_texts():
        path, options = directory / "teacher.jsonl", {"num_samples": 1, "max_new_tokens": max_response}
        return texts_of(sampled_texts(path, teacher, tokenizer, train, texts_key, **options))

    return World(
        tokenizer,
        student,
        train,
        processes.first(write_texts),
        teacher,
        encode([graded_list(record, GRADED, rng) for record in world.test_prompts]),
        quality_fn,
        evaluate,
    )


def quality_fn(prompt: str, texts: Sequence[str]) -> list[float]:
    """Returns the true reward of each text."""
    return [sequences.true_reward(text, sequences.answer_to(prompt)) for text in texts]
