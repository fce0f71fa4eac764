"""The ways to answer that an experiment compares, on the same samples, so that differences are their own."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from experiments.common.fields import check_names
from experiments.common.llm.counting import Scored
from experiments.common.llm.engine import Engine
from jaxalign import ensemble
from jaxalign.data import Question
from jaxalign.ensemble import BootstrapConfig, Bootstrapped, FewShot, Prediction, Sample, Scorer
from jaxalign.ensemble.aggregation import AggregateFn

BOOTSTRAPPED = "bootstrapped"
MATCHED = "self-consistency, equal tokens"


class EnsembleSetup(NamedTuple):
    """What all methods of a comparison share."""

    engine: Engine
    shots: FewShot
    num_samples: int
    temperature: float
    shuffle: str
    max_tokens: int
    bootstrap: BootstrapConfig


class MethodResult(NamedTuple):
    """The predictions of one method; what they and the samples that they rest on cost, and left unread."""

    predictions: list[Prediction]
    tokens: int
    scored: Scored = Scored()


class Cost(NamedTuple):
    """What some steps took."""

    tokens: int
    scored: Scored

    def plus(self, other: "Cost") -> "Cost":
        """Adds both."""
        return Cost(self.tokens + other.tokens, self.scored.plus(other.scored))


def _bootstrapped(find: Callable[..., Bootstrapped], **options: object) -> Callable[[EnsembleSetup], Scorer]:
    def make(setup: EnsembleSetup) -> Scorer:
        found = find(setup.engine.generate, setup.shots, setup.bootstrap)
        options_of_all = {"style": setup.shots.style, **options}
        return ensemble.make_bootstrapped_scorer(setup.engine.score_options, found, **options_of_all)

    return make


_masked = _bootstrapped(lambda *arguments: ensemble.bootstrap_shots(*arguments).masked())


def _asked(make: Callable[..., Scorer]) -> Callable[[EnsembleSetup], Scorer]:
    return lambda setup: make(setup.engine.score_options, style=setup.shots.style)


SCORERS: Mapping[str, Callable[[EnsembleSetup], Scorer]] = {
    BOOTSTRAPPED: _bootstrapped(ensemble.bootstrap_shots),
    "bootstrapped, long template": _bootstrapped(ensemble.bootstrap_shots, template=ensemble.COHERENT),
    "bootstrapped, nonsense words": _bootstrapped(ensemble.bootstrap_shots, verbalizer=ensemble.NONSENSE),
    "bootstrapped, raw weights": _bootstrapped(ensemble.bootstrap_shots, weight_fn=ensemble.raw_weight),
    "bootstrapped, labels masked": lambda setup: ensemble.with_masked_labels(_masked(setup)),
    "PE negatives": _bootstrapped(ensemble.justified_shots),
    "zero-shot": _asked(ensemble.make_scorer),
    "pairwise": _asked(ensemble.make_pairwise_scorer),
    "lexical overlap": lambda setup: ensemble.LEXICAL,
}


def run_methods(setup: EnsembleSetup, questions: Sequence[Question], scorers: Sequence[str]) -> dict[str, MethodResult]:
    """Answers the questions by every method: single answers, self-consistency, SPA, and EASE with each scorer.

    A method's tokens are those of the steps it needs; that several share their samples here does not make it cheaper.
    ``MATCHED`` draws as many samples as the first scorer's EASE takes tokens.

    Raises:
      ValueError: for a scorer that nothing has.
    """
    check_names("scorers", scorers, SCORERS)
    results = {name: _spend(setup, functools.partial(method, questions)) for name, method in _SINGLE.items()}
    drawn, drawing = _step(setup, functools.partial(_draw, questions=questions, n=setup.num_samples))
    scored, scoring = _step(setup, lambda s: ensemble.score_samples(s.engine.score_options, s.shots, questions, drawn))
    results["self-consistency"] = _predict(questions, scored, ensemble.self_consistency, drawing)
    results["SPA"] = _predict(questions, scored, ensemble.soft_aggregation, drawing.plus(scoring))
    for name in scorers:
        (scorer, weighed), weighing = _step(setup, functools.partial(_weigh, name, questions, scored))
        spent = drawing.plus(weighing)
        if name == BOOTSTRAPPED:
            results["EASE without SPA"] = _predict(questions, weighed, ensemble.weighted_votes, spent, scorer)
        spent = spent.plus(scoring)
        results[f"EASE, {name}"] = _predict(questions, weighed, ensemble.ease, spent, scorer)
        if MATCHED not in results:
            count = max(round(setup.num_samples * spent.tokens / max(drawing.tokens, 1)), 1)
            more, sampling = _step(setup, functools.partial(_draw, questions=questions, n=count))
            results[MATCHED] = _predict(questions, more, ensemble.self_consistency, sampling)
    return results


def _in_context(questions: Sequence[Question], setup: EnsembleSetup) -> list[Prediction]:
    return ensemble.predict_in_context(setup.engine.score_options, setup.shots, questions)


def _first_answer(questions: Sequence[Question], setup: EnsembleSetup) -> list[Prediction]:
    return ensemble.predict_then_explain(
        setup.engine.score_options,
        setup.shots,
        questions,
        generate=setup.engine.generate,
        max_tokens=setup.max_tokens,
    )


def _explained_answer(questions: Sequence[Question], setup: EnsembleSetup) -> list[Prediction]:
    return ensemble.predict(questions, _draw(setup, questions, 1, temperature=0.0), ensemble.self_consistency)


_SINGLE = {"ICL": _in_context, "predict-then-explain": _first_answer, "explain-then-predict": _explained_answer}


def _draw(
    setup: EnsembleSetup, questions: Sequence[Question], n: int, *, temperature: float | None = None
) -> list[tuple[Sample, ...]]:
    return ensemble.draw_samples(
        setup.engine.generate,
        setup.shots,
        questions,
        n=n,
        temperature=setup.temperature if temperature is None else temperature,
        shuffle=setup.shuffle,
        max_tokens=setup.max_tokens,
        seed=setup.bootstrap.seed,
    )


def _weigh(
    name: str, questions: Sequence[Question], samples: Sequence[tuple[Sample, ...]], setup: EnsembleSetup
) -> tuple[str, list[tuple[Sample, ...]]]:
    scorer = SCORERS[name](setup)
    return scorer.name, ensemble.weigh_samples(scorer, questions, samples)


def _step(setup: EnsembleSetup, step: Callable) -> tuple[object, Cost]:
    engine = setup.engine
    before, scored = engine.ledger.asked, engine.count.scored
    found = step(setup)
    return found, Cost(engine.ledger.asked.minus(before).tokens, engine.count.scored.minus(scored))


def _spend(setup: EnsembleSetup, method: Callable[[EnsembleSetup], list[Prediction]]) -> MethodResult:
    predictions, spent = _step(setup, method)
    return MethodResult(predictions, *spent)


def _predict(
    questions: Sequence[Question],
    samples: Sequence[tuple[Sample, ...]],
    aggregate: AggregateFn,
    cost: Cost,
    scorer: str = "",
) -> MethodResult:
    return MethodResult(ensemble.predict(questions, samples, aggregate, scorer=scorer), *cost)
