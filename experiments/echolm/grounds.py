"""What all methods of a seed share: a world, earlier requests, the traffic, and a classifier learnt beforehand."""

import pathlib

import jax
import numpy as np

from experiments.echolm import arrivals, world
from experiments.echolm.simulate import TRUTH, Ground
from experiments.echolm.world import MODELS, Traffic, World
from jaxalign import models

ELSEWHERE = 1000  # added to a seed, for requests before and beside the traffic


def make(seed: int, num_requests: tuple[int, int], load: float, trace: str) -> Ground:
    """Makes the ground of a seed.

    Args:
      num_requests: earlier ones, and those of the traffic.
      load: times 5.5 requests a second, or times a trace's own rate.
      trace: a file of arrivals; none: they are drawn.
    """
    made = world.make_world(seed)
    before, count = num_requests
    earlier = arrivals.poisson(seed + ELSEWHERE, before, load)
    history = world.make_traffic(made, seed + ELSEWHERE, np.zeros(before), *earlier)
    when = arrivals.trace(pathlib.Path(trace), count, load) if trace else arrivals.poisson(seed, count, load)
    count = len(when[0])
    traffic = world.make_traffic(made, seed, np.arange(count) / count, *when)
    return Ground(made, history, traffic, classify(made, history, traffic, seed))


def classify(made: World, history: Traffic, traffic: Traffic, seed: int) -> np.ndarray:
    """A logistic regression on embeddings for each model, as RouteLLM's classifiers: learnt of earlier requests.

    Both models have answered each of them, without examples, and a judge has said which answers are good.
    """
    rng = np.random.default_rng([seed, 4])
    none = np.zeros(len(history.questions))
    good = history.luck < world.qualities(made, history.questions, none, none)
    said = np.where(rng.random(good.shape) < TRUTH, good, ~good)
    chances = []
    for model in range(len(MODELS)):
        probe = models.fit_probe(history.embeddings, said[:, model].astype(int), num_classes=2)
        chances.append(jax.nn.softmax(models.probe_logits(probe, traffic.embeddings))[:, 1])
    return np.stack(chances, 1)
