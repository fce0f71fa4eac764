"""What a report shows of judges beside their figures, and the rows of the file with their predictions."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from experiments.common.llm.reliability import reliability_curve
from experiments.common.report import DIAGONAL
from experiments.judge.results import JudgeResult
from jaxalign.data import PreferencePair
from jaxalign.data.text.comparisons import render_context
from jaxalign.io.report import Reliability, Table, Texts
from jaxalign.judge import Judgement, order_arrays
from jaxalign.prompting import Verdict

SHOWN = 6  # pairs of which everything is shown
CURVES = 6  # judges whose reliability is drawn, the first ones: there are no more colours to tell apart


_VERDICTS = {
    Verdict.FIRST: "both orders are for the first",
    Verdict.SECOND: "both orders are for the second",
    Verdict.TIE: "an order is for neither, which makes a tie",
    Verdict.INCONSISTENT: "the two orders are for different texts",
    Verdict.UNPARSED: "an order could not be read",
}


def draw(results: Mapping[str, JudgeResult], pairs: Sequence[PreferencePair]) -> list:
    """Draws reliability, the tables of the first pairs, and what every judge says of them."""
    axes = "probability that the first text is better", "share of pairs in which it is"
    first = dict(itertools.islice(results.items(), CURVES))
    plain = {name: _reliability(result.judgements, pairs) for name, result in first.items()}
    calibrated = {name: _reliability(result.calibrated, pairs) for name, result in first.items()}
    panels = {"Reliability, uncalibrated": plain, "Reliability, calibrated": calibrated}
    drawn: list = [Reliability("Reliability", panels, *axes, DIAGONAL)]
    with_tables = [name for name, result in results.items() if any(judgement.table for judgement in result.judgements)]
    shown = range(min(SHOWN, len(pairs)))
    drawn += [comparison_table(name, n, results[name].judgements[n]) for name in with_tables[:1] for n in shown]
    return [*drawn, Texts("Pairs", [describe(pairs[n], n, results) for n in shown])]


def comparison_table(name: str, number: int, judgement: Judgement) -> Table:
    """Shows aspects as columns, in three rows."""
    rows = [
        (part, *("; ".join(column.contrast[place]) or "none" for column in judgement.table))
        for place, part in enumerate(("only the first", "only the second", "both"))
    ]
    caption = f"{name} says: {describe_judgement(judgement)}"
    return Table(f"Pair {number + 1}: comparison", ("", *(column.aspect for column in judgement.table)), rows, caption)


def describe(pair: PreferencePair, number: int, results: Mapping[str, JudgeResult]) -> dict[str, str]:
    """Describes a pair with what each judge says of it."""
    said = {name: result.judgements[number] for name, result in results.items()}
    verdicts = (f"{name} says: {describe_judgement(each)}" for name, each in said.items())
    return {
        f"prompt of pair {number + 1}": render_context(pair.prompt),
        "first": pair.first,
        "second": pair.second,
        "which is better": "\n".join([_known(pair.target), *verdicts]),
    }


def predictions(results: Mapping[str, JudgeResult], pairs: Sequence[PreferencePair]) -> Iterator[dict]:
    """Yields a row for each judge and pair; a probability is None where nothing could be read."""
    for name, result in results.items():
        for each in zip(pairs, result.judgements, result.calibrated, strict=True):
            yield {"method": name, **_prediction(*each)}


def _prediction(pair: PreferencePair, judgement: Judgement, calibrated: Judgement) -> dict:
    return {
        "source": pair.source,
        "id": pair.id,
        "target": pair.target,
        "probability": judgement.probability,
        "calibrated": calibrated.probability,
        **judgement.orders._asdict(),
        "verdict": judgement.verdict.value,
        "asked": judgement.asked,
        "unparsed": judgement.unparsed,
        "table": {column.aspect: column.contrast._asdict() for column in judgement.table},
        "texts": judgement.texts,
    }


def _reliability(judgements: Sequence[Judgement], pairs: Sequence[PreferencePair]):
    arrays = order_arrays(judgements)
    read = [pair.target for pair, parsed in zip(pairs, arrays.where, strict=True) if parsed]
    return reliability_curve(arrays.probability[arrays.where], read)


def describe_judgement(judgement: Judgement) -> str:
    """Says a probability and a verdict as a sentence."""
    if judgement.probability is None:
        return "nothing that could be read in both orders."
    chance = f"the first text is better with a probability of {judgement.probability:.1%}"
    return f"{chance}, and {_VERDICTS[judgement.verdict]}."


def _known(target: float) -> str:
    if target in (0, 1):
        return f"It is known that the {'first' if target else 'second'} text is better."
    return f"It is known that the first text is better with a probability of {target:.1%}."
