"""A made world of requests: topics that come and go, questions that are asked again, models of known skill.

What is put in: embeddings lie in three levels (topic, subject, question), so that questions of one subject look alike
and want different answers. The odds that a model's answer is good are its skill in the topic, less the difficulty of
the question, and what examples do: each one of the same topic whose own answer was good raises them, with diminishing
returns, any other lowers them. Whether an answer was good leaves a trace in its embedding and none in its request's, so
that similarity alone cannot tell. What policies make of it is not put in.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Num

SMALL, LARGE = 0, 1
MODELS = ("small", "large")
COSTS = np.array([0.1, 1.0], np.float32)
"""What an answer of each model costs, the large one's being 1. Examples in the prompt cost more: see simulate.py."""
TOPIC, SUBJECT, QUESTION, PHRASING = 1.0, 0.45, 0.45, 0.2
"""Lengths of the parts of a request's embedding."""
TRACE, TRACE_NOISE = 0.6, 0.5  # of goodness in an answer's embedding, and what covers it
HELP, HARM, SATURATION = 1.0, 0.2, 3.0
"""An example's effect on the log-odds: up, down, and what all of them together can bring at most."""
SEEN, UNSEEN = 0.6, 0.3  # standard deviations of difficulty: what embeddings show, and what they do not
REUSED_OTHER = 0.05  # the quality of an answer to another question


class Drift(NamedTuple):
    """How popular each of K topics is over time, which goes from 0 to 1."""

    base: Float[np.ndarray, "K"]  # logits
    phase: Float[np.ndarray, "K"]  # of a wave that is added to them
    speed: Float[np.ndarray, "K"]  # waves
    starts: Float[np.ndarray, "K"]  # before which a topic is not asked about


class World(NamedTuple):
    """Q questions in K topics, embedded in D dimensions, and two models."""

    questions: Float[np.ndarray, "Q D"]  # unit
    topics: Int[np.ndarray, "Q"]
    popularity: Float[np.ndarray, "Q"]  # within its topic, sums to 1 there
    skills: Float[np.ndarray, "K M"]  # log-odds
    difficulties: Float[np.ndarray, "Q"]
    trace: Float[np.ndarray, "D"]  # unit, the direction of good answers
    drift: Drift


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
        difficulty(rng, unit(vectors.reshape(-1, width))),
        unit(trace[None])[0],
        make_drift(rng, num_topics),
    )


def difficulty(rng: np.random.Generator, questions: Float[np.ndarray, "Q D"]) -> Float[np.ndarray, "Q"]:
    """Draws how hard questions are, in log-odds: for the most part it shows in their embeddings."""
    seen = questions @ unit(rng.normal(size=(1, questions.shape[1])))[0]
    return (SEEN * (seen - seen.mean()) / seen.std() + UNSEEN * rng.normal(size=len(seen))).astype(np.float32)


def make_traffic(
    world: World,
    seed: int,
    times: Float[np.ndarray, "N"],
    arrivals: Float[np.ndarray, "N"],
    tokens: Int[np.ndarray, "N 2"],
) -> Traffic:
    """Draws the requests that arrive at these times.

    Args:
      times: from 0 to 1, by which topics come and go.
      arrivals: seconds, in order.
      tokens: of prompt and answer.
    """
    rng = np.random.default_rng([seed, 1])
    total, num_topics = len(arrivals), len(world.skills)
    topics = (rng.random((total, 1)) < topic_weights(world.drift, times).cumsum(1)).argmax(1)
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


def make_drift(rng: np.random.Generator, num_topics: int) -> Drift:
    """Draws how popular topics are; a quarter are not asked about before a third or two thirds of the time are over."""
    late = rng.permutation(num_topics)[: num_topics // 4]
    starts = np.zeros(num_topics)
    starts[late] = np.where(np.arange(len(late)) % 2, 1 / 3, 2 / 3)
    return Drift(
        -0.7 * np.log1p(rng.permutation(num_topics)), rng.random(num_topics), 1 + rng.random(num_topics), starts
    )


def topic_weights(drift: Drift, times: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N K"]:
    """Returns how likely each topic is at times from 0 to 1; rows sum to 1."""
    times = np.asarray(times)[:, None]
    weights = np.exp(drift.base + np.sin(2 * np.pi * (drift.phase + drift.speed * times))) * (times >= drift.starts)
    return weights / weights.sum(1, keepdims=True)


def qualities(
    world: World, questions: Int[np.ndarray, "B"], helps: Num[np.ndarray, "B"], harms: Num[np.ndarray, "B"]
) -> Float[np.ndarray, "B m"]:
    """Computes the chance that each model's answer is good, the small one's with examples, the large one's without.

    Args:
      questions: which.
      helps: how many of the examples are of the same topic and good answers.
      harms: how many are not.
    """
    odds = world.skills[world.topics[questions]] - world.difficulties[questions][:, None]
    odds[:, SMALL] += SATURATION * (1 - np.exp(-HELP * helps / SATURATION)) - HARM * harms
    return 1 / (1 + np.exp(-odds))


def answer_embeddings(
    world: World, questions: Int[np.ndarray, "*batch"], good: Bool[np.ndarray, "*batch"], noise: np.ndarray
) -> Float[np.ndarray, "*batch D"]:
    """Returns the embeddings of answers, which show through some noise whether they are good."""
    sign = np.where(good, 1.0, -1.0)[..., None]
    return unit(world.questions[questions] + TRACE * sign * world.trace + TRACE_NOISE * noise)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Divides rows by their norms."""
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
