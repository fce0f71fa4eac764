"""The sequence world: its answers, its reward, and what may not leak from training to test."""

import numpy as np

from experiments.common import sequences


def test_transformations_by_hand():
    answers = {name: "".join(f(list("cabl"))) for name, f in sequences.TRANSFORMATIONS.items()}
    assert answers == {"reverse": "lbac", "sort": "abcl", "next": "dbca", "rotate": "ablc"}


def test_true_reward_by_hand():
    assert sequences.true_reward("a b c", "a b c") == 1
    assert sequences.true_reward("a x c", "a b c") == 2 / 3
    assert sequences.true_reward("a b", "a b c") == 2 / 3
    assert sequences.true_reward("a b c d", "a b c") == 3 / 4
    assert sequences.true_reward("", "a b c") == 0


def test_preferences_of_the_judge_by_hand():
    # sigmoid((1 - 0.9) / 0.1) = sigmoid(1).
    wins = sequences.preference_matrix([1.0, 0.9])
    np.testing.assert_allclose(wins, [[0.5, 0.7310586], [0.2689414, 0.5]], rtol=1e-5)


def test_worlds_repeat_and_share_no_prompt_between_parts():
    sizes = {"num_demonstrations": 200, "num_train": 100, "num_test": 50, "error_rate": 0.3}
    world = sequences.make_world(3, **sizes)
    parts = [{r.prompt for r in part} for part in (world.demonstrations, world.train_prompts, world.test_prompts)]
    assert [len(part) for part in parts] == [200, 100, 50]
    assert len(set.union(*parts)) == 350
    assert sequences.make_world(3, **sizes) == world
    assert sequences.make_world(4, **sizes) != world


def test_demonstrations_err_as_often_as_asked():
    world = sequences.make_world(0, num_demonstrations=2000, num_train=1, num_test=1, error_rate=0.3)
    rewards = []
    for record in world.demonstrations:
        name, *letters = record.prompt.removesuffix(" =").split()
        answer = " ".join(sequences.TRANSFORMATIONS[name](letters))
        rewards.append(sequences.true_reward(record.responses[0], answer))
    # A letter stays right with probability 0.7 + 0.3 / 12 = 0.725; the mean of 2,000 has a standard error near 0.005.
    assert abs(np.mean(rewards) - 0.725) < 0.02


def test_tokenizer_writes_one_token_a_word():
    tokenizer = sequences.make_tokenizer()
    ids = tokenizer.encode("reverse c a f =")
    assert len(ids) == 5
    assert tokenizer.decode([*ids, tokenizer.eos_id]) == "reverse c a f ="
    assert tokenizer.bos_id is not None
    assert len({tokenizer.pad_id, tokenizer.eos_id, tokenizer.bos_id}) == 3
