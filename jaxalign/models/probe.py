"""A linear probe: embeddings of a frozen network, and a logistic regression on them that is fitted to convergence."""

import functools
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxalign.models.config import EncoderConfig
from jaxalign.models.pooling import Pooling, pool_states
from jaxalign.typing import Params, TextBatch

SLOPE = 1e-5  # the largest entry of the gradient at which the regression is fitted
SPARSE = 0.2  # the share of entries that are not 0 below which only those are kept, for instance counts of words
LEAST_SLOPE = 1e-3  # the one that is good enough where rounding ends the search

Embeddings = Float[Array, "N D"] | Float[np.ndarray, "N D"]


class Probe(NamedTuple):
    """A multinomial logistic regression: its logits are ``embeddings @ weights + bias``, ``[N, C]``."""

    weights: Float[np.ndarray, "D C"]
    bias: Float[np.ndarray, "C"]


def fit_probe(
    embeddings: Embeddings,
    labels: Int[Array, "N"] | Int[np.ndarray, "N"],
    *,
    num_classes: int,
    inverse_penalty: float = 1.0,
    max_steps: int = 10_000,
) -> Probe:
    r"""Fits a multinomial logistic regression with an L2 penalty to convergence, by L-BFGS in float64 on the host.

    .. math:: \min_{W, b} \; C \sum_n -\log \text{softmax}(W^\top x_n + b)_{y_n} + \frac{1}{2} \|W\|^2

    Here :math:`x_n` are the embeddings, :math:`y_n` the labels and :math:`C` the inverse penalty. The bias is not
    penalised, and sums to 0. Of two classes the first has weights and bias 0, so that the second's are those of a
    binary regression and the penalty is that of one vector, as in scikit-learn. In float32 the flat directions of
    hundreds of dimensions would be wrong in the second digit.

    Args:
      embeddings: ``[N, D]``, finite, any scale.
      labels: ``[N]``, the class of each text, 0 to ``num_classes`` - 1.
      num_classes: how many classes there are, at least 2; one without a text is one that the probe finds unlikely.
      inverse_penalty: :math:`C`, above 0: the higher, the weaker the penalty. scikit-learn's ``C``.
      max_steps: the most steps of L-BFGS.

    Returns:
      The fitted probe, float32.

    Raises:
      ValueError: fewer than two classes, labels that are none of them, or a penalty that is not above 0.
      RuntimeError: it has not converged after ``max_steps``.

    Source: AttrPrompt (arXiv 2306.15895), the linear probe; ``sklearn.linear_model.LogisticRegression``.
    """
    import scipy.optimize
    import scipy.sparse

    x, labels = np.asarray(embeddings, np.float64), np.asarray(labels)
    _check(x, labels, num_classes, inverse_penalty)
    if np.count_nonzero(x) < SPARSE * x.size:
        x = scipy.sparse.csr_array(x)
    columns = 1 if num_classes == 2 else num_classes
    found = scipy.optimize.minimize(
        _loss_and_slope,
        np.zeros((x.shape[1] + 1) * columns),
        (x, labels, inverse_penalty),
        method="L-BFGS-B",
        jac=True,
        options={"maxiter": max_steps, "maxfun": 2 * max_steps, "gtol": SLOPE, "ftol": 0.0, "maxcor": 20},
    )
    if (slope := np.abs(found.jac).max()) > LEAST_SLOPE:
        raise RuntimeError(
            f"the regression has not converged after {found.nit} steps (largest entry of the gradient {slope:.1e}); "
            f"give embeddings of about unit scale, a smaller inverse_penalty (now {inverse_penalty}) or more max_steps"
        )
    fitted = found.x.reshape(-1, columns)
    if num_classes == 2:
        fitted = np.concatenate([np.zeros_like(fitted), fitted], axis=1)
    else:
        fitted[-1] -= fitted[-1].mean()
    return Probe(fitted[:-1].astype(np.float32), fitted[-1].astype(np.float32))


def probe_logits(probe: Probe, embeddings: Embeddings) -> Float[Array, "N C"]:
    """Computes a probe's logits of each class.

    Args:
      probe: from :func:`fit_probe`.
      embeddings: ``[N, D]``, of the network that it was fitted on.

    Returns:
      ``[N, C]``, of a softmax.
    """
    logits = jnp.asarray(embeddings) @ probe.weights
    return logits + jnp.broadcast_to(probe.bias, logits.shape)


