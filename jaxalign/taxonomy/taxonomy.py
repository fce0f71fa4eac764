"""Classes and what stands above what: a directed acyclic graph with several roots, classes by their numbers."""

import collections
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Array, Bool, Int

from jaxalign.prompting import letters

Classes = tuple[int, ...]
MOST_PATHS = 1_000_000


@dataclasses.dataclass(frozen=True)
class Taxonomy:
    """Classes by their numbers, from 0, with the parents of each; a class may have several parents, or none.

    Whatever has no parent is a root, and whatever has no child a leaf; a class can be both. Ids tell classes apart and
    names are what prompts say: two classes may share a name if they share no parent. One class below two parents is
    one class, with one id. What a reader makes of files is in :func:`taxonomy_from_rows` and its neighbours.

    All that follows from these fields is worked out on first use and kept; arrays cannot be written to.

    Attributes:
      names: the readable name of each class, such as ``"skin care"``.
      parents: for each class the numbers of its parents, in the order of the file; () for a root.
      ids: the id of each class, such as ``"skin_care"``, no two alike; () for the names.

    Raises:
      ValueError: no class at all, a cycle, a parent that is no class, an id or a parent twice, siblings of one name, or
        names that are blank or more than a line; the message has the class and the remedy.

    >>> taxonomy = Taxonomy(("animal", "pet", "dog", "stone"), ((), (0,), (0, 1), ()))
    >>> taxonomy.roots, taxonomy.leaves, taxonomy.levels.tolist(), taxonomy.paths
    ((0, 3), (2, 3), [0, 1, 2, 0], ((0, 1, 2), (0, 2), (3,)))
    """

    names: tuple[str, ...]
    parents: tuple[Classes, ...]
    ids: tuple[str, ...] = ()

    def __post_init__(self):
        if not self.ids:
            object.__setattr__(self, "ids", self.names)
        _check_lengths(self)
        _check_texts(self)
        _check_parents(self)
        _check_siblings(self)
        self.levels  # noqa: B018 - a cycle is found here

    def __len__(self) -> int:
        """Returns the number of classes."""
        return len(self.names)

    @functools.cached_property
    def children(self) -> tuple[Classes, ...]:
        """The numbers of each class's children, ascending."""
        children: list[list[int]] = [[] for _ in self.names]
        for child, parents in enumerate(self.parents):
            for parent in parents:
                children[parent].append(child)
        return tuple(map(tuple, children))

    @functools.cached_property
    def roots(self) -> Classes:
        """The classes without a parent, ascending."""
        return tuple(number for number, parents in enumerate(self.parents) if not parents)

    @functools.cached_property
    def leaves(self) -> Classes:
        """The classes without a child, ascending."""
        return tuple(number for number, children in enumerate(self.children) if not children)

    @functools.cached_property
    def levels(self) -> Int[np.ndarray, "C"]:
        """The level of each class, ``[C]``: 0 for a root, else one below its lowest parent (the longest way up)."""
        levels = np.zeros(len(self), int)
        waiting = np.array(list(map(len, self.parents)))
        ready = collections.deque(self.roots)
        done = 0
        while ready:
            done += 1
            parent = ready.popleft()
            for child in self.children[parent]:
                levels[child] = max(levels[child], levels[parent] + 1)
                waiting[child] -= 1
                if not waiting[child]:
                    ready.append(child)
        if done < len(self):
            raise ValueError(_describe_cycle(self, set(np.flatnonzero(waiting).tolist())))
        return _fixed(levels)

    @property
    def depth(self) -> int:
        """The number of levels."""
        return int(self.levels.max()) + 1

    @functools.cached_property
    def ancestors(self) -> Bool[np.ndarray, "C C"]:
        """True at ``[c, a]`` where class a is class c or stands anywhere above it."""
        closure = np.eye(len(self), dtype=bool)
        for number in np.argsort(self.levels, kind="stable"):
            closure[number] |= closure[list(self.parents[number])].any(axis=0)
        return _fixed(closure)

    @functools.cached_property
    def descendants(self) -> Bool[np.ndarray, "C C"]:
        """True at ``[c, d]`` where class d is class c or stands anywhere below it: the ancestors, transposed."""
        return self.ancestors.T

    @functools.cached_property
    def paths(self) -> tuple[Classes, ...]:
        """Every way from a root down to a leaf, in the order of a walk that takes children in ascending order.

        ValueError where there are more than a million: with several parents on each level they double and double.
        """
        if (count := self._count_paths()) > MOST_PATHS:
            raise ValueError(
                f"there are {count:,} ways from a root down to a leaf, and at most {MOST_PATHS:,} are listed; give "
                "classes fewer parents, or name the ways that you want"
            )
        return tuple(path for root in self.roots for path in self._paths_below((root,)))

    def sibling_sets(self, number: int) -> tuple[Classes, ...]:
        """Returns the siblings of a class, for each of its parents apart: the parent's other children, ascending.

        Args:
          number: the class.

        Returns:
          One set for each parent, in the order of ``parents``, () where the class is an only child. The siblings of a
          root are the other roots, in one set.
        """
        families = [self.children[parent] for parent in self.parents[number]] or [self.roots]
        return tuple(tuple(other for other in family if other != number) for family in families)

    def close_upwards(
        self, labels: Bool[np.ndarray, "*batch C"] | Bool[Array, "*batch C"]
    ) -> Bool[np.ndarray, "*batch C"] | Bool[Array, "*batch C"]:
        """Adds to each set of classes everything that stands above one of them.

        Args:
          labels: ``[..., C]``, True for the classes of a set; of numpy, or of JAX, under ``jit`` too.

        Returns:
          ``[..., C]``, of the same library.
        """
        return labels.astype(np.float32) @ self.ancestors.astype(np.float32) > 0

    def index(self, id: str) -> int:
        """Returns the number of the class with an id.

        Args:
          id: of the class, exactly as in ``ids``.

        Raises:
          ValueError: there is no such class; the message has the class that is spelt alike, if there is one.
        """
        if (number := self._numbers.get(id)) is not None:
            return number
        alike = [each for each in self.ids if letters(each) == letters(id)]
        hint = f"; did you mean {alike[0]!r}?" if alike else ", one of " + ", ".join(map(repr, self.ids[:5])) + ", ..."
        raise ValueError(f"expected the id of a class, got {id!r}{hint}")

    @functools.cached_property
    def _numbers(self) -> Mapping[str, int]:
        return {id: number for number, id in enumerate(self.ids)}

    def _count_paths(self) -> int:
        below = [1] * len(self)
        for number in np.argsort(-self.levels, kind="stable").tolist():
            if self.children[number]:
                below[number] = sum(below[child] for child in self.children[number])
        return sum(below[root] for root in self.roots)

    def _paths_below(self, path: Classes) -> Iterator[Classes]:
        if not self.children[path[-1]]:
            yield path
        for child in self.children[path[-1]]:
            yield from self._paths_below((*path, child))


