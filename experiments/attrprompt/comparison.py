"""Classifiers on what each method wrote, tested on real texts: at equal tokens, at equal documents, and by cost.

Each test set is looked at once by each classifier. What is done to texts (here: masking the names of classes) is done
to those of training and to real ones alike, or classifiers would learn to tell the two apart by it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from experiments.attrprompt.methods import ATTRPROMPT, SHUFFLED, SIMPROMPT, Written, total_tokens, within
from experiments.attrprompt.storage import Row
from experiments.common.report import Figures
from experiments.common.task import Row as FigureRow
from experiments.common.task import exactly
from jaxalign import attributes

GOLD = "real texts"
ACCURACY = "accuracy"
EQUAL_TOKENS, EQUAL_DOCUMENTS, BY_COST = "at equal tokens", "at equal documents", "by cost"
CONTROLS = "AttrPrompt minus SimPrompt, under controls"
_PARTS = (0.25, 0.5, 1.0)  # of AttrPrompt's documents, for its curve of costs


class Texts(NamedTuple):
    """Texts with the labels of each."""

    texts: Sequence[str]
    labels: Sequence[tuple[str, ...]]


class Real(NamedTuple):
    """Real texts: some to learn from, as a ceiling, and some to test on."""

    train: Texts
    test: Texts


LearnFn = Callable[[Texts, Texts], FigureRow]
"""``learn(train, test)``: the figures on ``test`` of a classifier that learnt from ``train``."""


def texts_of(rows: Sequence[Row]) -> Texts:
    """Returns the documents that have a text."""
    kept = [row.document for row in rows if row.document.text is not None]
    return Texts([document.text for document in kept], [document.labels for document in kept])


def compare(
    written: Mapping[str, Written], real: Real, learn: LearnFn, names: Sequence[str], count: int
) -> dict[str, Figures]:
    """Returns figures by comparison and method.

    Args:
      written: by method, AttrPrompt among them.
      real: the real texts.
      learn: trains and tests a classifier.
      names: of the classes, to be masked.
      count: documents of all classes together that every method wrote.
    """
    tokens = total_tokens(written[ATTRPROMPT])
    same_tokens = {method: within(each, tokens) for method, each in written.items()}
    same_count = {method: each.rows[:count] for method, each in written.items()}
    gold = learn(Texts(*(each[:count] for each in real.train)), real.test) if real.train.texts else None
    ceiling = {GOLD: gold | {"texts": exactly(min(count, len(real.train.texts)))}} if gold else {}
    tables = {
        EQUAL_TOKENS: {
            method: learn(texts_of(rows), real.test) | _costs(written[method], rows)
            for method, rows in same_tokens.items()
        }
        | ceiling,
        EQUAL_DOCUMENTS: {
            method: learn(texts_of(rows), real.test) | _costs(written[method], rows)
            for method, rows in same_count.items()
        }
        | ceiling,
    }
    if SIMPROMPT in written:
        tables[CONTROLS] = _controls(tables, same_tokens, same_count, real, learn, names)
        tables[BY_COST] = dict(_by_cost(written, real, learn, count))
    return tables


def _costs(written: Written, rows: Sequence[Row]) -> FigureRow:
    """What rows took, with the stages before them; money only where the price of everything is known."""
    requests, tokens = written.prepared.requests + len(rows), written.prepared.tokens + sum(row.tokens for row in rows)
    texts = sum(row.document.text is not None for row in rows)
    return {"texts": exactly(texts), "requests": exactly(requests), "tokens": exactly(tokens)}


def _controls(
    tables: Mapping[str, Figures],
    same_tokens: Mapping[str, Sequence[Row]],
    same_count: Mapping[str, Sequence[Row]],
    real: Real,
    learn: LearnFn,
    names: Sequence[str],
) -> Figures:
    """The gain of AttrPrompt as it is, without class names, with lengths matched, and with values shuffled."""
    both = (ATTRPROMPT, SIMPROMPT)
    masked = {
        method: learn(*(_masked(each, names) for each in (texts_of(same_tokens[method]), real.test))) for method in both
    }
    matched = _matched({method: texts_of(same_count[method]) for method in both})
    equal_lengths = {method: learn(texts, real.test) for method, texts in matched.items()}
    gains = {
        EQUAL_TOKENS: tables[EQUAL_TOKENS],
        EQUAL_DOCUMENTS: tables[EQUAL_DOCUMENTS],
        "names of classes masked, at equal tokens": masked,
        "lengths matched, at equal documents": equal_lengths,
    }
    rows = {control: _gain(figures, ATTRPROMPT) for control, figures in gains.items()}
    if SHUFFLED in same_tokens:
        rows["values shuffled across rows, at equal tokens"] = _gain(tables[EQUAL_TOKENS], SHUFFLED)
    return rows


def _gain(figures: Figures, method: str) -> FigureRow:
    return {
        name: exactly(figures[method][name].value - figures[SIMPROMPT][name].value) for name in (ACCURACY, "macro-F1")
    }


def _masked(texts: Texts, names: Sequence[str]) -> Texts:
    return texts._replace(texts=[attributes.mask_words(text, names) for text in texts.texts])


def _matched(by_method: Mapping[str, Texts]) -> dict[str, Texts]:
    """As many texts of each method, of equal lengths."""
    least = min(len(texts.texts) for texts in by_method.values())
    cut = attributes.match_lengths({method: list(texts.texts[:least]) for method, texts in by_method.items()})
    return {method: Texts(cut[method], texts.labels[:least]) for method, texts in by_method.items()}


def _by_cost(written: Mapping[str, Written], real: Real, learn: LearnFn, count: int) -> Iterator[tuple[str, FigureRow]]:
    """Yields the figures of the first rows of AttrPrompt and SimPrompt, and how the one at its end is to the other."""
    best, requests = 0.0, 0
    for method, sizes in {
        SIMPROMPT: list(_doublings(count, len(written[SIMPROMPT].rows))),
        ATTRPROMPT: [round(part * count) for part in _PARTS],
    }.items():
        for number, size in enumerate(sizes, 1):
            rows = written[method].rows[:size]
            figures = learn(texts_of(rows), real.test) | _costs(written[method], rows)
            if method == SIMPROMPT and figures[ACCURACY].value > best:
                best, requests = figures[ACCURACY].value, figures["requests"].value
            yield f"{method}, {number} of {len(sizes)}", figures
    yield (
        "AttrPrompt at its end, against the best of SimPrompt",
        {
            ACCURACY: exactly(figures[ACCURACY].value - best),
            "requests": exactly(figures["requests"].value / requests),
        },
    )


def _doublings(first: int, last: int) -> Iterator[int]:
    while first < last:
        yield first
        first *= 2
    yield last
