"""A language model that answers at random: deterministic by prompt and seed, with a taste for the first option."""

import random

from jaxalign.typing import OptionScore

WORDS = "short long clear dull exact wrong kind rude".split()


def score_by_lot(prompts, options):
    """Options of several tokens, scores that depend on the whole prompt, and 0.7 nats for what comes first."""
    return [
        [
            OptionScore(-random.Random(prompt + option).expovariate(0.5) + 0.7 * (place == 0), 1 + len(option) % 3)
            for place, option in enumerate(each)
        ]
        for prompt, each in zip(prompts, options, strict=True)
    ]


def write_by_lot(prompts, *, n=1, temperature=1.0, max_tokens=256, seed=None, stop=()):
    return [[_text(random.Random(f"{seed} {k} {prompt}"), prompt) for k in range(n)] for prompt in prompts]


def _text(rng, prompt):
    heading = prompt.rstrip().rpartition("\n")[2]
    if heading == "Aspects:":
        return "\n".join(f"- {word}" for word in rng.sample(WORDS, 5))
    if heading.startswith("Aspect: "):
        return _contrast(rng)
    if heading.startswith("Contrasts"):
        names = prompt.rpartition("with its name: ")[2].partition(".\n")[0].split("; ")
        return "\n".join(f"Aspect: {name}\n{_contrast(rng)}" for name in names)
    return f"So it goes.\nAnswer: {rng.choice(['A', 'A', 'B', 'tie', 'well'])}"


def _contrast(rng):
    drawn = iter(rng.sample(WORDS, 6))
    return "".join(f"{name}:\n- it is {next(drawn)}\n- and {next(drawn)}\n" for name in ("Only A", "Only B", "Both"))
