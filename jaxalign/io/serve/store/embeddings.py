"""Vectors of examples, by the embedders that made them."""

from typing import Any

import numpy as np

from jaxalign.io.serve.store.database import Database, Transaction
from jaxalign.io.serve.store.texts import check_name


class Embedders:
    """Gives numbers to embedders, and knows the widths of their vectors."""

    def __init__(self, database: Database):
        self._database = database
        self._known: dict[str, tuple[int, int]] = {}  # rows of embedders are never deleted

    def find(self, name: str) -> tuple[int, int]:
        """Returns number and width of an embedder, zeros for one that has written nothing.

        Args:
          name: the embedder's id.
        """
        if name not in self._known:
            with self._database.reading("*") as transaction:
                found = transaction.rows("SELECT id, width FROM embedders WHERE name = ?", name)
            if not found:
                return 0, 0
            self._database.index(*found[0])  # again, since who made the row may have been killed before
            self._known[name] = found[0]
        return self._known[name]

    def number(self, name: str, width: int) -> tuple[int, int]:
        """Returns number and width of an embedder, which is made if it is new.

        Args:
          name: the embedder's id.
          width: of the vectors that are to be written.

        Raises:
          ValueError: its vectors have another width, or the name cannot be kept.
        """
        check_name("embedder", name)
        if self.find(name) == (0, 0):
            with self._database.writing("*") as transaction:
                transaction.change(
                    "INSERT INTO embedders (name, width, used) VALUES (?, ?, clock()) ON CONFLICT DO NOTHING",
                    *(name, width),
                )
        known = self.find(name)
        if known[1] != width:
            raise ValueError(f"embedder {name!r}: expected vectors of width {known[1]}, got {width}; name it otherwise")
        return known

    def used(self, transaction: Transaction, number: int) -> None:
        """Notes that an embedder is in use.

        Args:
          transaction: that writes.
          number: the embedder's.
        """
        transaction.change("UPDATE embedders SET used = clock() WHERE id = ? AND used < clock() - 60", number)


def check_vector(vector: Any, width: int) -> np.ndarray:
    """Returns a vector [D] float32 that every database can keep.

    Args:
      vector: an array [D].
      width: D.

    Raises:
      ValueError: it has another shape, or an entry that is not finite.
    """
    vector = np.asarray(vector, np.float32)
    if vector.shape != (width,):
        raise ValueError(f"expected a vector of shape ({width},), got {vector.shape}")
    if not np.isfinite(vector).all():
        raise ValueError("expected a vector of finite numbers, got NaN or infinity; leave the example out")
    return vector
