"""The sequence world as a task: lists are sampled from the SFT policy, labels come from the true reward."""

import jax
import numpy as np
from jaxtyping import Array

from experiments.common import sequences
from experiments.common.draw import draw
from experiments.common.task import Policy, Row, Sample, Task, mean_over_prompts
from jaxalign import losses
from jaxalign.data import EncodedLists, HfTokenizer, PreferenceRecord, encode_lists, lists_from_tokens

LIMITS = {"max_prompt": sequences.MAX_PROMPT, "max_response": sequences.MAX_RESPONSE}
DEMONSTRATIONS = 16  # for each prompt to sample for; few would be learnt by heart, errors included
ERROR_RATE = 0.3  # of a demonstration's letters
NUM_TEST = 512  # prompts
TEST_SAMPLES = 4  # of each policy for each of them


def make_task(*, seed: int, num_prompts: int, list_size: int) -> Task:
    """Makes a new world, with ``num_prompts`` prompts to sample ``list_size`` responses for."""
    world = sequences.make_world(
        seed,
        num_demonstrations=DEMONSTRATIONS * num_prompts,
        num_train=num_prompts,
        num_test=NUM_TEST,
        error_rate=ERROR_RATE,
    )
    tokenizer = sequences.make_tokenizer()
    train, test = (_without_answers(part, tokenizer) for part in (world.train_prompts, world.test_prompts))

    def texts(policy: Policy, prompts: EncodedLists, key: Array, num_samples: int):
        tokens = draw(policy, prompts, key, num_samples=num_samples, end_ids=tokenizer.end_ids)
        return tokens, [[tokenizer.decode(ids) for ids in row] for row in tokens]

    def make_lists(sft: Policy, key: Array) -> EncodedLists:
        tokens, responses = texts(sft, train, key, list_size)
        labels = true_labels(world.train_prompts, responses)
        prompts = [train.prompt(index) for index in range(len(train))]
        return lists_from_tokens(prompts, tokens, labels, pad_id=tokenizer.pad_id, limits=train.limits)

    def preferences(sft: Policy, key: Array) -> list[PreferenceRecord]:
        shown = [record.prompt for record in world.demonstrations[:num_prompts]]
        asked = [PreferenceRecord(prompt, (sequences.answer_to(prompt),), (1.0,)) for prompt in shown]
        _, responses = texts(sft, _without_answers(asked, tokenizer), key, list_size)
        labelled = zip(shown, responses, true_labels(asked, responses), strict=True)
        return [PreferenceRecord(prompt, tuple(row), tuple(labels)) for prompt, row, labels in labelled]

    def evaluate(policy: Policy, sft: Policy, key: Array) -> Row:
        rewards, opponents = (
            true_rewards(world.test_prompts, texts(p, test, k, TEST_SAMPLES)[1])
            for p, k in zip((policy, sft), jax.random.split(key), strict=True)
        )
        return {
            "true reward": mean_over_prompts(rewards),
            "perfect": mean_over_prompts(rewards == 1),
            "win rate against SFT": mean_over_prompts(0.5 + 0.5 * np.sign(rewards - opponents)),
        }

    def samples(policy: Policy, key: Array) -> list[Sample]:
        tokens, responses = texts(policy, test, key, 1)
        return [
            Sample(record.prompt, response, len(ids))
            for record, (response,), (ids,) in zip(world.test_prompts, responses, tokens, strict=True)
        ]

    demonstrations = encode_lists(world.demonstrations, tokenizer, **LIMITS)
    return Task(tokenizer, demonstrations, make_lists, evaluate, lambda key: {}, samples, preferences)


def true_labels(records: list[PreferenceRecord], texts: list[list[str]]) -> list[list[float]]:
    """Makes LiPO's labels by a judge who knows the truth, with Bradley-Terry noise."""
    wins = [sequences.preference_matrix(row) for row in true_rewards(records, texts)]
    return np.asarray(_labels_from_preferences(np.stack(wins))).tolist()


_labels_from_preferences = jax.jit(losses.labels_from_preferences)  # operation by operation it is 20 small programs


def true_rewards(records: list[PreferenceRecord], texts: list[list[str]]) -> np.ndarray:
    """Returns the true rewards ``[prompts, samples]``."""
    return np.array(
        [
            [sequences.true_reward(text, record.responses[0]) for text in row]
            for record, row in zip(records, texts, strict=True)
        ],
        np.float32,
    )


def _without_answers(records: list[PreferenceRecord], tokenizer: HfTokenizer) -> EncodedLists:
    return encode_lists([record.unanswered() for record in records], tokenizer, **LIMITS)
