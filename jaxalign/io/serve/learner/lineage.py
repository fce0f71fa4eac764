"""Versions of the policy in the store: saved, put into use, and taken back."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxalign.io.serve.learner.buffers import HeldOut
from jaxalign.io.serve.learner.comparing import Compared, Dials, compare
from jaxalign.io.serve.store.protocol import Store
from jaxalign.io.serve.worker.policies import INITIAL, Ground, first_policy, pack_policy, unpack_policy
from jaxalign.serving import Policy

GENERATIONS = 4  # predecessors that the version in use is compared with


class Lineage:
    """The version in use, and those that it came from.

    Args:
      store: where they are.
      ground: models and embedder.
      dials: what rewards and choices are made with.
    """

    def __init__(self, store: Store, ground: Ground, dials: Dials):
        self._store, self._ground, self._dials = store, ground, dials
        self._first = first_policy(ground)
        self._read: dict[str, Policy] = {INITIAL: self._first}
        self.version, self.policy = INITIAL, self._first

    def follow(self, version: str, policy: Policy) -> bool:
        """Goes on from the version in use, and says whether it is another one than before.

        Args:
          version: its name.
          policy: what it has learnt.
        """
        if version == self.version:
            return False
        self.version, self.policy = version, policy
        return True

    def offer(self, policy: Policy, rows: Sequence[HeldOut], note: Mapping[str, Any]) -> bool:
        """Saves a version, and puts it into use unless it is clearly worse than the one in use.

        Args:
          policy: what was learnt.
          rows: ratings that it has not learnt from.
          note: what to remember with it.

        Returns:
          Whether it is in use.
        """
        compared = compare(policy, self.policy, rows, self._dials)
        chosen = compared is None or not compared.worse
        note = {**note, "after": self.version, "chosen": chosen, **_figures(compared)}
        version, data = pack_policy(policy, self._ground, note)
        if version == self.version:
            return True
        self._store.save_policy(version, data, note)
        if chosen:
            self._store.choose_policy(version)
            self.version, self.policy = version, policy
        return chosen

    def take_back(self, rows: Sequence[HeldOut]) -> str | None:
        """Puts a predecessor into use again where the version in use is clearly worse, and returns its name.

        It is saved once more under a name of its own, with a note that says why.

        Args:
          rows: ratings that no version has learnt from.
        """
        notes = {each.name: each.note for each in self._store.list_policies()}
        found: tuple[Compared, str] | None = None
        for version in self._predecessors(notes):
            compared = compare(self.policy, self._load(version), rows, self._dials)
            if compared is not None and compared.worse and (found is None or compared.other > found[0].other):
                found = compared, version
        if found is None:
            return None
        compared, version = found
        policy = self._load(version)
        note = {
            "after": notes.get(version, {}).get("after", INITIAL),
            "again": version,
            "taken_back": self.version,
            "chosen": True,
            **_figures(compared._replace(value=compared.other, other=compared.value)),
        }
        name, data = pack_policy(policy, self._ground, note)
        name = f"{name}-{self.version[:8]}"
        self._store.save_policy(name, data, note)
        self._store.choose_policy(name)
        self.version, self.policy = name, policy
        return name

    def _predecessors(self, notes: Mapping[str, Mapping[str, Any]]) -> list[str]:
        found, version = [], self.version
        while len(found) < GENERATIONS and (version := notes.get(version, {}).get("after")) is not None:
            if version != INITIAL and version not in notes:  # too old to be kept
                break
            found.append(version)
        self._read = {name: policy for name, policy in self._read.items() if name in (INITIAL, *found)}
        return found

    def _load(self, version: str) -> Policy:
        if version not in self._read:
            data = self._store.read_policy(version)
            self._read[version], _ = unpack_policy(data, version, self._first, self._ground)
        return self._read[version]


def _figures(compared: Compared | None) -> dict[str, Any]:
    if compared is None:
        return {}
    return {"value": compared.value, "value_before": compared.other, "held_out": compared.rows}
