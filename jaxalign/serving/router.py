"""The request router: which of several models answers, a contextual bandit over expected quality, cost and load.

An ensemble of small networks reads the context of a request and gives each model a logit: the log-odds that its answer
is a good one. Each member of the ensemble learns from its own bootstrap of the feedback, so that members agree where
there was much and differ where there was little. Each request follows one member, drawn at random, which is Thompson
sampling from an approximate posterior (Osband et al., bootstrapped DQN, arXiv 1602.04621).

Letters: B requests, F numbers of context, M models, E members.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxalign.typing import Params

SPREAD = 0.03  # of the last layer's weights at the start, as a variance


class RouterConfig(NamedTuple):
    """Sizes of a router. By default one for contexts of width 772 and two models has 0.50 M parameters."""

    num_models: int = 2
    members: int = 8
    width: int = 72


class Decision(NamedTuple):
    """Which model each request goes to, and what that followed from."""

    models: Int[Array, "B"]
    scores: Float[Array, "B M"]  # of the member that was followed: expected quality less what cost and load take off
    propensities: Float[Array, "B M"]  # the chance that the request would go to each model; rows sum to 1


class Member(nn.Module):
    """One network of the ensemble: context in, a logit for each model out."""

    num_models: int
    width: int

    @nn.compact
    def __call__(self, contexts: Float[Array, "*batch F"]) -> Float[Array, "*batch M"]:
        hidden = nn.relu(nn.Dense(self.width, name="first")(contexts))
        hidden = nn.relu(nn.Dense(self.width, name="second")(hidden))
        # What is linear in embeddings is learnt of little feedback by a linear part. Both begin small: of what no
        # feedback was like, the mean of all is believed, which the biases learn first.
        small = nn.initializers.variance_scaling(SPREAD, "fan_in", "normal")
        deep = nn.Dense(self.num_models, kernel_init=small, name="last")(hidden)
        return deep + nn.Dense(self.num_models, kernel_init=nn.initializers.zeros, name="linear")(contexts)


def init_router(key: PRNGKeyArray, config: RouterConfig, width: int) -> Params:
    """Makes the parameters of a router, a leading axis of members on each.

    Args:
      key: consumed; members start apart.
      config: sizes.
      width: F, numbers in a context.
    """
    member = Member(config.num_models, config.width)
    start = jnp.zeros((1, width))
    return jax.vmap(lambda one: member.init(one, start)["params"])(jax.random.split(key, config.members))


def router_logits(params: Params, contexts: Float[Array, "B F"]) -> Float[Array, "E B M"]:
    """Computes every member's log-odds that each model's answer to a request is a good one.

    Args:
      params: from :func:`init_router`.
      contexts: ``[B, F]``, from :func:`jaxalign.serving.router_contexts`.
    """
    width, num_models = params["last"]["kernel"].shape[-2:]
    member = Member(num_models, width)
    return jax.vmap(lambda one: member.apply({"params": one}, contexts))(params)


def choose_models(
    key: PRNGKeyArray,
    logits: Float[Array, "E B M"],
    penalties: Float[Array, "M"] | Float[Array, "B M"],
    *,
    least: float = 0.01,
    where: Bool[Array, "B M"] | None = None,
) -> Decision:
    r"""Sends each request to the model with the highest score under one member of the ensemble.

    .. math:: S_m = \sigma(\ell_m) - p_m

    Here :math:`\ell` are the logits of the member, drawn for each request, and :math:`p` what cost and load take off.

    Args:
      key: consumed; draws the member of each request, and the requests that go anywhere.
      logits: ``[E, B, M]``, from :func:`router_logits`.
      penalties: ``[M]`` or ``[B, M]``, on the scale of quality, from :func:`jaxalign.serving.cost_penalties`.
      least: the share of requests that go to a model at random, whatever is known, so that every model has a
        propensity above 0 and a mistake of all members is found out *(ours)*.
      where: ``[B, M]``, True for the models that a request may go to, at least one of each row; None for all. Others
        have a propensity of 0.

    Returns:
      Models, the scores that were compared, and propensities: the share of members that would choose each model.

    Source: EchoLM (arXiv 2501.12689), the request router.
    """
    members, batch, num_models = logits.shape
    follow_key, stray_key, model_key = jax.random.split(key, 3)
    where = jnp.ones((batch, num_models), bool) if where is None else where
    scores = jnp.where(where, jax.nn.sigmoid(logits) - jnp.broadcast_to(penalties, logits.shape), -jnp.inf)
    votes = jax.nn.one_hot(scores.argmax(-1), num_models).mean(0)
    followed = jax.random.randint(follow_key, (batch,), 0, members)
    own = scores[followed, jnp.arange(batch)]
    stray = jax.random.bernoulli(stray_key, least, (batch,))
    choices = where.sum(-1)
    drawn = jax.random.randint(model_key, (batch,), 0, choices)  # the how manieth of those that there are
    anyone = (where.cumsum(-1) > drawn[:, None]).argmax(-1)
    models = jnp.where(stray, anyone, own.argmax(-1))
    chances = (1 - least) * votes + least * where / choices[:, None]
    return Decision(models.astype(jnp.int32), own, chances)


def best_models(logits: Float[Array, "E B M"], penalties: Float[Array, "M"]) -> Decision:
    """Sends each request to the model of the highest mean score, without exploration.

    Args:
      logits: ``[E, B, M]``, from :func:`router_logits`.
      penalties: ``[M]``, on the scale of quality.
    """
    qualities = jax.nn.sigmoid(logits).mean(0)
    scores = qualities - jnp.broadcast_to(penalties, qualities.shape)
    models = scores.argmax(-1)
    return Decision(models.astype(jnp.int32), scores, jax.nn.one_hot(models, scores.shape[-1]))
