r"""Distillation from a teacher's logits: divergences of next-token distributions, and their loss, streamed.

A divergence is a function of two arrays of logits over one vocabulary, ``[..., V]``, that gives nats per token,
``[...]``, in float32. No gradient flows to the teacher. Formulas write :math:`p` for the teacher's distribution and
:math:`q` for the student's. A word that a model rules out (a logit of -inf) counts as one of log-probability -1e6:
where a divergence is infinite, that is a large number with a slope instead of NaN.

:func:`divergence_loss` takes hidden states and output matrices instead, so that neither model's logits of a complete
batch exist. Both need the teacher's weights and the student's tokenizer; from a teacher's text alone learn with
:func:`jaxalign.losses.cross_entropy_loss` or the losses of :mod:`jaxalign.losses.calibration`.

Which texts the tokens come from is the caller's choice: the teacher's or a data set's, the student's own (on-policy,
as MiniLLM and GKD recommend for the reverse KL), or a mix. On the student's own texts these losses count the choice of
each token given its prefix and not what the choice does to later prefixes.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxalign import numerics
from jaxalign.typing import ReduceFn

DivergenceFn = Callable[[Array, Array], Array]
"""``divergence_fn(student_logits, teacher_logits)``: ``[..., V]`` twice to ``[...]``, nats, float32."""

# Tokens whose logits exist at once. At V = 256,000 one float32 array of them takes 256 MiB.
BLOCK_SIZE = 256
_LOWEST_LOGP = -1e6


def forward_kl_divergence(
    student_logits: Float[Array, "*batch V"], teacher_logits: Float[Array, "*batch V"]
) -> Float[Array, "*batch"]:
    r"""Computes :math:`\mathrm{KL}(p \| q) = \sum_v p_v \log(p_v / q_v)`.

    The student covers all that the teacher does.

    Args:
      student_logits: ``[..., V]``, of the student's distribution :math:`q`; -inf for a word that it rules out.
      teacher_logits: ``[..., V]``, of the teacher's distribution :math:`p`, over the same vocabulary. No gradient flows
        to them.

    Returns:
      ``[...]``, nats per token, float32; a word of probability 0 counts as one of log-probability -1e6.

    >>> print(forward_kl_divergence(jnp.log(jnp.array([0.5, 0.5])), jnp.array([0.0, -jnp.inf])))
    0.6931472

    Source: Hinton et al. (arXiv 1503.02531), up to the teacher's entropy.
    """
    student, teacher = _log_probabilities(student_logits, teacher_logits)
    return _kl(teacher, student)


def reverse_kl_divergence(
    student_logits: Float[Array, "*batch V"], teacher_logits: Float[Array, "*batch V"]
) -> Float[Array, "*batch"]:
    r"""Computes :math:`\mathrm{KL}(q \| p) = \sum_v q_v \log(q_v / p_v)`.

    The student keeps to what the teacher finds likely.

    Args:
      student_logits: ``[..., V]``, of the student's distribution :math:`q`; -inf for a word that it rules out.
      teacher_logits: ``[..., V]``, of the teacher's distribution :math:`p`, over the same vocabulary. No gradient flows
        to them.

    Returns:
      ``[...]``, nats per token, float32; a word of probability 0 counts as one of log-probability -1e6.

    >>> print(reverse_kl_divergence(jnp.array([0.0, -jnp.inf]), jnp.log(jnp.array([0.5, 0.5]))))
    0.6931472

    Source: MiniLLM (arXiv 2306.08543), the term of a single step.
    """
    student, teacher = _log_probabilities(student_logits, teacher_logits)
    return _kl(student, teacher)


def total_variation_divergence(
    student_logits: Float[Array, "*batch V"], teacher_logits: Float[Array, "*batch V"]
) -> Float[Array, "*batch"]:
    r"""Computes the total variation distance :math:`\frac12 \sum_v |p_v - q_v|`.

    It is bounded and symmetric, without slope where p = q.

    Args:
      student_logits: ``[..., V]``, of the student's distribution :math:`q`; -inf for a word that it rules out.
      teacher_logits: ``[..., V]``, of the teacher's distribution :math:`p`, over the same vocabulary. No gradient flows
        to them.

    Returns:
      ``[...]``, per token, in [0, 1], no nats; float32.

    >>> print(total_variation_divergence(jnp.zeros(2), jnp.array([0.0, -jnp.inf])))
    0.5

    Source: f-distillation (arXiv 2307.15190), total variation distance.
    """
    student, teacher = _log_probabilities(student_logits, teacher_logits)
    return 0.5 * jnp.sum(jnp.abs(jnp.exp(teacher) - jnp.exp(student)), axis=-1)


def make_js_divergence(teacher_weight: float = 0.5) -> DivergenceFn:
    r"""Makes a generalised Jensen-Shannon divergence, which lies between the two KL divergences and is bounded.

    .. math:: w \,\mathrm{KL}(p \| m) + (1 - w) \,\mathrm{KL}(q \| m), \quad m = w p + (1 - w) q

    with :math:`p` the teacher's distribution and :math:`q` the student's. At :math:`w = 1/2` it is symmetric and at
    most :math:`\log 2`. Divided by :math:`w` it becomes the forward KL as :math:`w` goes to 0, divided by :math:`1 - w`
    the reverse KL as :math:`w` goes to 1.

    Args:
      teacher_weight: :math:`w`, the teacher's share of the mixture, in (0, 1); beta in the paper.

    Returns:
      ``divergence(student_logits, teacher_logits)``, of ``[..., V]`` twice, which returns ``[...]``, nats per token,
      float32.

    Raises:
      ValueError: if ``teacher_weight`` is outside (0, 1): the formula is 0 at both ends. GKD means the KL divergences
        by beta 0 and 1, which have functions of their own here.

    >>> print(make_js_divergence()(jnp.array([0.0, -jnp.inf]), jnp.array([-jnp.inf, 0.0])))
    0.6931472

    Source: GKD (arXiv 2306.13649), equation 1.
    """
    if not 0 < teacher_weight < 1:
        raise ValueError(
            f"teacher_weight must lie in (0, 1), where the divergence is not 0, got {teacher_weight}; its limits are "
            "forward_kl_divergence (0) and reverse_kl_divergence (1)"
        )

    def js_divergence(student_logits, teacher_logits):
        student, teacher = _log_probabilities(student_logits, teacher_logits)
        mixture = jnp.logaddexp(teacher + jnp.log(teacher_weight), student + jnp.log1p(-teacher_weight))
        return teacher_weight * _kl(teacher, mixture) + (1 - teacher_weight) * _kl(student, mixture)

    return js_divergence


def with_temperature(divergence_fn: DivergenceFn, temperature: float) -> DivergenceFn:
    """Makes a divergence take both distributions at a temperature: logits are divided by it first.

    Slopes shrink with its square at high temperatures; who wants them to keep their size multiplies the loss by that.

    Args:
      divergence_fn: ``divergence_fn(student_logits, teacher_logits)``, of ``[..., V]`` twice to ``[...]``.
      temperature: above 0; above 1 it flattens both distributions.

    Returns:
      A function with the signature of ``divergence_fn``.

    Raises:
      ValueError: if ``temperature`` is not positive.

    >>> warm = with_temperature(total_variation_divergence, 2.0)
    >>> print(jnp.round(warm(jnp.zeros(2), 2 * jnp.log(jnp.array([3.0, 1.0]))), 4))
    0.25

    Source: Hinton et al. (arXiv 1503.02531), section 2.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")

    def divergence(student_logits, teacher_logits):
        # In float32: bfloat16 logits would be rounded once more.
        student_logits, teacher_logits = (x.astype(jnp.float32) for x in (student_logits, teacher_logits))
        return divergence_fn(student_logits / temperature, teacher_logits / temperature)

    return divergence


