import math

import jax.numpy as jnp
import numpy as np

from jaxalign import metrics
from jaxalign.judge import Column, Contrast, Judgement, order_arrays
from jaxalign.prompting import Orders


def test_no_number_is_no_judgement():
    """NaN is neither a probability, nor below one half, nor a target."""
    orders = [Orders(math.nan, 0.2), Orders(0.3, math.nan), Orders(math.nan, math.nan), Orders(0.3, 0.1)]
    assert [each.probability for each in orders[:3]] == [None] * 3
    assert Orders(math.nan, 0.25).swapped() == Orders(0.75, None)
    judgements = [Judgement(each.probability, each) for each in orders] + [Judgement(math.nan, Orders(0.5, 0.5))]
    arrays = order_arrays(judgements)
    np.testing.assert_array_equal(arrays.where, [False, False, False, True, False])
    assert np.isfinite(np.stack(arrays[:3])).all()
    assert order_arrays([]).probability.shape == (0,)


def test_a_judgement_is_exchanged_with_its_table():
    table = (Column("tone", Contrast(("kind",), (), ("short",))),)
    judgement = Judgement(0.75, Orders(0.5, 1.0), table, texts=("x",), asked=3, unparsed=1)
    swapped = judgement.swapped()
    assert (swapped.probability, swapped.orders) == (0.25, Orders(0.0, 0.5))
    assert swapped.table == (Column("tone", Contrast((), ("kind",), ("short",))),)
    assert swapped.swapped() == judgement


def test_the_figures_of_published_judges_by_hand():
    """Accuracy over both orders, agreement of orders, share that picks the first shown; unparsed is no loss."""
    orders = [Orders(0.9, 0.8), Orders(0.7, 0.4), Orders(0.2, 0.1), Orders(0.6, 0.3), Orders(None, 0.0)]
    targets = jnp.array([1.0, 1.0, 1.0, 0.0, 1.0])
    arrays = order_arrays([Judgement(each.probability, each) for each in orders])
    np.testing.assert_array_equal(arrays.where, [True] * 4 + [False])
    where = jnp.asarray(arrays.where)
    both = jnp.stack([arrays.shown_first, arrays.shown_second])
    accuracy = metrics.preference_accuracy_metric(
        both, jnp.full(both.shape, 0.5), jnp.stack([targets] * 2), where=jnp.stack([where] * 2)
    )
    assert accuracy == (4.0, 8.0)  # right in both, right in one, wrong in both, right in one
    exchanged = 1 - jnp.asarray(arrays.shown_second)
    assert metrics.swap_consistency_metric(jnp.asarray(arrays.shown_first), exchanged, where=where) == (2.0, 4.0)
    picks = jnp.stack([jnp.asarray(arrays.shown_first), exchanged])
    # In the first order 3 of 4 pick what is shown first, in the second one 3 of 4 too: 0.2, 0.6, 0.9, 0.7.
    first_shown = metrics.win_rate_metric(picks, jnp.full(picks.shape, 0.5), where=jnp.stack([where] * 2))
    assert first_shown == (6.0, 8.0)
