import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from jaxalign import judge, metrics
from jaxalign.data import PreferencePair
from jaxalign.judge import Judgement
from jaxalign.prompting import Orders


def test_temperature_is_the_one_that_a_general_optimiser_finds():
    key, other = jax.random.split(jax.random.key(0))
    logits = 4 * jax.random.normal(key, (200, 3))
    labels = jax.random.categorical(other, logits / 2.5)
    where = jnp.arange(200) < 180

    def loss(temperature):
        logps = jax.nn.log_softmax(logits / temperature)
        return float(-jnp.sum(jnp.where(where, logps[jnp.arange(200), labels], 0)))

    expected = scipy.optimize.minimize_scalar(loss, bounds=(0.1, 20), method="bounded", options={"xatol": 1e-4}).x
    found = metrics.fit_temperature(logits.at[180:].set(7.0), labels, where=where)
    np.testing.assert_allclose(found, expected, rtol=2e-3)
    assert 1.8 < found < 3.2  # 2.5 made the labels


def test_temperatures_stay_in_their_range():
    logits = jnp.array([[2.0, 0.0], [3.0, 0.0]])
    assert metrics.fit_temperature(logits, jnp.array([0, 0])) == pytest.approx(1e-3)
    assert metrics.fit_temperature(logits, jnp.array([1, 1])) == pytest.approx(1e3)


def judgement(p):
    return Judgement(p, Orders(p, p))


def test_a_judge_that_is_twice_too_sure():
    """Of pairs with 0.9 three in four are right: logit(0.9) = 2.197 has to become logit(0.75) = 1.099."""
    judgements = [judgement(0.9), judgement(0.9), judgement(0.1), judgement(0.1), judgement(None), judgement(0.2)]
    targets = [1.0, 1.0, 0.0, 1.0, 1.0, 0.5]  # the unparsed one and the one without an answer do not count
    temperature = judge.fit_judge_temperature(judgements, targets)
    assert temperature == pytest.approx(2.0, rel=1e-3)
    pairs = [PreferencePair("q", "a", "b", 1.0)] * 6
    calibrated = judge.with_temperature(lambda pairs: judgements, temperature)(pairs)
    assert [each.probability for each in calibrated[:3]] == pytest.approx([0.75, 0.75, 0.25], rel=1e-3)
    assert calibrated[4].probability is None and calibrated[0].orders == judgements[0].orders


def test_what_is_no_number_does_not_count():
    """The test above, with NaN among the judgements and among the targets."""
    judgements = [judgement(p) for p in (0.9, 0.9, 0.1, 0.1, math.nan, 0.2)]
    targets = [1.0, 1.0, 0.0, 1.0, 1.0, math.nan]
    temperature = judge.fit_judge_temperature(judgements, targets)
    assert temperature == pytest.approx(2.0, rel=1e-3)
    pairs = [PreferencePair("q", "a", "b", 1.0)] * 6
    calibrated = judge.with_temperature(lambda pairs: judgements, temperature)(pairs)
    assert calibrated[4].probability is None and calibrated[5].probability == pytest.approx(1 / 3, rel=1e-3)


def test_what_cannot_be_calibrated():
    with pytest.raises(ValueError, match="no pair to calibrate on: 2 judgements"):
        judge.fit_judge_temperature([judgement(None), judgement(0.7)], [1.0, 0.5])
    with pytest.raises(ValueError, match="no pair to calibrate on: 2 judgements"):
        judge.fit_judge_temperature([judgement(math.nan), judgement(0.7)], [1.0, math.nan])
    with pytest.raises(ValueError, match="expected a temperature above 0, got 0.0"):
        judge.with_temperature(judge.judge_by_length, 0.0)
