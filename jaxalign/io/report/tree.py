"""A section for what stands below other things: classes, folders, steps."""

import collections
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Node:
    """One thing in a :class:`Tree`.

    Attributes:
      name: its name, which others may have too.
      parents: what it stands below, by their places among the nodes of the tree; () for a root. It is shown below the
        first of them, and as a link to there below the others.
      figures: short numbers, texts or :class:`Estimate` by name, shown beside the name in columns.
      facts: texts, numbers, or lists of texts by name, as in :class:`Facts`, shown once the node is opened.
      samples: texts by what they are, as in :class:`Texts`, shown once the node is opened.
    """

    name: str
    parents: Sequence[int] = ()
    figures: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    samples: Sequence[Mapping[str, str]] = ()


@dataclasses.dataclass(frozen=True)
class Tree:
    """A section with nodes that a reader opens one by one; a node may stand below several others.

    At first the roots are open, down to their children. Each node is shown whole in one place.

    Attributes:
      title: the heading.
      nodes: what there is; nodes of one parent are shown in this order.
      caption: what to see.

    Raises:
      ValueError: a parent that is no node or stands twice, or a node that stands below itself.
    """

    title: str
    nodes: Sequence[Node]
    caption: str = ""
    template = "tree.html"

    def __post_init__(self):
        for node in self.nodes:
            if strange := [place for place in node.parents if not 0 <= place < len(self.nodes)]:
                raise ValueError(
                    f"parents of {node.name!r}: expected places from 0 to {len(self.nodes) - 1}, got {strange}; add "
                    "the nodes that are missing, or take the parents out"
                )
            if len(set(node.parents)) < len(node.parents):
                raise ValueError(f"parents of {node.name!r}: expected each once, got {tuple(node.parents)}")
        if left := self._without_root():
            names = ", ".join(repr(self.nodes[place].name) for place in left[:5])
            raise ValueError(f"expected a way from roots to every node, got a cycle at or above {names}; break it")

    @functools.cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of all figures, in the order in which nodes name them first."""
        return tuple(dict.fromkeys(name for node in self.nodes for name in node.figures))

    @functools.cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """The places of what stands right below each node, whether it is shown there or linked."""
        children: list[list[int]] = [[] for _ in self.nodes]
        for place, node in enumerate(self.nodes):
            for parent in node.parents:
                children[parent].append(place)
        return tuple(map(tuple, children))

    @property
    def roots(self) -> tuple[int, ...]:
        """The places of the nodes that stand below nothing."""
        return tuple(place for place, node in enumerate(self.nodes) if not node.parents)

    @property
    def linked(self) -> bool:
        """Says whether some node stands below several, so that there are links."""
        return any(len(node.parents) > 1 for node in self.nodes)

    def path(self, place: int) -> str:
        """Returns the names from a root down to where a node is shown whole.

        Args:
          place: of the node.
        """
        names = [self.nodes[place].name]
        while parents := self.nodes[place].parents:
            place = parents[0]
            names.append(self.nodes[place].name)
        return " > ".join(reversed(names))

    def _without_root(self) -> list[int]:
        """The places of the nodes on cycles, and of those below."""
        waiting = [len(node.parents) for node in self.nodes]
        ready = collections.deque(self.roots)
        while ready:
            for child in self.children[ready.popleft()]:
                waiting[child] -= 1
                if not waiting[child]:
                    ready.append(child)
        return [place for place, count in enumerate(waiting) if count]
