"""Feedback as arrays: what the router and the proxy model learn from, and the rows by which policies are compared.

A hash of an interaction's id decides whether its ratings and comparisons are held out: they are never trained on.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxalign import serving
from jaxalign.io.serve.store.rows import Interaction, Told
from jaxalign.io.serve.worker.policies import Ground
from jaxalign.serving import ExampleTable, PairBuffer, Policy, ReplayBuffer, RouterFeedback, policy_learning
from jaxalign.serving.combination import MOST_EXAMPLES

ROWS = 64  # that are added at once
MOST_HELD_OUT = 2000


class HeldOut(NamedTuple):
    """A rating that nothing is learnt from."""

    context: np.ndarray  # [F]
    model: int
    rating: float  # 0 to 1
    cost: float  # of the model, 0 to 1
    propensity: float
    user: int
    owners: tuple[int, ...]


class Sorted(NamedTuple):
    """Feedback by what it is for."""

    training: list[Told]
    probes: list[Told]
    held_out: list[Told]
    skipped: int  # of another embedder, or a model that is there no more


def is_held_out(interaction: str, share: float) -> bool:
    """Says whether feedback on an interaction is held out.

    Args:
      interaction: its id.
      share: of the interactions that are.
    """
    drawn = hashlib.blake2b(interaction.encode(errors="replace"), digest_size=8, person=b"held out").digest()
    return int.from_bytes(drawn, "big") < share * 2**64


class Buffers:
    """What is kept of feedback; it is rebuilt from the store when a learner begins.

    Args:
      ground: the models and the embedder that feedback must be of.
      share: of the interactions that are held out.
    """

    def __init__(self, ground: Ground, share: float):
        self._ground, self._share = ground, share
        self._models: Mapping[str, int] = {name: place for place, name in enumerate(ground.models)}
        self._width = serving.context_width(ground.width)
        self.router: ReplayBuffer = serving.init_buffer(
            policy_learning.FEEDBACK, self._width, serving.RouterConfig().members
        )
        self.pairs: PairBuffer = serving.init_pairs(policy_learning.PAIRS, ground.width)
        self.held_out: dict[str, HeldOut] = {}  # by interaction, the latest last

    def sort(self, told: Iterable[Told]) -> Sorted:
        """Returns feedback by what it is for.

        Args:
          told: the feedback.
        """
        found = Sorted([], [], [], 0)
        for each in told:
            if not self._is_ours(each):
                found = found._replace(skipped=found.skipped + 1)
            elif each.feedback.kind == "probe":
                found.probes.append(each)
            elif is_held_out(each.interaction.id, self._share):
                found.held_out.append(each)
            else:
                found.training.append(each)
        return found

    def add(self, policy: Policy, found: Sorted, table: ExampleTable, place: Callable[[int], int]) -> Policy:
        """Keeps feedback, and returns the policy with its comparisons counted.

        Args:
          policy: what was learnt.
          found: from :meth:`sort`.
          table: the examples.
          place: returns the row of an example by the store's id; -1 for none.
        """
        for first in range(0, len(found.training), ROWS):
            policy = self._add_training(policy, found.training[first : first + ROWS])
        for first in range(0, len(found.probes), ROWS):
            self._add_probes(found.probes[first : first + ROWS], table, place)
        for each in found.held_out:
            self._hold_out(each)
        return policy

    def forget_user(self, user: int) -> None:
        """Forgets feedback on a user's requests, and on those that were shown the user's examples.

        Args:
          user: its number.
        """
        self.router = serving.forget_feedback(self.router, user)
        self.pairs = self.pairs._replace(pairs=serving.forget_pairs(self.pairs.pairs, user))
        self.held_out = {
            name: each for name, each in self.held_out.items() if each.user != user and user not in each.owners
        }

    def _is_ours(self, told: Told) -> bool:
        about, feedback = told.interaction, told.feedback
        known = about.model in self._models and (feedback.kind != "comparison" or feedback.subject in self._models)
        return known and about.embedder == self._ground.embedder and len(about.context) == 4 * self._width

    def _add_training(self, policy: Policy, told: Sequence[Told]) -> Policy:
        about = [each.interaction for each in told]
        opponents = [self._models.get(each.feedback.subject, -1) for each in told]
        feedback = RouterFeedback(
            contexts=_padded(np.stack([_floats(each.context) for each in about])),
            models=_padded(np.array([self._models[each.model] for each in about], np.int32)),
            opponents=_padded(np.array(opponents, np.int32)),
            outcomes=_padded(np.array([each.feedback.outcome for each in told], np.float32)),
            users=_padded(np.array([each.user for each in about], np.int32)),
            owners=_padded(np.array([_owners(each) for each in about], np.int32)),
        )
        policy, self.router = _add_feedback(policy, self.router, feedback, _where(told), _key(told))
        return policy

    def _add_probes(self, told: Sequence[Told], table: ExampleTable, place: Callable[[int], int]) -> None:
        ids = [place(int(each.feedback.subject)) for each in told]
        self.pairs = _add_pairs(
            table,
            self.pairs,
            _padded(np.stack([_floats(each.interaction.query) for each in told])),
            np.where(_where(told), _padded(np.array(ids, np.int32)), -1),
            _padded(np.array([each.feedback.outcome for each in told], np.float32)),
            _padded(np.array([each.interaction.user for each in told], np.int32)),
        )

    def _hold_out(self, told: Told) -> None:
        about = told.interaction
        # Where a client named the model, or a fallback answered, no policy chose it: that says nothing of policies.
        if told.feedback.kind != "rating" or not about.policy or not 0 < about.propensity < 1:
            return
        self.held_out.pop(about.id, None)
        self.held_out[about.id] = HeldOut(
            context=_floats(about.context),
            model=self._models[about.model],
            rating=told.feedback.outcome,
            cost=about.cost,
            propensity=about.propensity,
            user=about.user,
            owners=about.owners,
        )
        while len(self.held_out) > MOST_HELD_OUT:
            del self.held_out[next(iter(self.held_out))]


_add_feedback = jax.jit(policy_learning.add_feedback)
_add_pairs = jax.jit(policy_learning.add_pairs)


def _padded(rows: np.ndarray) -> np.ndarray:
    return rows[np.minimum(np.arange(ROWS), len(rows) - 1)]


def _where(told: Sequence[Told]) -> np.ndarray:
    return np.arange(ROWS) < len(told)


def _key(told: Sequence[Told]):
    return jax.random.fold_in(jax.random.key(0), jnp.uint32(told[-1].seq % 2**32))


def _floats(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.float32)


def _owners(about: Interaction) -> tuple[int, ...]:
    return (*about.owners, *[-1] * MOST_EXAMPLES)[:MOST_EXAMPLES]
