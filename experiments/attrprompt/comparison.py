"""Classifiers on what each method wrote, tested on real texts: at equal tokens, at equal documents, and by cost.

Each test set is looked at once by each classifier. What is done to texts (here: masking the names of classes) is done
to those of training and to real ones alike, or classifiers would learn to tell the two apart by it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from experiments.attrprompt.methods import ATTRPROMPT, SHUFFLED, SIMPROMPT, Written, total_tokens, within
from experiments.attrprompt.storage import Row
from experiments.common.report import Figures
from experiments.common.task import Row as FigureRow
from experiments.common.task import exactly
from jaxalign import attributes

GOLD = "real texts"
HEADLINES = ("accuracy", "micro-F1")
DOLLARS = "US dollars"
EQUAL_TOKENS, EQUAL_DOCUMENTS, BY_COST = "at equal tokens", "at equal documents", "by cost"
CONTROLS = "AttrPrompt minus SimPrompt, under controls"
AGAINST_BEST = "AttrPrompt at its end: gain on the best of SimPrompt, share of its requests"
_GROWTH = 4  # of the documents of SimPrompt, for its curve of costs
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
    ceiling = {}
    if real.train.texts:
        some = Texts(*(each[:count] for each in real.train))
        ceiling[GOLD] = {**learn(some, real.test), "texts": exactly(len(some.texts))}
    tables = {
        title: {method: _figures(written[method], rows, real, learn) for method, rows in by_method.items()} | ceiling
        for title, by_method in ((EQUAL_TOKENS, same_tokens), (EQUAL_DOCUMENTS, same_count))
    }
    if SIMPROMPT in written:
        tables[CONTROLS] = _controls(tables, same_tokens, same_count, real, learn, names)
        tables[BY_COST] = _by_cost(written, real, learn, count)
    return tables


def headline(row: FigureRow) -> str:
    """Returns the figure by which methods are compared: accuracy, or micro-F1 where texts have several labels."""
    return next(name for name in HEADLINES if name in row)


def _figures(written: Written, rows: Sequence[Row], real: Real, learn: LearnFn) -> FigureRow:
    """What a classifier gets right, if there are texts to learn from, and what these took with the stages before them.

    Money is there where the price of everything is known.
    """
    texts = texts_of(rows)
    figures = learn(texts, real.test) if len(texts.texts) > 1 else {}
    took = {
        "texts": len(texts.texts),
        "requests": written.prepared.requests + sum(row.requests for row in rows),
        "tokens": written.prepared.tokens + sum(row.tokens for row in rows),
    }
    costs = [written.prepared_cost, *(row.cost for row in rows)]
    if None not in costs:
        took[DOLLARS] = sum(costs)
    return {**figures, **{name: exactly(value) for name, value in took.items()}}


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
    test = _masked(real.test, names)
    masked = {method: learn(_masked(texts_of(same_tokens[method]), names), test) for method in both}
    matched = _matched({method: texts_of(same_count[method]) for method in both})
    gains = {
        EQUAL_TOKENS: tables[EQUAL_TOKENS],
        EQUAL_DOCUMENTS: tables[EQUAL_DOCUMENTS],
        "names of classes masked, at equal tokens": masked,
        "lengths matched, at equal documents": {method: learn(texts, real.test) for method, texts in matched.items()},
    }
    rows = {control: _gain(figures, ATTRPROMPT) for control, figures in gains.items()}
    if SHUFFLED in same_tokens:
        rows["values shuffled across rows, at equal tokens"] = _gain(tables[EQUAL_TOKENS], SHUFFLED)
    return rows


def _gain(figures: Figures, method: str) -> FigureRow:
    mine, base = figures[method], figures[SIMPROMPT]
    names = [name for name in (*HEADLINES, "macro-F1") if name in mine and name in base]
    return {name: exactly(mine[name].value - base[name].value) for name in names}


def _masked(texts: Texts, names: Sequence[str]) -> Texts:
    return texts._replace(texts=[attributes.mask_words(text, names) for text in texts.texts])


def _matched(by_method: Mapping[str, Texts]) -> dict[str, Texts]:
    """Takes as many texts of each method, and cuts them to equal lengths."""
    least = min(len(texts.texts) for texts in by_method.values())
    cut = attributes.match_lengths({method: list(texts.texts[:least]) for method, texts in by_method.items()})
    return {method: Texts(cut[method], texts.labels[:least]) for method, texts in by_method.items()}


def _by_cost(written: Mapping[str, Written], real: Real, learn: LearnFn, count: int) -> dict[str, FigureRow]:
    """Figures of the first rows of SimPrompt and AttrPrompt, and how the end of the one is to the best of the other."""
    sizes = {
        SIMPROMPT: _growing(count, len(written[SIMPROMPT].rows)),
        ATTRPROMPT: [round(part * count) for part in _PARTS],
    }
    curves = {
        method: [_figures(written[method], written[method].rows[:size], real, learn) for size in each]
        for method, each in sizes.items()
    }
    rows = {
        f"{method}, {number} of {len(curve)}": figures
        for method, curve in curves.items()
        for number, figures in enumerate(curve, 1)
    }
    end, name = curves[ATTRPROMPT][-1], headline(curves[ATTRPROMPT][-1])
    best = max((each for each in curves[SIMPROMPT] if name in each), key=lambda each: each[name].value)
    gain, share = end[name].value - best[name].value, end["requests"].value / best["requests"].value
    return rows | {AGAINST_BEST: {name: exactly(gain), "requests": exactly(share)}}


def _growing(first: int, last: int) -> list[int]:
    """Numbers of documents, each four times the one before, up to the last one."""
    sizes = [first]
    while sizes[-1] * _GROWTH <= last / 2:
        sizes.append(sizes[-1] * _GROWTH)
    return [*sizes, last] if last > first else [last]
