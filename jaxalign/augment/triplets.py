r"""RRM triplets: under the prompt of example i, its responses against those of examples j and k with other prompts.

A reward model that only ever sees two answers to one prompt may judge them by what they have apart from it (length,
format, phrases). These triplets set such cues against the prompt: the own response wins whatever it looks like, and of
two answers to something else neither does.

Source: RRM (arXiv 2409.13156); the table is that of its co-authors' public augmentation code.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

COLUMNS = (
    ("wi", "wj"),
    ("wi", "wk"),
    ("wi", "lj"),
    ("wi", "lk"),
    ("li", "wj"),
    ("li", "wk"),
    ("li", "lj"),
    ("li", "lk"),
    ("wj", "lj"),
    ("wk", "lk"),
    ("wj", "wk"),
    ("wj", "lk"),
    ("wk", "lj"),
    ("lj", "lk"),
)
"""What the 14 columns pair: w is the chosen and l the rejected response of example i, j or k.

Eight non-contextual ones, of which the one named first wins, then six neutral ones, which are ties.
"""

NEUTRAL = tuple("i" not in left + right for left, right in COLUMNS)
"""True for the columns that are ties."""


class Triplets(NamedTuple):
    """Pairs of responses under prompts, by index; ``-1`` stands for no example where ``valid`` is False."""

    prompt: Int[Array, "*rows"]  # the example whose prompt (with all of its context) it is
    first_example: Int[Array, "*rows"]
    first_is_chosen: Bool[Array, "*rows"]  # the chosen response of that example, or the rejected one
    second_example: Int[Array, "*rows"]
    second_is_chosen: Bool[Array, "*rows"]
    target: Float[Array, "*rows"]  # the probability that the first wins: 1, 0.5 or 0
    valid: Bool[Array, "*rows"]

    def take(self, rows) -> "Triplets":
        """The rows of an index, slice or mask."""
        return Triplets(*(column[rows] for column in self))


def rrm_triplets(
    key: PRNGKeyArray,
    prompt_ids: Int[Array, "n"],
    *,
    response_ids: Int[Array, "n 2"] | None = None,
    is_tie: Bool[Array, "n"] | None = None,
    excluded: Bool[Array, "n"] | None = None,
) -> Triplets:
    """Makes the 14 triplets of each of n examples, in the order of :data:`COLUMNS`, their sides drawn for each.

    Every example i draws two others: j, uniformly among the examples with another prompt than i, then k, uniformly
    among those with another prompt than both. So the three differ, and so do their prompts. This takes three different
    prompts, and no more: with fewer nothing is valid.

    Args:
      key: consumed.
      prompt_ids: ``[n]``, any integers, equal for equal prompts.
      response_ids: ``[n, 2]``, of the chosen and the rejected response, equal for equal texts. Given these, a triplet
        of two equal texts is not valid, nor one with a response of j or k that reads like one of i: it is not foreign
        to the prompt, and could bring back the pair of i as a tie or the wrong way round.
      is_tie: ``[n]``, examples whose two responses are equally good. Neither may become a winner, so under their own
        prompt only the neutral triplets are valid. For others they are drawn as j and k: there they lose or tie.
      excluded: ``[n]``, examples that take no part, neither as i nor as j or k. This is for sources where a generic
        refusal is a fine answer: such a response does not lose under another prompt, and others may be right under
        theirs.

    Returns:
      Triplets of arrays ``[n, 14]``.

    Source: RRM (arXiv 2409.13156).
    """
    count = prompt_ids.shape[0]
    drawable = jnp.ones(count, bool) if excluded is None else ~excluded
    key_others, key_sides = jax.random.split(key)
    others, found = _draw_two_others(key_others, prompt_ids, drawable)
    examples = jnp.concatenate([jnp.arange(count)[:, None], others], axis=1)
    (left, left_chosen), (right, right_chosen) = _roles(0), _roles(1)
    valid = jnp.broadcast_to(found[:, None], (count, len(COLUMNS)))
    if is_tie is not None:
        valid &= ~is_tie[:, None] | np.array(NEUTRAL)[None, :]
    if response_ids is not None:
        texts = jnp.where(found[:, None, None], response_ids[examples], 0)  # [n, 3, 2]
        valid &= _are_foreign(texts, left, left_chosen) & _are_foreign(texts, right, right_chosen)
        valid &= _text(texts, left, left_chosen) != _text(texts, right, right_chosen)

    swapped = jax.random.bernoulli(key_sides, shape=valid.shape)
    left, right = jnp.where(valid, examples[:, left], -1), jnp.where(valid, examples[:, right], -1)
    wins = jnp.where(np.array(NEUTRAL)[None, :], 0.5, jnp.where(swapped, 0.0, 1.0))
    return Triplets(
        prompt=jnp.broadcast_to(jnp.arange(count)[:, None], valid.shape),
        first_example=jnp.where(swapped, right, left),
        first_is_chosen=jnp.where(swapped, right_chosen[None, :], left_chosen[None, :]),
        second_example=jnp.where(swapped, left, right),
        second_is_chosen=jnp.where(swapped, left_chosen[None, :], right_chosen[None, :]),
        target=wins.astype(jnp.float32),
        valid=valid,
    )


def _roles(side: int) -> tuple[Int[np.ndarray, "14"], Bool[np.ndarray, "14"]]:
    """Which of i, j and k the columns name on one side, and whether it is its chosen response."""
    names = [column[side] for column in COLUMNS]
    return np.array(["ijk".index(name[1]) for name in names]), np.array([name[0] == "w" for name in names])


def _text(texts: Int[Array, "n 3 2"], roles, chosen) -> Int[Array, "n 14"]:
    return texts[:, roles, np.where(chosen, 0, 1)]


def _are_foreign(texts: Int[Array, "n 3 2"], roles, chosen) -> Bool[Array, "n 14"]:
    """False where a response of another example reads like one of example i."""
    same = jnp.any(_text(texts, roles, chosen)[:, :, None] == texts[:, None, 0, :], axis=-1)
    return ~same | (roles == 0)[None, :]


def _draw_two_others(
    key: PRNGKeyArray, prompt_ids: Int[Array, "n"], drawable: Bool[Array, "n"]
) -> tuple[Int[Array, "n 2"], Bool[Array, "n"]]:
    """Two examples with other prompts than each example and than each other, and whether they could be drawn.

    Sorted by prompt, the examples of one prompt are a block. A number below how many lie outside some blocks becomes
    the position of one of them by stepping over each block, from the left, that starts at or before it.
    """
    count = prompt_ids.shape[0]
    order = jnp.lexsort((prompt_ids, ~drawable))  # those that cannot be drawn come last
    start, size, blocks = _blocks(prompt_ids[order], drawable[order])
    total = jnp.sum(drawable)
    found = drawable[order] & (blocks >= 3)
    key_j, key_k = jax.random.split(key)

    j = jax.random.randint(key_j, (count,), 0, jnp.maximum(total - size, 1))
    j = jnp.where(found, j + jnp.where(j >= start, size, 0), 0)

    k = jax.random.randint(key_k, (count,), 0, jnp.maximum(total - size - size[j], 1))
    mine_is_left = start < start[j]
    left, right = jnp.minimum(start, start[j]), jnp.maximum(start, start[j])
    k += jnp.where(k >= left, jnp.where(mine_is_left, size, size[j]), 0)
    k += jnp.where(k >= right, jnp.where(mine_is_left, size[j], size), 0)
    k = jnp.where(found, k, 0)

    back = jnp.argsort(order)
    return jnp.stack([order[j], order[k]], axis=1)[back], found[back]


def _blocks(
    ids: Int[Array, "n"], drawable: Bool[Array, "n"]
) -> tuple[Int[Array, "n"], Int[Array, "n"], Int[Array, ""]]:
    """Where the block of each sorted example starts, its size, and how many blocks can be drawn from."""
    positions = jnp.arange(len(ids))
    changes = (ids[1:] != ids[:-1]) | (drawable[1:] != drawable[:-1])
    edge = jnp.ones(min(1, len(ids)), bool)
    first, last = jnp.concatenate([edge, changes]), jnp.concatenate([changes, edge])
    start = jax.lax.cummax(jnp.where(first, positions, 0))
    end = jax.lax.cummin(jnp.where(last, positions + 1, len(ids)), reverse=True)
    return start, end - start, jnp.sum(first & drawable)
