"""Best-of-n: what choosing the highest proxy score among n responses gains, and how far it moves the policy."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from jaxalign.numerics import Ratio, masked, ratio


def best_of_n_metric(
    proxy_scores: Num[Array, "*batch K"],
    values: Num[Array, "*batch K"],
    n: int,
    *,
    where: Bool[Array, "*batch K"] | None = None,
) -> Ratio:
    """Computes the expected value of the response with the highest proxy score among n, averaged over prompts.

    The n are drawn without replacement from a prompt's K responses, and the expectation over all draws is exact: with
    c_i responses scored at most as high as response i and b_i scored lower, the best of n has i's score with
    probability ``(C(c_i, n) - C(b_i, n)) / C(K, n)``, which equal scores share alike. If the K are independent samples
    of a policy, this estimates the value of best-of-n without bias, and better than disjoint groups of n would.

    Args:
      proxy_scores: ``[..., K]``, what the choice is made by, any scale; a NaN makes the metric NaN.
      values: ``[..., K]``, what a response is worth: a gold reward, or a verdict against a baseline for a win rate.
      n: 1 to K, fixed at compile time.
      where: ``[..., K]``, False for padding, None if there is none. Prompts with fewer than n real responses are not
        counted.

    Returns:
      A :class:`~jaxalign.numerics.Ratio` over prompts: parts add up, ``.value`` divides.

    Raises:
      ValueError: if n is not in 1..K.

    Source: the unbiased estimator of WebGPT (arXiv 2112.09332), appendix I, with ties.
    """
    where, proxy_scores, values = masked(where, proxy_scores, values)
    if not 1 <= n <= values.shape[-1]:
        raise ValueError(f"expected n between 1 and the {values.shape[-1]} responses of a prompt, got {n}")
    mine, other = proxy_scores[..., :, None], proxy_scores[..., None, :]
    lower = jnp.sum((other < mine) & where[..., None, :], axis=-1)
    at_most = jnp.sum((other <= mine) & where[..., None, :], axis=-1)
    available = jnp.sum(where, axis=-1, keepdims=True)
    tied = at_most - lower
    block = _all_among(at_most, available, n) - _all_among(lower, available, n)
    # Each response ties with itself, unless its score is NaN, which must not pass for a response never chosen.
    weights = jnp.where(tied > 0, block / jnp.maximum(tied, 1), jnp.nan)
    chosen = jnp.sum(jnp.where(where, weights * values, 0), axis=-1)
    return ratio(chosen, where=available[..., 0] >= n)


def best_of_n_kl_bound(n: Num[Array, "..."] | int) -> Float[Array, "..."]:
    """Returns ``log n - (n - 1) / n`` nats: best-of-n is never further than that from the policy it draws from.

    This is an upper bound of KL(best-of-n || policy) for n independent draws, close to it while a response is far less
    probable than 1 / n and scores do not tie. A policy of few responses stays much nearer: the divergence cannot grow
    beyond ``-log`` of the best one's probability.

    Args:
      n: ``[...]`` or one number, 1 or more draws.

    Source: Stiennon et al. (arXiv 2009.01325), appendix G.3; as a bound, Beirami et al. (arXiv 2401.01879).
    """
    n = jnp.asarray(n, jnp.float32)
    return jnp.log(n) - (n - 1) / n


def _all_among(favourable, available, n: int):
    """``C(favourable, n) / C(available, n)``: the probability that n draws without replacement are all favourable.

    As a product of n factors in [0, 1], because the binomials overflow.
    """
    drawn = jnp.arange(n).reshape((1,) * favourable.ndim + (n,))
    left = jnp.maximum(favourable[..., None] - drawn, 0)
    return jnp.prod(left / jnp.maximum(available[..., None] - drawn, 1), axis=-1)