def embed_rows(
    model, params: Params, tokens: Int[Array, "B L"], mask: Bool[Array, "B L"], *, pooling: Pooling = "mean"
) -> Float[Array, "B D"]:
    """Computes one embedding for each row of tokens from a network's last states.

    Args:
      model: an encoder or a decoder, as ``models.build`` makes it.
      params: its parameters.
      tokens: ``[B, L]``, one text in each row.
      mask: ``[B, L]``, True for real tokens.
      pooling: ``"mean"`` averages over real tokens, as sentence encoders such as MiniLM do; ``"first"`` takes the first
        token's state, without a pooler, and ``"last"`` the last one's.

    Returns:
      ``[B, D]``, float32; a row without a real token has 0 with ``"mean"`` and no meaning otherwise.

    Raises:
      ValueError: another ``pooling``, or rows longer than the network has positions for.
    """
    method = None if isinstance(model.config, EncoderConfig) else model.hidden
    hidden = model.apply({"params": params}, tokens, mask=mask, method=method)
    return pool_states(hidden, mask, pooling).astype(jnp.float32)


def embed_texts(
    model, params: Params, batches: Iterable[TextBatch], *, pooling: Pooling = "mean", normalize: bool = False
) -> Float[np.ndarray, "N D"]:
    """Computes the embedding of every text of some batches, in their order.

    Args:
      model: an encoder or a decoder, as ``models.build`` makes it.
      params: its parameters.
      batches: the texts, for instance from :func:`jaxalign.data.ordered_text_batches`; rows where ``where`` is False
        are left out. Each shape of a batch is compiled once.
      pooling: ``"mean"``, ``"first"`` or ``"last"``, see :func:`embed_rows`.
      normalize: divide each embedding by its norm.

    Returns:
      ``[N, D]``, float32.

    Raises:
      ValueError: there is no batch, another ``pooling``, or rows longer than the network has positions for.
    """
    parts = [
        np.asarray(_embed_rows(model, pooling, params, batch.tokens, batch.mask))[np.asarray(batch.where)]
        for batch in batches
    ]
    if not parts:
        raise ValueError("expected one batch or more, got none")
    embeddings = np.concatenate(parts)
    if not normalize:
        return embeddings
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.divide(embeddings, norms, out=np.zeros_like(embeddings), where=norms > 0)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _embed_rows(model, pooling, params, tokens, mask):
    return embed_rows(model, params, tokens, mask, pooling=pooling)


def _loss_and_slope(flat, x, labels, inverse_penalty) -> tuple[float, np.ndarray]:
    """The objective and its gradient; one column of weights stands for the second of two classes."""
    columns = len(flat) // (x.shape[1] + 1)
    weights, bias = flat.reshape(-1, columns)[:-1], flat.reshape(-1, columns)[-1]
    logits = x @ weights + bias
    if columns == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    logits -= logits.max(axis=1, keepdims=True)
    logps = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    loss = -inverse_penalty * logps[rows, labels].sum() + 0.5 * np.sum(weights**2)
    slope = inverse_penalty * np.exp(logps)
    slope[rows, labels] -= inverse_penalty
    slope = slope[:, -columns:]
    return loss, np.concatenate([x.T @ slope + weights, slope.sum(axis=0, keepdims=True)]).ravel()


def _check(x, labels, num_classes, inverse_penalty) -> None:
    low, high = labels.min(initial=0), labels.max(initial=0)
    if num_classes < 2 or low < 0 or high >= num_classes or not inverse_penalty > 0 or not len(labels):
        raise ValueError(
            f"expected texts of two or more classes, labels from 0 to their number - 1 and an inverse penalty above 0, "
            f"got {len(labels)} texts, {num_classes} classes, labels from {low} to {high} and {inverse_penalty}; leave "
            f"out texts without a label"
        )
    if not np.isfinite(x).all():
        raise ValueError(
            f"expected finite embeddings, got {(~np.isfinite(x)).any(axis=1).sum()} of {len(x)} rows that are not; "
            f"look at the network's parameters"
        )
