"""A teacher of known law that reads the rendered prompts, and scorers of entailment that go by words."""

import random
import re
import zlib

import numpy as np

from jaxalign.metrics import split_words
from jaxalign.planning import article_headings

REFUSAL = "I'm sorry, but I can't help with that."


def shown_articles(prompt):
    """The articles between lines of tildes, the last of which is the one that is asked about."""
    fence = re.search(r"lines of (~+) is", prompt)[1]
    return re.findall(rf"^Article:\n{fence}\n(.*?)\n{fence}$", prompt, re.DOTALL | re.MULTILINE)


class Teacher:
    """A GenerateFn that writes true steps, and others at known rates; sample k is drawn with ``seed + k``.

    ``spoils`` is the rate at which a step is of another article of the prompt or says nothing, ``refuses`` that of
    refusals; ``missing`` is the number of texts by which every answer falls short.
    """

    def __init__(self, *, spoils=0.0, refuses=0.0, missing=0):
        self.spoils, self.refuses, self.missing = spoils, refuses, missing
        self.calls, self.prompts = [], []

    def __call__(self, prompts, *, n=1, temperature=1.0, max_tokens=256, seed=None, stop=()):
        self.calls.append({"n": n, "temperature": temperature, "max_tokens": max_tokens, "seed": seed})
        self.prompts.extend(prompts)
        drawn = [[random.Random(f"{seed + k} {prompt}") for k in range(n - self.missing)] for prompt in prompts]
        return [[self.write(prompt, rng) for rng in each] for prompt, each in zip(prompts, drawn, strict=True)]

    def write(self, prompt, rng):
        if rng.random() < self.refuses:
            return REFUSAL
        article = shown_articles(prompt)[-1]
        if rng.random() < self.spoils:
            article = "# Nothing\nNobody knows a single word of this.\n# Void\nSilence reigned here, as ever before."
        if prompt.endswith("Outline:\n"):
            return "\n".join(f"{'#' * level} {title}" for title, level in article_headings(article))
        sentences = [line for line in article.splitlines() if line.strip() and not line.startswith("#")]
        if prompt.endswith("Summary:\n"):
            return "Here is the summary:\n\n" + " ".join(sentences)
        return "<think>Which?</think>" + "\n".join(f"- {sentence}" for sentence in sentences)


def embed_words(texts):
    """Counts of words, hashed to 512 places: cosines are the shares of words that two texts have in common."""
    rows = np.zeros((len(texts), 512))
    for row, text in zip(rows, texts, strict=True):
        for word in split_words(text):
            row[zlib.crc32(word.encode()) % 512] += 1
    return rows


def overlap(premises, hypotheses):
    """An EntailFn: the share of the hypothesis's different words that the premise has."""
    pairs = [(set(split_words(p)), set(split_words(h))) for p, h in zip(premises, hypotheses, strict=True)]
    return np.array([len(premise & hypothesis) / len(hypothesis) for premise, hypothesis in pairs])
