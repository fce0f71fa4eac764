"""Controls of a comparison of generated data: what else than its content could make one set of texts the better one.

Texts may name their class, be longer, or have been cleaned where the test set was not; and attributes may help merely
because prompts are longer. Each control takes one of these away from all sets alike, after which the comparison is made
again.
"""

import functools
import random
import re
from collections.abc import Callable, Mapping, Sequence

from jaxalign.attributes.sampling import Assignment
from jaxalign.attributes.task import Task

Texts = Mapping[str, Sequence[str]]
"""The texts of each set by its name, for instance of each method, and of the test set."""

_FUNCTION_WORDS = frozenset(
    "a an and are as at be by can do for from i in is it me my no not of on or out should that the this to we what "
    "with you your".split()
)
_NO_PLURALS = frozenset({"news"})  # "new" is another word
_HISSED = ("s", "x", "z", "ch", "sh")


def change_alike(change: Callable[[str], str], texts: Texts) -> dict[str, list[str]]:
    """Applies one function to the texts of every set, such as a cleaner, or a mask of class names.

    A cleaner that sees generated texts only leaves a shortcut: what it took out then tells generated from real texts.

    Args:
      change: makes a text of a text.
      texts: the texts of each set, the test set among them.

    Returns:
      The changed texts of each set, in their order.

    >>> change_alike(str.strip, {"generated": [" a goal"], "gold": ["a match "]})
    {'generated': ['a goal'], 'gold': ['a match']}
    """
    return {name: [change(text) for text in each] for name, each in texts.items()}


def mask_words(text: str, names: Sequence[str], token: str = "x") -> str:
    """Puts a token in the place of names of classes, and of each of their words, so that a text cannot name its class.

    Names and words count whole, in any case, as singular and plural; a whole name becomes one token. Words such as
    "and" or "of", and numbers, stay where they do not stand in a whole name.

    Args:
      text: a text of any set; apply the same mask to all sets (:func:`change_alike`).
      names: of all classes, as prompts say them; give labels too where texts may have them.
      token: stands for what was masked.

    Returns:
      The text with the rest of it as it was.

    >>> mask_words("Science and technology: a sporting Sport of SCIENCES", ["science and technology", "sports"])
    'x: a sporting x of x'
    """
    pattern = _pattern(tuple(names))
    return pattern.sub(lambda _: token, text) if pattern else text


def match_lengths(texts: Texts) -> dict[str, list[str]]:
    """Cuts texts, so that all sets have the same lengths: none is better since its texts are longer.

    The k-th longest text of each set keeps as many words as the shortest of the k-th longest texts of all sets has.
    Words are what blanks separate; what stands between kept words stays.

    Args:
      texts: equally many texts of each set, in any order.

    Returns:
      The texts of each set, in their order. Of texts of equal length the earlier one counts as the longer.

    Raises:
      ValueError: the sets have different numbers of texts.

    >>> match_lengths({"a": ["one two three", "one"], "b": ["one two", "one two"]})
    {'a': ['one two', 'one'], 'b': ['one two', 'one']}
    """
    counts = {name: len(each) for name, each in texts.items()}
    if len({*counts.values()}) > 1:
        raise ValueError(f"expected equally many texts of each set, got {counts}; draw as many of each first")
    ends = {name: [_word_ends(text) for text in each] for name, each in texts.items()}
    ranked = {
        name: sorted(range(len(each)), key=lambda place, each=each: -len(each[place])) for name, each in ends.items()
    }
    cut = {name: list(each) for name, each in texts.items()}
    for rank in range(max(counts.values(), default=0)):
        shortest = min(len(ends[name][places[rank]]) for name, places in ranked.items())
        for name, places in ranked.items():
            place = places[rank]
            if len(ends[name][place]) > shortest:
                cut[name][place] = texts[name][place][: ends[name][place][shortest - 1] if shortest else 0]
    return cut


def shuffle_values(task: Task, assignments: Sequence[Assignment], *, seed: int = 0) -> tuple[Assignment, ...]:
    """Deals the values of each attribute out anew among all documents, across classes too; labels stay.

    Documents then have as many of each value as before, and prompts of the same kind, but values say nothing of the
    class. What attributes gain must vanish. Attributes are shuffled independently of each other, and a length as well.

    Args:
      task: the task that the assignments were made for, with one label a document.
      assignments: for instance of :func:`sample_assignments`.
      seed: of the orders.

    Returns:
      The assignments in their order, with their labels and numbers.

    Raises:
      ValueError: the task takes labels from an attribute's value, so that they would not stay.
    """
    if task.labels_from:
        raise ValueError(
            f"labels_from: expected a task with one label a document, got {task.labels_from!r}, whose values give "
            "labels that would be shuffled too; leave labels_from out"
        )
    values = [dict(assignment.values) for assignment in assignments]
    shuffled = [dict(each) for each in values]
    for name in dict.fromkeys(name for each in values for name in each):
        places = [place for place, each in enumerate(values) if name in each]
        rng = random.Random(f"{seed}\0{name}")
        order = sorted(places, key={place: rng.random() for place in places}.__getitem__)
        for place, source in zip(places, order, strict=True):
            shuffled[place][name] = values[source][name]
    pairs = zip(assignments, shuffled, strict=True)
    return tuple(assignment._replace(values=tuple(each.items())) for assignment, each in pairs)


@functools.lru_cache(maxsize=32)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str] | None:
    split = [re.findall(r"[^\W_]+", name.casefold()) for name in names]
    wholes = {
        r"[\W_]+".join("(?:" + "|".join(_forms(word)) + ")" for word in words): len(words) for words in split if words
    }
    single = {
        form
        for words in split
        for word in words
        if word not in _FUNCTION_WORDS and len(word) > 1 and not word.isdigit()
        for form in _forms(word)
        if form not in _FUNCTION_WORDS
    }
    # The longest names first, since of two alternatives the earlier one wins.
    parts = [*sorted(wholes, key=lambda whole: -wholes[whole]), *sorted(single, key=len, reverse=True)]
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(parts)})(?![^\W_])", re.IGNORECASE) if parts else None


def _forms(word: str) -> list[str]:
    """A word as singular and as plural, each escaped; some that do not exist do no harm."""
    singular = {word}
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and word not in _NO_PLURALS and len(word) > 3:
        singular.add(word[:-1])
        if word.endswith("ies"):
            singular.add(f"{word[:-3]}y")
        if word.endswith(tuple(f"{sound}es" for sound in _HISSED)):
            singular.add(word[:-2])
    plural = {f"{each[:-1]}ies" if each.endswith("y") else f"{each}s" for each in singular}
    plural |= {f"{each}es" for each in singular if each.endswith(_HISSED)}
    return sorted(map(re.escape, singular | plural), key=lambda form: (-len(form), form))


def _word_ends(text: str) -> list[int]:
    return [match.end() for match in re.finditer(r"\S+", text)]
