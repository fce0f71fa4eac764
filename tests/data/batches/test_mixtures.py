"""Mixtures of tasks: shares as the weights say, no prompt in a loss, the same batches after a break."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import data, models, training
from jaxalign.data.batches.mixtures import draw_mixture

TASKS = (7, 5, 3)  # examples of each task


def make_task(number, count):
    """Prompts of tens, responses of the task's hundreds: each response of two tokens names its task and its example."""
    prompts = [[11 + example, 12] for example in range(count)]
    responses = [[[100 * (number + 1) + example, 1]] for example in range(count)]
    return data.lists_from_tokens(prompts, responses, [[1.0]] * count, pad_id=0, limits=(2, 2))


@pytest.fixture(scope="module")
def tasks():
    return [make_task(number, count) for number, count in enumerate(TASKS)]


def stream(tasks, weights, **options):
    return data.mixture_batches(tasks, weights, **{"batch_size": 2, "row_length": 9, **options})


def names(batch):
    """The first target token of each example."""
    shown = batch.targets[batch.loss_mask]
    return shown[shown > 1].tolist()


def test_examples_are_rows_of_prompt_and_response(tasks):
    (batch,) = stream(tasks[:1], [1.0], batch_size=7, packed=False, num_epochs=1)
    order = np.argsort(batch.targets[:, 1])
    assert batch.tokens[order, :3].tolist() == [[11 + n, 12, 100 + n] for n in range(7)]
    assert batch.loss_mask[:, :4].tolist() == [[False, True, True, False]] * 7


def test_weights_are_met_to_the_sampling_error_and_within_a_task_all_come_before_any_comes_again(tasks):
    weights, count = np.array([5, 3, 2]), 10_000
    batches = stream(tasks, weights.tolist(), examples_per_epoch=count, num_epochs=1, drop_remainder=False)
    shown = np.array([name for batch in batches for name in names(batch)])
    assert len(shown) == count
    shares = weights / weights.sum()
    found = np.array([np.mean(shown // 100 == task + 1) for task in range(3)])
    # Four standard deviations of a binomial share.
    assert (abs(found - shares) < 4 * np.sqrt(shares * (1 - shares) / count)).all()
    for task, size in enumerate(TASKS):
        times = np.unique(shown[shown // 100 == task + 1], return_counts=True)[1]
        assert len(times) == size and times.max() - times.min() <= 1


def test_a_task_without_weight_never_comes(tasks):
    batches = stream(tasks, [1, 0, 1], examples_per_epoch=400, num_epochs=1)
    assert {name // 100 for batch in batches for name in names(batch)} == {1, 3}


def test_a_task_begins_its_next_round_when_all_have_come():
    drawn = draw_mixture([0, 2, 5], [1.0, 0.0], 5, np.random.default_rng(0))
    assert sorted(drawn[:2]) == sorted(drawn[2:4]) == [0, 1] and drawn[4] in (0, 1)


def test_a_stream_continues_where_its_state_was_taken_and_epochs_differ(tasks):
    whole = list(itertools.islice(stream(tasks, [1, 1, 2]), 12))
    first = iter(stream(tasks, [1, 1, 2]))
    for _ in range(5):
        next(first)
    again = iter(stream(tasks, [1, 1, 2]))
    again.set_state(first.get_state())
    for expected, batch in zip(whole[5:], again, strict=False):
        assert all(np.array_equal(a, b) for a, b in zip(expected, batch, strict=True))
    assert [names(batch) for batch in whole[:4]] != [names(batch) for batch in whole[4:8]]
    assert [names(batch) for batch in whole] != [
        names(b) for b in itertools.islice(stream(tasks, [1, 1, 2], seed=1), 12)
    ]


def test_two_processes_share_the_rows_of_one_batch(tasks):
    options = {"num_epochs": 1, "packed": False}
    both = [list(stream(tasks, [1, 1, 1], process_index=n, process_count=2, **options)) for n in range(2)]
    for whole, *parts in zip(stream(tasks, [1, 1, 1], **options), *both, strict=True):
        assert np.array_equal(whole.tokens, np.concatenate([part.tokens for part in parts]))


def test_prompt_tokens_add_exactly_nothing_to_the_loss(tasks):
    config = models.DecoderConfig(
        vocab_size=512, width=16, mlp_width=32, num_layers=1, num_heads=2, num_kv_heads=1, head_dim=8
    )
    model = models.build(config)
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))["params"]
    loss_fn = jax.jit(training.make_sft_loss(model))
    batch = next(iter(stream(tasks, [1, 1, 1])))
    loss, _ = loss_fn(params, batch, jax.random.key(0))
    assert loss.denominator == batch.loss_mask.sum() == 2 * (batch.positions == 0).sum(where=batch.segment_ids > 0)
    # Other targets in the prompts' places, exactly the same loss.
    other = batch._replace(targets=np.where(batch.loss_mask, batch.targets, 500).astype(np.int32))
    assert loss_fn(params, other, jax.random.key(0))[0].numerator == loss.numerator


@pytest.mark.parametrize("weights", [[1, 1], [1, -1, 1], [0, 0, 0], [1, float("nan"), 1]])
def test_weights_that_mean_nothing_are_refused(tasks, weights):
    with pytest.raises(ValueError, match="one weight of at least 0 for each of 3 tasks"):
        stream(tasks, weights)


def test_a_row_that_is_too_short_is_refused(tasks):
    with pytest.raises(ValueError, match="3 tokens, got row_length 2"):
        stream(tasks, [1, 1, 1], row_length=2)
