"""How two residues lie to each other, atom by atom: HeMeNet's relation extractor, factorised.

For an edge from j to i with distances ``D [14, 14]`` between their atoms and embeddings ``A_i, A_j [14, F]`` of the
atoms' elements, the published features are ``Linear(vec(T) / (|T|_F + eps))`` with ``T = A_i^T D A_j [F, F]``. There
are ten kinds of element, so that with ``O_i, O_j [14, 10]`` one-hot and ``V [10, F]`` their embeddings

    T = V^T S V with S = O_i^T D O_j [10, 10], hence
    W vec(T) = sum_ab S_ab P_abf  with  P_abf = sum_cd V_ac V_bd W_cdf, once for all edges,
    |T|_F^2 = sum_ab S_ab (G S G)_ab  with  G = V V^T:

the same numbers, and nothing of size F x F for an edge. Shared shapes: E edges, 14 channels, F the width of the
embeddings, K the number of features.

Source: HeMeNet (arXiv 2404.01693); after dyMEAN's multi-channel layer (arXiv 2302.00203).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxalign.protein.vocabulary import ELEMENT_CLASSES

EPSILON = 1e-3
"""Added to norms and to greatest distances before they divide, as in the authors' code."""


def channel_distances(
    first: Float[Array, "*e c 3"], second: Float[Array, "*e d 3"], where: Bool[Array, "*e c d"]
) -> Float[Array, "*e c d"]:
    """Returns distances of the atoms of two nodes; 0, and no gradient, where one is missing or both are one.

    Args:
      first: positions ``[E, C, 3]`` of the atoms of E nodes, in angstrom.
      second: positions ``[E, D, 3]`` of the atoms of the other nodes.
      where: ``[E, C, D]``, True where both atoms are there.
    """
    squared = jnp.square(first[..., :, None, :] - second[..., None, :, :]).sum(axis=-1)
    apart = where & (squared > 0)  # the slope of a square root at 0 is infinite: self-loops, coincident atoms
    return jnp.where(apart, jnp.sqrt(jnp.where(apart, squared, 1)), 0)


def element_sums(
    distances: Float[Array, "e c d"], first: Int[Array, "e c"], second: Int[Array, "e d"]
) -> Float[Array, "e elements elements"]:
    """Returns ``S``: distances summed over atoms of the same two elements, ``[E, elements, elements]``.

    Args:
      distances: ``[E, C, D]`` in angstrom, 0 where an atom is missing.
      first: elements ``[E, C]`` of the atoms of E nodes.
      second: elements ``[E, D]`` of the atoms of the other nodes.
    """
    one_hot = lambda elements: jax.nn.one_hot(elements, len(ELEMENT_CLASSES), dtype=distances.dtype)  # noqa: E731
    half = jnp.einsum("ecd,edb->ecb", distances, one_hot(second))
    return jnp.einsum("eca,ecb->eab", one_hot(first), half)


def relation_features(
    sums: Float[Array, "e elements elements"],
    embeddings: Float[Array, "elements f"],
    kernel: Float[Array, "f f k"],
    bias: Float[Array, "k"],
) -> Float[Array, "e k"]:
    """Returns ``Linear(vec(T) / (|T|_F + eps))`` of every edge, ``[E, K]``, without any T.

    ``T = V^T S V`` says how two nodes lie to each other, in the space of the elements' embeddings of width F.

    Args:
      sums: ``S``, ``[E, elements, elements]``, from :func:`element_sums`.
      embeddings: ``V``, ``[elements, F]``, one row an element.
      kernel: ``W``, ``[F, F, K]``, of the linear map, with both axes of T apart.
      bias: ``[K]``, of the linear map.

    Source: HeMeNet (arXiv 2404.01693); after dyMEAN's multi-channel layer (arXiv 2302.00203).
    """
    table = jnp.einsum("ac,bd,cdk->abk", embeddings, embeddings, kernel)
    gram = embeddings @ embeddings.T
    squared = (sums * (gram @ sums @ gram)).sum(axis=(-2, -1))
    positive = squared > 0  # rounding may leave a little less than nothing
    norm = jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1)), 0)
    return jnp.einsum("eab,abk->ek", sums, table) / (norm[:, None] + EPSILON) + bias[None]
