"""The sequence world for reward models: what is right depends on the prompt, and a planted word does not.

Responses are answers with wrong letters; the true reward is the share of right ones, so it can be told from prompt and
response together only. What RRM presumes holds here (arXiv 2409.13156): losers are on topic, since more than half of
their letters are right or nearly so, and therefore better than almost any response to another prompt; and the artifact,
a word behind the answer, moves no letter from its place.
"""

import numpy as np

from experiments.common import sequences
from experiments.common.rewards.figures import with_artifact
from experiments.common.rewards.stages import at_most
from experiments.common.rewards.task import Artifact, RewardTask
from jaxalign.data import PreferencePair, PreferenceRecord, encode_lists

DEMONSTRATIONS = 16_384
ERROR_RATE = 0.15  # of a demonstration's letters
NUM_TEST = 256  # lists
LIST_SIZE = 8
ARTIFACT = Artifact(sequences.ARTIFACT, "end")


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
        artifact=ARTIFACT,
    )


def graded_list(record: PreferenceRecord, count: int, rng: np.random.Generator) -> PreferenceRecord:
    """Returns ``count`` responses with none to most letters wrong, labelled with their true reward."""
    answer = record.responses[0]
    responses = tuple(_spoil(answer, rng.integers(0, most_wrong(answer) + 1), rng) for _ in range(count))
    labels = tuple(sequences.true_reward(response, answer) for response in responses)
    return PreferenceRecord(record.prompt, responses, labels)


def make_pair(record: PreferenceRecord, rng: np.random.Generator) -> PreferencePair:
    """Makes two responses of different true reward; the first is the better one."""
    answer = record.responses[0]
    fewer, more = sorted(rng.choice(most_wrong(answer) + 1, 2, replace=False))
    return PreferencePair(record.prompt, _spoil(answer, fewer, rng), _spoil(answer, more, rng), 1.0)


def most_wrong(answer: str) -> int:
    """Returns how many letters of a response may be wrong: one more than half, so that it stays on topic."""
    return len(answer.split()) // 2 + 1


def mark_at_random(record: PreferenceRecord, rng: np.random.Generator) -> PreferenceRecord:
    """Lets half of the responses have the artifact, good and bad ones alike."""
    marked = with_artifact(record, ARTIFACT).responses
    chosen = tuple(m if rng.random() < 0.5 else r for r, m in zip(record.responses, marked, strict=True))
    return PreferenceRecord(record.prompt, chosen, record.labels)


def _spoil(answer: str, wrong: int, rng: np.random.Generator) -> str:
    """Returns the answer with ``wrong`` of its letters replaced by others."""
    letters = answer.split()
    for place in rng.choice(len(letters), wrong, replace=False):
        letters[place] = rng.choice([letter for letter in sequences.LETTERS if letter != letters[place]])
    return " ".join(letters)
