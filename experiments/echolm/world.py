"""A made world of requests: topics that come and go, questions that are asked again, models of known skill.

What is put in: embeddings lie in three levels (topic, subject, question), so that questions of one subject look alike
and want different answers. The odds that a model's answer is good are its skill in the topic, less the difficulty of
the question, and what examples do: each one of the same topic whose own answer was good raises them, with diminishing
returns, any other lowers them. Whether an answer was good leaves a trace in its embedding and none in its request's, so
that similarity alone cannot tell. What policies make of it is not put in.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

SMALL, LARGE = 0, 1
MODELS = ("small", "large")
COSTS = np.array([0.1, 1.0], np.float32)
"""Of an answer of each model, with the large one's as unit. Examples in the prompt cost more: see simulate.py."""
TOPIC, SUBJECT, QUESTION, PHRASING = 1.0, 0.45, 0.45, 0.2
"""Lengths of the parts of a request's embedding."""
TRACE, TRACE_NOISE = 0.6, 0.5  # of goodness in an answer's embedding, and what covers it
HELP, HARM, SATURATION = 1.0, 0.2, 2.4
"""An example's effect on the log-odds: up, down, and what all of them together can bring at most."""
REUSED_OTHER = 0.05  # the quality of an answer to another question


class World(NamedTuple):
    """Q questions in K topics, embedded in D dimensions, and two models."""

    questions: Float[np.ndarray, "Q D"]  # unit
    topics: Int[np.ndarray, "Q"]
    popularity: Float[np.ndarray, "Q"]  # within its topic, sums to 1 there
    skills: Float[np.ndarray, "K M"]  # log-odds
    difficulties: Float[np.ndarray, "Q"]
    trace: Float[np.ndarray, "D"]  # unit, the direction of good answers


class Traffic(NamedTuple):
    """N requests in order, and everything that is random in their outcomes, so that methods meet the same luck."""

    arrivals: Float[np.ndarray, "N"]  # seconds
    questions: Int[np.ndarray, "N"]
    embeddings: Float[np.ndarray, "N D"]
    prompt_tokens: Int[np.ndarray, "N"]
    answer_tokens: Int[np.ndarray, "N"]
    luck: Float[np.ndarray, "N M"]  # in [0, 1]: an answer is good if its quality is above
    answers: Float[np.ndarray, "N D"]  # noise of the answers' embeddings


def make_world(seed: int, *, width: int = 64, num_topics: int = 24, subjects: int = 6, questions: int = 20) -> World:
    """Makes a world of ``num_topics * subjects * questions`` questions."""
    rng = np.random.default_rng([seed, 0])
    shape = (num_topics, subjects, questions)
    parts = [rng.normal(size=(*shape[: level + 1], width)) for level in range(3)]
    topic, subject, question = (part / np.linalg.norm(part, axis=-1, keepdims=True) for part in parts)
    vectors = TOPIC * topic[:, None, None] + SUBJECT * subject[:, :, None] + QUESTION * question
    count = subjects * questions
    ranks = np.stack([rng.permutation(count) for _ in range(num_topics)])
    popularity = 1 / (1 + ranks) ** 0.8
    skills = np.stack([rng.normal(0.1, 0.9, num_topics), rng.normal(1.9, 0.4, num_topics)], 1)
    trace = rng.normal(size=width)
    return World(
        unit(vectors.reshape(-1, width)),
        np.repeat(np.arange(num_topics), count),
        (popularity / popularity.sum(1, keepdims=True)).reshape(-1),
        skills.astype(np.float32),
        rng.normal(0, 0.7, num_topics * count).astype(np.float32),
        unit(trace[None])[0],
    )


def make_traffic(world: World, seed: int, arrivals: Float[np.ndarray, "N"], tokens: Int[np.ndarray, "N 2"]) -> Traffic:
    """Draws the requests that arrive at these times.

    Topics are of unequal weight, which drifts; a quarter of them are not asked about before a third or two thirds of
    the time are over.

    Args:
      arrivals: seconds, in order.
      tokens: of prompt and answer.
    """
    rng = np.random.default_rng([seed, 1])
    total, num_topics = len(arrivals), len(world.skills)
    weights = topic_weights(rng, num_topics, np.arange(total) / total)
    topics = (rng.random((total, 1)) < weights.cumsum(1)).argmax(1)
    per_topic = len(world.topics) // num_topics
    within = world.popularity.reshape(num_topics, per_topic).cumsum(1)
    questions = topics * per_topic + (rng.random((total, 1)) < within[topics]).argmax(1)
    phrasing = unit(rng.normal(size=(total, world.questions.shape[1])))
    return Traffic(
        np.asarray(arrivals, np.float64),
        questions,
        unit(world.questions[questions] + PHRASING * phrasing),
        *tokens.T,
        rng.random((total, len(MODELS))).astype(np.float32),
        unit(rng.normal(size=phrasing.shape)),
    )


def topic_weights(rng: np.random.Generator, num_topics: int, times: Float[np.ndarray, "N"]) -> np.ndarray:
    """Returns how likely each topic is at times in [0, 1], ``[N, K]``; rows sum to 1."""
    base = -0.7 * np.log1p(rng.permutation(num_topics))
    phase, speed = rng.random((2, num_topics))
    starts = np.zeros(num_topics)
    late = rng.permutation(num_topics)[: num_topics // 4]
    starts[late] = np.where(np.arange(len(late)) % 2, 1 / 3, 2 / 3)
    logits = base + np.sin(2 * np.pi * (phase + (1 + speed) * times[:, None]))
    weights = np.exp(logits) * (times[:, None] >= starts)
    return weights / weights.sum(1, keepdims=True)


def qualities(
    world: World, questions: Int[np.ndarray, "B"], topics: Int[np.ndarray, "B M"], good: Bool[np.ndarray, "B M"]
) -> Float[np.ndarray, "B 2"]:
    """Computes the chance that each model's answer is good, the small one's with examples, the large one's without.

    Args:
      questions: which.
      topics: of each example; -1 where there is none.
      good: True for examples whose own answer was good.
    """
    odds = world.skills[world.topics[questions]] - world.difficulties[questions][:, None]
    there = topics >= 0
    helps = there & good & (topics == world.topics[questions][:, None])
    gained = SATURATION * (1 - np.exp(-HELP * helps.sum(1) / SATURATION))
    odds[:, SMALL] += gained - HARM * (there & ~helps).sum(1)
    return 1 / (1 + np.exp(-odds))


def answer_embeddings(world: World, traffic: Traffic, rows: Int[np.ndarray, "B"], good: Bool[np.ndarray, "B"]):
    """Returns the embeddings of answers, ``[B, D]``, which show whether they were good through some noise."""
    sign = np.where(good, 1.0, -1.0)[:, None]
    return unit(
        world.questions[traffic.questions[rows]] + TRACE * sign * world.trace + TRACE_NOISE * traffic.answers[rows]
    )


def unit(vectors: np.ndarray) -> np.ndarray:
    """Divides rows by their norms."""
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
