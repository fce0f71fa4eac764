"""Each transform against transformers' logits processor of its name, and chains against their probabilities by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy import stats
from transformers import generation

from jaxalign import sampling

V, ROWS = 50, 20


def random_logits():
    return 3 * np.random.default_rng(0).standard_normal((ROWS, V)).astype(np.float32)


def left_of(transforms, logits, memory=None):
    """What a chain leaves of ``logits [V]``, back in the vocabulary's order, -inf where excluded."""
    candidates = sampling.Candidates(jnp.asarray(logits), jnp.arange(V))
    for index, transform in enumerate(transforms):
        candidates = transform.apply(candidates, () if memory is None else memory[index])
    return np.asarray(jnp.full(V, -jnp.inf).at[candidates.tokens].set(candidates.logits))


def processors():
    g = generation
    return {
        "temperature": ([sampling.temperature(0.7)], [g.TemperatureLogitsWarper(0.7)]),
        "top_k": ([sampling.top_k(7)], [g.TopKLogitsWarper(7)]),
        "top_k_of_all": ([sampling.top_k(V + 5)], [g.TopKLogitsWarper(V + 5)]),
        "top_p": ([sampling.top_p(0.8)], [g.TopPLogitsWarper(0.8)]),
        "top_p_of_one": ([sampling.top_p(0.01)], [g.TopPLogitsWarper(0.01)]),
        "min_p": ([sampling.min_p(0.1)], [g.MinPLogitsWarper(0.1)]),
        "chain": (
            [sampling.temperature(1.5), sampling.top_k(20), sampling.top_p(0.9), sampling.min_p(0.05)],
            [
                g.TemperatureLogitsWarper(1.5),
                g.TopKLogitsWarper(20),
                g.TopPLogitsWarper(0.9),
                g.MinPLogitsWarper(0.05),
            ],
        ),
    }


@pytest.mark.parametrize("name", ["temperature", "top_k", "top_k_of_all", "top_p", "top_p_of_one", "min_p", "chain"])
def test_equals_transformers(name):
    ours, theirs = processors()[name]
    logits = random_logits()
    expected = torch.tensor(logits)
    for processor in theirs:
        expected = processor(torch.zeros((ROWS, 1), dtype=torch.long), expected)
    expected = expected.numpy()
    for row in range(ROWS):
        np.testing.assert_allclose(left_of(ours, logits[row]), expected[row], rtol=1e-6)
    if name not in ("temperature", "top_k_of_all"):
        counts = np.isfinite(expected).sum(axis=1)
        assert counts.max() < V and (name in ("top_k", "top_p_of_one") or len(set(counts)) > 3)


def test_repetition_penalty_equals_transformers():

    prompt, mask = np.array([4, 9, 9, 0, 0]), np.array([True, True, True, False, False])
    drawn = [17, 4, 30]
    logits = random_logits()
    ids = torch.tensor([[*prompt[mask], *drawn]] * ROWS)
    expected = generation.RepetitionPenaltyLogitsProcessor(1.7)(ids, torch.tensor(logits)).numpy()
    transform = sampling.repetition_penalty(1.7)
    memory = transform.init(jnp.asarray(prompt), jnp.asarray(mask), V)
    for token in drawn:
        memory = transform.update(memory, jnp.asarray(token))
    for row in range(ROWS):
        np.testing.assert_allclose(left_of([transform], logits[row], [memory]), expected[row], rtol=1e-6)
    # Token 0 stands only in padding.
    assert not memory[0] and memory.sum() == 4


def test_after_a_selection_the_penalty_finds_its_tokens():
    """Candidates are sorted by then: the penalty goes by token, not by place."""
    logits = jnp.array([0.0, 3.0, 2.0, -1.0])
    transforms = sampling.top_k(2), sampling.repetition_penalty(4.0)
    memory = (), transforms[1].init(jnp.array([1]), jnp.array([True]), 4)
    kept = sampling.Candidates(logits, jnp.arange(4))
    for transform, own in zip(transforms, memory, strict=True):
        kept = transform.apply(kept, own)
    assert dict(zip(kept.tokens.tolist(), kept.logits.tolist(), strict=True)) == {1: 0.75, 2: 2.0}


def test_without_a_penalty_nothing_is_remembered():
    rule = sampling.sample(sampling.temperature(0.7), sampling.top_k(4), sampling.top_p(0.9), sampling.min_p(0.1))
    memory = rule.init(jnp.array([1]), jnp.array([True]), V)
    assert not jax.tree.leaves(memory) and not jax.tree.leaves(rule.update(memory, jnp.array(3)))
    assert not jax.tree.leaves(sampling.greedy.init(jnp.array([1]), jnp.array([True]), V))


def test_a_chain_is_sampled_by_its_probabilities():
    # Probabilities 0.4, 0.3, 0.2, 0.1. Top-p of 0.75 keeps the first three (0.4 + 0.3 < 0.75), of which min-p of 0.6
    # keeps those with at least 0.24: 4/7 and 3/7.
    logits = jnp.log(jnp.array([0.1, 0.4, 0.2, 0.3]))
    rule = sampling.sample(sampling.top_p(0.75), sampling.min_p(0.6))
    draws = jax.vmap(lambda key: rule.choose(logits, key, ((), ())))(jax.random.split(jax.random.key(0), 4000))
    counts = np.bincount(np.asarray(draws), minlength=4)
    assert counts[0] == counts[2] == 0
    assert stats.chisquare(counts[[1, 3]], [4000 * 4 / 7, 4000 * 3 / 7]).pvalue > 1e-3


def test_without_transforms_the_model_is_sampled():
    probabilities = np.array([0.5, 0.25, 0.15, 0.1])
    rule = sampling.sample()
    keys = jax.random.split(jax.random.key(1), 4000)
    draws = jax.vmap(lambda key: rule.choose(jnp.log(jnp.asarray(probabilities)), key, ()))(keys)
    assert stats.chisquare(np.bincount(np.asarray(draws)), 4000 * probabilities).pvalue > 1e-3


def test_equal_rules_are_one_object():
    """So that ``generate`` compiles once for them."""
    first, again = (sampling.sample(sampling.temperature(0.5), sampling.top_k(3)) for _ in range(2))
    assert first is again and first is not sampling.sample(sampling.temperature(0.5), sampling.top_k(4))


@pytest.mark.parametrize(
    ("make", "value", "message"),
    [
        (sampling.temperature, 0.0, "temperature must be positive, got 0.0; .* use greedy"),
        (sampling.top_k, 0, "at least 1 token, got 0; leave it out"),
        (sampling.temperature, float("nan"), "temperature must be positive, got nan"),
        (sampling.temperature, float("inf"), "temperature must be positive, got inf"),
        (sampling.temperature, -1.0, "temperature must be positive, got -1.0"),
        (sampling.top_p, float("nan"), r"mass in \(0, 1\], got nan"),
        (sampling.min_p, float("nan"), r"in \[0, 1\], got nan"),
        (sampling.repetition_penalty, float("nan"), r"positive \(above 1 discourages\), got nan"),
        (sampling.top_p, 0.0, r"mass in \(0, 1\], got 0.0"),
        (sampling.top_p, 1.5, r"mass in \(0, 1\], got 1.5"),
        (sampling.min_p, 1.5, r"in \[0, 1\], got 1.5"),
        (sampling.repetition_penalty, 0.0, r"positive \(above 1 discourages\), got 0.0"),
    ],
)
def test_impossible_values_are_refused(make, value, message):
    with pytest.raises(ValueError, match=message):
        make(value)
