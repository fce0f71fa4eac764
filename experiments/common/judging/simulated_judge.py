"""A simulated language model that judges reports: it reads what judges really ask, and errs at rates that are known.

It takes the rendered prompts apart, finds the world's sentences in them and answers as a reader of limited attention:
who looks at one subject notices more than who looks at all of them, whoever is shown first has an advantage, long texts
impress, some contrasts contradict themselves and some texts are malformed. All rates are fields. So every judge runs
through its real rendering, parsing and scoring; that attention to one subject helps is put in, not found out.
"""

import dataclasses
import functools
import random
from collections.abc import Sequence

from experiments.common.judging import reports_world as world
from experiments.common.llm.chance import MALFORMED, dispatch, draw, rng_of, scores_of
from experiments.common.llm.engine import Engine, simulated
from jaxalign.data import ComparisonParts, parse_comparison
from jaxalign.io.llm.service import Ledger
from jaxalign.judge import Contrast, parse_contrast, parse_joint_contrast, prompts
from jaxalign.typing import OptionScore


@dataclasses.dataclass(frozen=True)
class SimulatedJudge:
    """Rates in [0, 1] and strengths in nats."""

    focus: float = 0.95  # the chance to notice a point when asked about one subject
    spread: float = 0.75  # about several at once
    glance: float = 0.55  # about none in particular
    blind: float = 0.15  # of the points are never noticed, however often the same text is read
    slip: float = 0.3  # the chance that a contrast has a statement in a wrong place
    contradiction: float = 0.1  # the chance that it has one in two places
    malformed: float = 0.03  # of the texts
    check: float = 1.2  # for each error of a comparison that is noticed
    sharpness: float = 0.6  # for each point that one text has more
    first: float = 0.8  # for what is shown first
    length: float = 0.08  # for each sentence that one text has more
    haste: float = 2.0  # times what is shown first impresses at the end of a chain of thought

    def open(self, ledger: Ledger) -> Engine:
        """Returns the model as callables."""
        return simulated("simulated judge", self.generate, self.score_options, ledger)

    def generate(
        self,
        prompts: Sequence[str],
        *,
        n: int = 1,
        temperature: float = 1.0,
        max_tokens: int = 256,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> list[list[str]]:
        """Writes texts, the same for the same prompt, seed and number."""
        return [[self._write(prompt, temperature, rng_of(seed, k, prompt)) for k in range(n)] for prompt in prompts]

    def score_options(self, prompts: Sequence[str], options: Sequence[Sequence[str]]) -> list[list[OptionScore]]:
        """Scores the options, the same for the same prompt."""
        return [scores_of(self._weigh(prompt), each) for prompt, each in zip(prompts, options, strict=True)]

    def _write(self, prompt: str, temperature: float, rng: random.Random) -> str:
        if rng.random() < self.malformed:
            return rng.choice(MALFORMED)
        parts, tail, ending = _take_apart(prompt)
        kinds = {
            "Aspects:": self._propose,
            "Aspect: ": self._contrast_one,
            "Contrasts by aspect:": self._contrast_all,
            "Thoughts:": functools.partial(self._think, temperature=temperature),
        }
        return dispatch(kinds, ending)(parts, tail, rng)

    def _weigh(self, prompt: str) -> list[float]:
        parts, tail, ending = _take_apart(prompt)
        kinds = {
            "Better comparison:": self._compare,
            "Good comparison:": self._rate,
            "Answer:": self._decide,
        }
        return [*dispatch(kinds, ending)(parts, tail, rng_of(prompt)), 0.0]

    def _propose(self, parts: ComparisonParts, tail: str, rng: random.Random) -> str:
        """Proposes mostly what was asked for, with a subject that was not now and then."""
        count = int(tail.partition("Name the ")[2].split()[0])
        asked = world.asked_for(parts.context)
        others = [subject for subject in world.SUBJECTS if subject not in asked]
        ranked = sorted(rng.sample(asked, len(asked)) + others, key=lambda s: (s in others) * (rng.random() < 0.8))
        return "\n".join(f"- {subject}" for subject in ranked[:count])

    def _contrast_one(self, parts: ComparisonParts, tail: str, rng: random.Random) -> str:
        aspect = tail.rstrip().rpartition("Aspect: ")[2]
        subjects, attention = ([aspect], self.focus) if aspect in world.SUBJECTS else (world.SUBJECTS, self.glance)
        return self._contrast(parts, subjects, attention, rng)

    def _contrast_all(self, parts: ComparisonParts, tail: str, rng: random.Random) -> str:
        aspects = tail.partition("with its name: ")[2].partition(".\n")[0].split("; ")
        return "\n".join(f"Aspect: {a}\n{self._contrast(parts, [a], self.spread, rng)}" for a in aspects)

    def _contrast(self, parts: ComparisonParts, subjects: Sequence[str], attention: float, rng: random.Random) -> str:
        a, b = (self._notice(text, subjects, attention, rng) for text in (parts.first, parts.second))
        lists = [sorted(a - b), sorted(b - a), sorted(a & b)]
        if rng.random() < self.slip:
            source, target = rng.sample(range(3), 2)
            if lists[source]:
                lists[target].append(lists[source].pop())
        if rng.random() < self.contradiction and lists[0]:
            lists[2].append(lists[0][0])
        names = zip(("Only A", "Only B", "Both"), lists, strict=True)
        return "\n".join(f"{name}:\n" + "\n".join(f"- {world.point(*p)}" for p in each or ()) for name, each in names)

    def _think(self, parts: ComparisonParts, tail: str, rng: random.Random, *, temperature: float) -> str:
        lead = self._lead(parts, self.glance, rng)
        margin = lead + (self.haste - 1) * self.first
        answer = "AB"[draw(rng, [margin, 0.0], temperature)]
        return f"A seems to lead by {lead:.1f}, all in all.\nAnswer: {answer}"

    def _decide(self, parts: ComparisonParts, tail: str, rng: random.Random) -> list[float]:
        _, found, table = tail.partition("A comparison of A and B by aspects:")
        if not found:
            return [self._lead(parts, self.glance, rng)]
        aspects = [line.removeprefix("Aspect: ") for line in table.splitlines() if line.startswith("Aspect: ")]
        contrasts = parse_joint_contrast(table.partition("Answer with")[0], aspects)
        statements = [_count_asked(parts.context, contrast) for contrast in contrasts if contrast]
        return [self.sharpness * sum(statements) + self.first]

    def _lead(self, parts: ComparisonParts, attention: float, rng: random.Random) -> float:
        seen = [self._notice(text, world.SUBJECTS, attention, rng) for text in (parts.first, parts.second)]
        first, second = (world.true_quality(parts.context, " ".join(world.point(*p) for p in each)) for each in seen)
        longer = world.read_report(parts.first).sentences - world.read_report(parts.second).sentences
        return self.sharpness * (first - second) + self.first + self.length * longer

    def _compare(self, parts: ComparisonParts, tail: str, rng: random.Random) -> list[float]:
        one, two = tail.partition("Comparison 1")[2].partition("Which comparison")[0].split("Comparison 2")
        errors = [self._errors(parts, _aspect(tail), parse_contrast(text), rng) for text in (one, two)]
        return [self.check * (errors[1] - errors[0]) + self.first / 2]

    def _rate(self, parts: ComparisonParts, tail: str, rng: random.Random) -> list[float]:
        contrast = parse_contrast(tail.partition(":\n\n")[2].partition("Is this comparison")[0])
        return [self.check * (2 - self._errors(parts, _aspect(tail), contrast, rng))]

    def _errors(self, parts: ComparisonParts, aspect: str, contrast: Contrast, rng: random.Random) -> int:
        """Counts the statements that are out of place or missing, as far as they are noticed."""
        subjects = [aspect] if aspect in world.SUBJECTS else world.SUBJECTS
        a, b = (self._notice(text, subjects, 1.0, rng) for text in (parts.first, parts.second))
        true = [(place, point) for place, each in enumerate((a - b, b - a, a & b)) for point in each]
        said = [(place, p) for place, each in enumerate(contrast) for s in each for p in world.read_report(s).points]
        return sum(rng.random() < self.spread for _ in sorted(set(true) ^ set(said)))

    def _notice(self, text: str, subjects: Sequence[str], attention: float, rng: random.Random) -> set[tuple[str, int]]:
        points = _visible(text, self.blind)
        return {each for each in points if rng.random() < attention and each[0] in subjects}


@functools.lru_cache(maxsize=4096)
def _visible(text: str, blind: float) -> list[tuple[str, int]]:
    """Returns the points of a text that can be noticed at all: the same whenever it is read."""
    return [point for point in sorted(world.read_report(text).points) if rng_of(text, point).random() >= blind]


def _take_apart(prompt: str) -> tuple[ComparisonParts, str, str]:
    """Returns the pair, what is asked of it, and the last line."""
    head, _, tail = prompt.rpartition(f"\n\n{prompts.QUESTION} ")
    return parse_comparison(head), tail, tail.rstrip().rpartition("\n")[2]


def _aspect(tail: str) -> str:
    return tail.partition(" on the aspect ")[2].partition(":\n")[0]


def _count_asked(context: str, contrast: Contrast) -> int:
    first, second = (world.true_quality(context, " ".join(each)) for each in contrast[:2])
    return first - second
