"""HeMeNet's relation features with gradients: factorised over elements, against the plain form."""

import functools
import statistics
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxalign import protein
from jaxalign.protein.relation_features import EPSILON
from tools.benchmarks.measure import Table, median_ratio, take_warm_turns, temporary_bytes


class Case(NamedTuple):
    """Edges, and the width of element embeddings and of features."""

    edges: int
    width: int


HEADER = ("edges", "F", "plain ms", "time ratio", "plain MB", "memory ratio", "gradient difference")
PUBLISHED = Case(6_096, 128)


def table(rounds: int) -> Table:
    """The published width at the size of the issue, and half of that width."""
    return Table(
        title="relation features, forward and backward",
        notes=(
            "`protein.relation_features` of sums over elements against `Linear(vec(T) / (|T| + eps))` with",
            "`T = A_i^T D A_j` for every edge, both from the atoms' coordinates on and with gradients by coordinates,",
            "embeddings and kernel. Ratios are plain over factorised. Goals at 6,000 edges on a CPU: at least 10 times",
            "faster and 10 times less temporary memory.",
        ),
        header=HEADER,
        rows=[row(case, rounds) for case in (PUBLISHED._replace(width=PUBLISHED.width // 2), PUBLISHED)],
    )


def row(case: Case, rounds: int) -> tuple[str, ...]:
    """Cells of one case."""
    inputs = example(case)
    forms = {"plain": _compile(plain_features, inputs), "factorised": _compile(factorised_features, inputs)}
    seconds = take_warm_turns({name: functools.partial(form, *inputs) for name, form in forms.items()}, rounds)
    memory = {name: temporary_bytes(form) for name, form in forms.items()}
    return (
        f"{case.edges:,}",
        str(case.width),
        f"{1e3 * statistics.median(seconds['plain']):,.0f}",
        f"{median_ratio(seconds['plain'], seconds['factorised']):.1f}",
        f"{memory['plain'] / 1e6:,.0f}",
        f"{memory['plain'] / memory['factorised']:.1f}",
        f"{difference(forms, inputs):.1e}",
    )


def example(case: Case):
    """Coordinates ``[2, edges, 14, 3]`` of both ends, elements, masks, and weights."""
    rng = np.random.default_rng(0)
    mask = np.arange(14) < rng.integers(4, 15, (2, case.edges, 1))
    coordinates = rng.normal(size=(2, case.edges, 14, 3)).astype(np.float32) * 3
    elements = np.where(mask, rng.integers(2, 6, mask.shape), 0).astype(np.int32)
    embeddings = rng.normal(size=(10, case.width)).astype(np.float32)
    kernel = rng.normal(size=(case.width,) * 3).astype(np.float32) / case.width
    return tuple(map(jnp.asarray, (coordinates, embeddings, kernel, elements, mask)))


def factorised_features(coordinates, embeddings, kernel, elements, mask):
    """Ours."""
    sums = protein.element_sums(_distances(coordinates, mask), *elements)
    return protein.relation_features(sums, embeddings, kernel, jnp.zeros(kernel.shape[-1]))


def plain_features(coordinates, embeddings, kernel, elements, mask):
    """A matrix of F x F for every edge."""
    first, second = embeddings[elements[0]], embeddings[elements[1]]
    products = jnp.einsum("eca,ecd,edb->eab", first, _distances(coordinates, mask), second)
    norms = jnp.sqrt(jnp.square(products).sum(axis=(1, 2)))
    return jnp.einsum("eab,abk->ek", products / (norms[:, None, None] + EPSILON), kernel)


def difference(forms, inputs) -> float:
    """Compares gradients: the largest ``max |found - expected| / max |expected|``."""
    found, expected = (forms[name](*inputs)[1] for name in ("factorised", "plain"))
    return max(float(jnp.abs(f - e).max() / jnp.abs(e).max()) for f, e in zip(found, expected, strict=True))


def _distances(coordinates, mask):
    return protein.channel_distances(*coordinates, mask[0][:, :, None] & mask[1][:, None, :])


def _compile(features_fn, inputs):
    def total(*inputs):
        return jnp.sin(features_fn(*inputs)).sum()

    return jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2))).lower(*inputs).compile()