def divergence_loss(
    divergence_fn: DivergenceFn,
    student_hidden: Float[Array, "*batch D"],
    student_unembedding: Float[Array, "D V"],
    teacher_hidden: Float[Array, "*batch E"],
    teacher_unembedding: Float[Array, "E V"],
    *,
    where: Bool[Array, "*batch"] | None = None,
    student_logit_softcap: float | None = None,
    teacher_logit_softcap: float | None = None,
    block_size: int = BLOCK_SIZE,
    reduce_fn: ReduceFn = numerics.masked_mean,
) -> Any:
    """Computes a divergence of two models' next-token distributions, per token, reduced over the tokens that count.

    Logits exist for ``block_size`` tokens at a time, and the backward pass computes them again. Products take the
    inputs' dtype, sums are float32.

    Args:
      divergence_fn: called as ``divergence_fn(student_logits, teacher_logits)``, of ``[..., V]`` twice to ``[...]``,
        such as :func:`forward_kl_divergence`.
      student_hidden, teacher_hidden: ``[..., D]`` and ``[..., E]``, the states that predict each token, of the same
        tokens.
      student_unembedding, teacher_unembedding: ``[D, V]`` and ``[E, V]``, the output matrices, each of the dtype of its
        hidden states.
      where: ``[...]``, False for padding and prompts, None counts all; masked states may hold anything, NaN included.
      student_logit_softcap, teacher_logit_softcap: logits become ``cap * tanh(logits / cap)``, where a model does that;
        None leaves them.
      block_size: tokens held at once, though at least one position of every row: blocks cut the last axis of the
        tokens, so that rows may be sharded over devices.
      reduce_fn: called as ``reduce_fn(values, where=mask)`` on the losses of the tokens. The default is their mean, 0
        if no token counts.

    Returns:
      What ``reduce_fn`` returns; by default a float32 scalar, in nats per token where the divergence is.

    Raises:
      ValueError: if the vocabularies or the tokens of the two differ, or ``block_size`` is less than 1.

    >>> hidden, unembedding = jnp.ones((2, 3, 1)), jnp.log(jnp.array([[0.5, 0.5]]))
    >>> teacher = jnp.ones((2, 3, 1)), jnp.log(jnp.array([[0.75, 0.25]]))
    >>> print(jnp.round(divergence_loss(total_variation_divergence, hidden, unembedding, *teacher), 4))
    0.25
    """
    tokens = student_hidden.shape[:-1]
    _check(tokens, teacher_hidden.shape[:-1], student_unembedding.shape[1], teacher_unembedding.shape[1], block_size)
    where = jnp.ones(tokens, bool) if where is None else where
    # Before any arithmetic, so that NaN in padding reaches neither value nor gradient.
    student_hidden, teacher_hidden = (jnp.where(where[..., None], x, 0) for x in (student_hidden, teacher_hidden))
    student_readout = _readout(student_unembedding, student_logit_softcap)
    teacher_readout = _readout(teacher_unembedding, teacher_logit_softcap)

    def at_position(hidden):
        student, teacher = hidden
        return divergence_fn(student_readout(student), teacher_readout(teacher))

    return reduce_fn(_over_positions(at_position, (student_hidden, teacher_hidden), block_size), where=where)