def readable_name(label: str) -> str:
    """Makes a name that prompts can say of a label in a file: blanks for underscores, and one blank between words.

    Args:
      label: such as ``"skin_care"``.

    >>> readable_name("skin_care")
    'skin care'
    """
    return " ".join(label.replace("_", " ").split())


def _check_lengths(taxonomy: Taxonomy) -> None:
    if not taxonomy.names:
        raise ValueError("names: expected one class or more, got none; look at the file that they were read from")
    if len({len(taxonomy.names), len(taxonomy.parents), len(taxonomy.ids)}) > 1:
        raise ValueError(
            f"expected a name, a tuple of parents and an id for each class, got {len(taxonomy.names)} names, "
            f"{len(taxonomy.parents)} of parents and {len(taxonomy.ids)} ids; give () as the parents of a root"
        )


def _check_texts(taxonomy: Taxonomy) -> None:
    for field in ("names", "ids"):
        for number, text in enumerate(getattr(taxonomy, field)):
            if not text.strip() or text != text.strip() or len(text.splitlines()) != 1:
                raise ValueError(f"{field}: expected a line without blanks around it, got {text!r} for class {number}")
    if twice := _repeated(taxonomy.ids):
        raise ValueError(
            f"ids: {twice!r} stands twice; a class with several parents is one class with all of them as parents, and "
            "two classes of one name need ids of their own"
        )


def _check_parents(taxonomy: Taxonomy) -> None:
    for id, parents in zip(taxonomy.ids, taxonomy.parents, strict=True):
        for parent in parents:
            if not 0 <= parent < len(taxonomy):
                raise ValueError(
                    f"parents of {id!r}: expected numbers from 0 to {len(taxonomy) - 1}, got {parent}; add the class "
                    "that is missing, or take the parent out"
                )
        if len(set(parents)) < len(parents):
            twice = taxonomy.ids[_repeated(parents)]
            raise ValueError(f"parents of {id!r}: {twice!r} stands twice; remove one of them")


def _check_siblings(taxonomy: Taxonomy) -> None:
    families = [(f"below {taxonomy.ids[parent]!r}", each) for parent, each in enumerate(taxonomy.children)]
    for where, family in [("at the top", taxonomy.roots), *families]:
        twice = _repeated([taxonomy.names[number].casefold() for number in family])
        if twice is not None:
            raise ValueError(
                f"names: two classes {where} are called {twice!r}, and nothing tells them apart; make them one class, "
                "or rename one of them"
            )


def _describe_cycle(taxonomy: Taxonomy, left: set[int]) -> str:
    """``left`` are the classes on cycles and those below: each has a parent among them, so going up ends in a cycle."""
    walked = [min(left)]
    while (parent := next(each for each in taxonomy.parents[walked[-1]] if each in left)) not in walked:
        walked.append(parent)
    cycle = [taxonomy.ids[number] for number in (parent, *reversed(walked[walked.index(parent) :]))]
    return f"parents: {' > '.join(cycle)} is a cycle; take one of these parents out"


def _fixed(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


def _repeated(items: Sequence):
    """The first item that has stood before, or None."""
    seen = set()
    return next((item for item in items if item in seen or seen.add(item)), None)
