"""Finding which of several things a name means, however it is spelt."""

import unicodedata
from collections.abc import Hashable, Iterable, Mapping


class Spellings:
    """The names of several things, by which they are found in any spelling; built once, for many look-ups."""

    def __init__(self, names: Mapping[Hashable, Iterable[str]]):
        """Collects the names.

        Args:
          names: for each thing all its names; several things may share one.
        """
        pairs = [(key, name) for key, each in names.items() for name in each]
        self._stages = []
        for spelt in _STAGES:
            found: dict[str, set[Hashable]] = {}
            for key, name in pairs:
                found.setdefault(spelt(name), set()).add(key)
            self._stages.append((spelt, found))

    def find(self, name: str) -> Hashable | None:
        """Returns the thing that a name means; case, then blanks and marks, then accents count only where they must.

        Args:
          name: in any spelling.

        Returns:
          Where no name is just so, the only thing that is spelt alike. None for none, or for several.

        >>> spellings = Spellings({1: ["Sci/Tech"], 2: ["C"], 3: ["C++"]})
        >>> [spellings.find(name) for name in ("sci_tech", "c++", "C.", "(c)", "sports")]
        [1, 3, None, None, None]
        """
        for spelt, known in self._stages:
            wanted = spelt(name)
            if wanted and (found := known.get(wanted)):
                return next(iter(found)) if len(found) == 1 else None
        return None


def letters(text: str) -> str:
    """Returns the letters and digits of a text, whatever their case: what two spellings of a name have in common.

    Args:
      text: for instance a name.

    >>> letters("Sci_Tech"), letters("sci/tech")
    ('scitech', 'scitech')
    """
    return "".join(filter(str.isalnum, text)).casefold()


def _unaccented(text: str) -> str:
    return letters(unicodedata.normalize("NFKD", text))


_STAGES = (str, str.casefold, letters, _unaccented)