def _log_probabilities(student_logits, teacher_logits):
    def log_probabilities(logits):
        return jnp.maximum(jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1), _LOWEST_LOGP)

    return log_probabilities(student_logits), log_probabilities(jax.lax.stop_gradient(teacher_logits))


def _kl(logps, other_logps):
    return jnp.sum(jnp.exp(logps) * (logps - other_logps), axis=-1)


def _check(student_tokens, teacher_tokens, student_vocabulary, teacher_vocabulary, block_size):
    if student_tokens != teacher_tokens:
        raise ValueError(f"expected both models' states of the same tokens, got {student_tokens} and {teacher_tokens}")
    if student_vocabulary != teacher_vocabulary:
        raise ValueError(
            f"expected one vocabulary for both models, got {student_vocabulary} and {teacher_vocabulary} columns; cut "
            "the padding of output matrices if their tokenizer is the same, and learn from text if it is not"
        )
    if block_size < 1:
        raise ValueError(f"expected one token or more to a block, got block_size={block_size}")


def _readout(unembedding, softcap):
    # Held in float32, because the gradient is added up over blocks in the dtype of what the loop reads.
    wide = unembedding.astype(jnp.float32)

    def logits(hidden):
        logits = jnp.matmul(hidden, wide.astype(unembedding.dtype), preferred_element_type=jnp.float32)
        return logits if softcap is None else softcap * jnp.tanh(logits / softcap)

    return logits


def _over_positions(function, arrays, block_size):
    """``function`` of arrays ``[*rows, D]`` at each position of ``[*rows, L, D]``, in blocks; ``[*rows, L]``."""
    if arrays[0].ndim == 1:
        return function(arrays)
    by_position = jax.tree.map(lambda array: jnp.moveaxis(array, -2, 0), arrays)
    rows = max(1, math.prod(arrays[0].shape[:-2]))
    # Within a loop nothing can be merged across the checkpoint, so that its barriers would only cost.
    recomputed = jax.checkpoint(function, prevent_cse=False)
    return jnp.moveaxis(jax.lax.map(recomputed, by_position, batch_size=max(1, block_size // rows)), 0, -1)
