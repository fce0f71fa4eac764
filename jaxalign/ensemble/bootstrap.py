"""Examples for a scorer from nothing but the demonstrations: the bootstrapped scorer (BLS) of EASE.

The demonstration's own explanation is a good one. Bad ones are written by the model about the same question, after
*other* demonstrations: explanations that led it to a wrong answer. Only demonstrations are ever shown or asked about,
so that nothing of a test set can get in.

Source: EASE (arXiv 2311.07099), section 3.2.
"""

import dataclasses
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxalign.data import Question
from jaxalign.ensemble import prompts
from jaxalign.ensemble.parsing import mask_labels, parse_explained_answer, strip_answer
from jaxalign.ensemble.records import Explained
from jaxalign.ensemble.scorers import Scorer, Shot, make_scorer
from jaxalign.prompting import final_text
from jaxalign.prompting.options import check_counts, check_temperature
from jaxalign.typing import GenerateFn, ScoreOptionsFn


@dataclasses.dataclass(frozen=True)
class BootstrapConfig:
    """How bad explanations are looked for.

    Raises:
      ValueError: naming the field that is out of range.
    """

    num_shown: int = 8  # other demonstrations before the one that is asked about
    num_samples: int = 8  # explanations of each; the paper does not say how many
    temperature: float = 0.7
    max_tokens: int = 256
    max_shots: int = 32  # of the scorer, good and bad together
    seed: int = 0

    def __post_init__(self):
        for name in ("num_shown", "max_shots"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)}")
        check_counts(num_samples=self.num_samples, max_tokens=self.max_tokens)
        check_temperature(self.temperature)


class Bootstrapped(NamedTuple):
    """Examples for a scorer, as many good as bad ones, and what became of the rest.

    Attributes:
      shots: explanations of demonstrations, good and bad, in random order.
      without_negative: demonstrations of which every readable explanation led to the right answer, which are left out.
      unparsed: texts whose answer could not be read, which are neither good nor bad.
    """

    shots: tuple[Shot, ...]
    without_negative: int
    unparsed: int

    def masked(self) -> "Bootstrapped":
        """Returns them with the options blanked out, for a scorer :func:`~jaxalign.ensemble.with_masked_labels`."""
        return self._replace(shots=tuple(shot._replace(explained=mask_labels(shot.explained)) for shot in self.shots))


def bootstrap_shots(
    generate: GenerateFn, few_shot: prompts.FewShot, config: BootstrapConfig = BootstrapConfig()
) -> Bootstrapped:
    """Makes good and bad explanations of the demonstrations; of each, one bad one is drawn at random.

    A demonstration's own explanation is a good one. A bad one is written by the model, after other demonstrations, and
    led it to a wrong answer.

    Args:
      generate: continues prompts with texts, by a language model.
      few_shot: the demonstrations, with answers and explanations.
      config: how many explanations are sampled, and how.

    Returns:
      The examples, and how many demonstrations and texts gave none.

    Source: EASE (arXiv 2311.07099), section 3.2.
    """
    shown = few_shot.demonstrations
    asked = [prompts.render_explanation(_others(few_shot, n, config), each) for n, each in enumerate(shown)]
    options = {"temperature": config.temperature, "max_tokens": config.max_tokens, "seed": config.seed}
    texts = generate(asked, n=config.num_samples, stop=prompts.STOP, **options) if asked else []
    read = [
        [parse_explained_answer(text, few_shot.options(each)) for text in written]
        for each, written in zip(shown, texts, strict=True)
    ]
    wrong = [
        [Explained(each, *answer) for answer in answers if answer.explanation and _is_wrong(answer.choice, each)]
        for each, answers in zip(shown, read, strict=True)
    ]
    unparsed = sum(answer.choice is None for answers in read for answer in answers)
    return _balance(wrong, unparsed, config)


def justified_shots(
    generate: GenerateFn, few_shot: prompts.FewShot, config: BootstrapConfig = BootstrapConfig()
) -> Bootstrapped:
    """Makes bad explanations of a wrong answer that the model is given, instead of waiting for one (PE-negatives).

    The wrong answer is drawn at random. A demonstration's own explanation is a good one.

    Args:
      generate: continues prompts with texts, by a language model.
      few_shot: the demonstrations, with answers and explanations.
      config: how explanations are sampled; ``num_samples`` is not used.

    Returns:
      The examples, and how many demonstrations gave none.

    Source: EASE (arXiv 2311.07099), section 3.2.
    """
    shown = few_shot.demonstrations
    given = [_wrong_answer(each, config.seed) for each in shown]
    asked = [
        prompts.render_justification(_others(few_shot, n, config), each, answer)
        for n, (each, answer) in enumerate(zip(shown, given, strict=True))
    ]
    options = {"temperature": config.temperature, "max_tokens": config.max_tokens, "seed": config.seed}
    texts = generate(asked, n=1, stop=prompts.STOP, **options) if asked else []
    wrong = [
        [Explained(each, explanation, answer)] if (explanation := strip_answer(final_text(text) or "")) else []
        for each, answer, (text,) in zip(shown, given, texts, strict=True)
    ]
    return _balance(wrong, sum(not each for each in wrong), config)


def make_bootstrapped_scorer(score_options: ScoreOptionsFn, bootstrapped: Bootstrapped, **options: Any) -> Scorer:
    """Makes a scorer that has seen examples; where there are none, the zero-shot scorer, whose name says so.

    Args:
      score_options: scores options as answers to prompts, by a language model.
      bootstrapped: the examples, from :func:`bootstrap_shots` or :func:`justified_shots`.
      options: other keyword arguments of :func:`~jaxalign.ensemble.make_scorer`, for instance ``template``.
    """
    if not bootstrapped.shots:
        return make_scorer(score_options, **options, name="zero-shot, for want of negatives")
    name = f"bootstrapped, {len(bootstrapped.shots)} shots"
    return make_scorer(score_options, bootstrapped.shots, **options, name=name)


def _others(few_shot: prompts.FewShot, place: int, config: BootstrapConfig) -> prompts.FewShot:
    """Demonstrations drawn for the one at ``place``; none with its text, should it be there twice."""
    text = few_shot.demonstrations[place].text
    others = [n for n, each in enumerate(few_shot.demonstrations) if each.text != text]
    rng = random.Random(f"{config.seed} {text}")
    return few_shot.take(rng.sample(others, min(config.num_shown, len(others))))


def _is_wrong(choice: int | None, question: Question) -> bool:
    return choice is not None and choice != question.answer


def _wrong_answer(question: Question, seed: int) -> int:
    wrong = [n for n in range(len(question.options)) if n != question.answer]
    return random.Random(f"{seed} {question.text}").choice(wrong)


def _balance(wrong: Sequence[Sequence[Explained]], unparsed: int, config: BootstrapConfig) -> Bootstrapped:
    rng = random.Random(config.seed)
    bad = [rng.choice(each) for each in wrong if each]
    good = [Explained(each.question, strip_answer(each.question.explanations[0]), each.question.answer) for each in bad]
    # A gold explanation that says nothing but the answer is no example of a good one.
    pairs = [pair for pair in zip(good, bad, strict=True) if pair[0].explanation][: config.max_shots // 2]
    shots = [Shot(each, each is pair[0]) for pair in pairs for each in pair]
    rng.shuffle(shots)
    return Bootstrapped(tuple(shots), sum(not each for each in wrong), unparsed)
