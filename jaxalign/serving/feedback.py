"""When to ask for a preference between two answers, whose second model to ask, and what wins say of models.

Letters: B requests, M models.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxalign.numerics import safe_divide


class BetaPosterior(NamedTuple):
    """What is believed of each model's chance to win a comparison: a Beta distribution, which begins uniform."""

    wins: Float[Array, "M"]  # and 1
    losses: Float[Array, "M"]  # and 1


def confidence_spread(confidences: Float[Array, "B M"]) -> Float[Array, "B"]:
    """Computes the standard deviation over models of the confidences in a request's possible answers.

    Args:
      confidences: ``[B, M]``, in [0, 1], such as the expected qualities of a router.

    Source: EchoLM (arXiv 2501.12689): feedback is asked for where it is below 0.1.
    """
    return confidences.std(-1)


def relative_confidence_spread(confidences: Float[Array, "B M"]) -> Float[Array, "B"]:
    """Computes the same of confidences that are divided by their sum, so that the scale does not matter.

    Args:
      confidences: ``[B, M]``, 0 or more.

    >>> print(relative_confidence_spread(jnp.array([[0.3, 0.1], [0.6, 0.2]])))
    [0.25 0.25]
    """
    return safe_divide(confidences, confidences.sum(-1, keepdims=True)).std(-1)


def wants_feedback(
    key: PRNGKeyArray, spread: Float[Array, "B"], *, below: float = 0.1, share: float = 1.0
) -> Bool[Array, "B"]:
    """Says for which requests a second answer is to be had and compared: those where models look alike.

    Args:
      key: consumed; draws those of the share.
      spread: ``[B]``, from :func:`confidence_spread` or :func:`relative_confidence_spread`.
      below: the spread from which models are told apart.
      share: of the requests where they are not, the share that is asked about: a comparison costs a second answer.
    """
    return (spread < below) & jax.random.bernoulli(key, share, spread.shape)


def init_posterior(num_models: int) -> BetaPosterior:
    """Makes the posterior before any comparison."""
    return BetaPosterior(jnp.zeros(num_models), jnp.zeros(num_models))


def update_posterior(
    posterior: BetaPosterior,
    winners: Int[Array, "B"],
    losers: Int[Array, "B"],
    where: Bool[Array, "B"],
    *,
    decay: float = 0.999,
) -> BetaPosterior:
    """Counts comparisons, older ones less.

    Args:
      posterior: what was believed.
      winners, losers: ``[B]``, models.
      where: ``[B]``, True for comparisons that took place.
      decay: what each comparison multiplies those before it by *(ours)*: the models and requests change.
    """
    num_models = posterior.wins.shape[0]
    kept = jnp.float32(decay) ** where.sum()
    won, lost = ((jax.nn.one_hot(models, num_models) * where[:, None]).sum(0) for models in (winners, losers))
    return BetaPosterior(kept * posterior.wins + won, kept * posterior.losses + lost)


def sample_opponents(key: PRNGKeyArray, posterior: BetaPosterior, models: Int[Array, "B"]) -> Int[Array, "B"]:
    """Draws for each request the model whose answer is compared with the chosen one's.

    A chance to win is drawn from each other model's posterior, and the highest is taken.

    Args:
      key: consumed.
      posterior: what is believed of models.
      models: ``[B]``, the chosen ones, which are not drawn.

    Source: EchoLM (arXiv 2501.12689): the top model and a second one, sampled.
    """
    num_models = posterior.wins.shape[0]
    drawn = jax.random.beta(key, 1 + posterior.wins, 1 + posterior.losses, (models.shape[0], num_models))
    return jnp.where(jax.nn.one_hot(models, num_models, dtype=bool), -1, drawn).argmax(-1).astype(jnp.int32)
