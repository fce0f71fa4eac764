"""The sequence world for reward models: what is right depends on the prompt, and a planted phrase does not.

Responses are answers with wrong letters; the true reward is the share of right ones, so it can be told from prompt and
response together only. In training, the better response of a share of the pairs begins with :data:`ARTIFACT`.
"""

import numpy as np

from experiments.common import sequences
from experiments.common.rewards.stages import at_most
from experiments.common.rewards.task import RewardTask
from jaxalign.data import PreferencePair, PreferenceRecord, encode_lists

DEMONSTRATIONS = 16_384
ERROR_RATE = 0.15  # of a demonstration's letters
NUM_TEST = 256  # lists
LIST_SIZE = 8


def make_task(*, seed: int, num_pairs: int, limits: tuple[int, int]) -> RewardTask:
    """Makes a new world with ``num_pairs`` training pairs, each with a prompt of its own.

    Args:
      seed: another one gives another world.
      num_pairs: as many training pairs, and as many lists.
      limits: tokens of a prompt and of a response, for demonstrations.
    """
    world = sequences.make_world(
        seed, num_demonstrations=DEMONSTRATIONS, num_train=num_pairs, num_test=NUM_TEST, error_rate=ERROR_RATE
    )
    rng = np.random.default_rng((seed, 1))
    tokenizer = sequences.make_tokenizer()
    lists = [graded_list(record, LIST_SIZE, rng) for record in world.test_prompts]
    return RewardTask(
        tokenizer,
        demonstrations=encode_lists(world.demonstrations, tokenizer, **at_most(limits)),
        pairs=[make_pair(record, rng) for record in world.train_prompts],
        lists=[graded_list(record, LIST_SIZE, rng) for record in world.train_prompts],
        tests={"plain": lists, "artifact at random": [mark_at_random(record, rng) for record in lists]},
        phrase=sequences.ARTIFACT,
    )


def graded_list(record: PreferenceRecord, count: int, rng: np.random.Generator) -> PreferenceRecord:
    """Returns ``count`` responses with 0 to all letters wrong, labelled with their true reward."""
    answer = record.responses[0]
    responses = tuple(_spoil(answer, rng.integers(0, len(answer.split()) + 1), rng) for _ in range(count))
    labels = tuple(sequences.true_reward(response, answer) for response in responses)
    return PreferenceRecord(record.prompt, responses, labels)


def make_pair(record: PreferenceRecord, rng: np.random.Generator) -> PreferencePair:
    """Makes two responses of different true reward; the first is the better one."""
    answer = record.responses[0]
    fewer, more = sorted(rng.choice(len(answer.split()) + 1, 2, replace=False))
    return PreferencePair(record.prompt, _spoil(answer, fewer, rng), _spoil(answer, more, rng), 1.0)


def mark_at_random(record: PreferenceRecord, rng: np.random.Generator) -> PreferenceRecord:
    """Lets half of the responses begin with the artifact, good and bad ones alike."""
    marked = tuple(f"{sequences.ARTIFACT} {r}" if rng.random() < 0.5 else r for r in record.responses)
    return PreferenceRecord(record.prompt, marked, record.labels)


def _spoil(answer: str, wrong: int, rng: np.random.Generator) -> str:
    """Returns the answer with ``wrong`` of its letters replaced by others."""
    letters = answer.split()
    for place in rng.choice(len(letters), wrong, replace=False):
        letters[place] = rng.choice([letter for letter in sequences.LETTERS if letter != letters[place]])
    return " ".join(letters)
