"""What learns from recorded outcomes of two models which requests are worth the strong one.

A learner is ``learn(train, test) -> [N]``: it reads outcomes of training rows and gives each test row a number, higher
where the strong model is more likely to be right and the weak one wrong. It sees nothing but the prompts of ``test``.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from jaxalign import metrics, serving
from jaxalign.typing import EmbedFn

SETTINGS = ((0.05, 3.0), (0.1, 10.0), (0.2, 30.0))
"""What inner folds choose from: how much a feature counts beside a unit embedding, and the ridge penalty."""
NEIGHBOURS = (50, 150)
SHARPNESS = 16.0  # of the chances of groups that a regression on their indicators gives
GROUP_PRIOR = 20.0  # requests at the mean of all, which each group's mean begins with
FOLDS = 5
BATCH = 512
_NUMBER = re.compile(r"\d[\d,]*\.?\d*")


class Outcomes(NamedTuple):
    """How two models answered N requests.

    Attributes:
      prompts: N requests.
      weak: ``[N]``, 1 where the weak model is right, 0 where it is wrong.
      strong: ``[N]``, the same of the strong model.
      hints: ``[N, H]``, what else is known of the answers when a router learns, such as how long they are, and nobody
        knows when it decides.
      groups: ``[N]``, what kind of request each one is, from 0, such as its subject; all 0 where there is one kind.
        These too are for learning only.
    """

    prompts: tuple[str, ...]
    weak: Float[np.ndarray, "N"]
    strong: Float[np.ndarray, "N"]
    hints: Float[np.ndarray, "N H"]
    groups: Int[np.ndarray, "N"]

    def take(self, rows: np.ndarray) -> "Outcomes":
        """Returns some of the rows, by place."""
        prompts = tuple(self.prompts[row] for row in rows)
        return Outcomes(prompts, self.weak[rows], self.strong[rows], self.hints[rows], self.groups[rows])


LearnFn = Callable[[Outcomes, Outcomes], Float[np.ndarray, "N"]]


def folds_of(prompts: Sequence[str], seed: int) -> np.ndarray:
    """Deals prompts to five folds, ``[N]`` from 0 to 4; equal prompts are in one fold, lest they be in both parts."""
    groups = np.unique(np.asarray(prompts, dtype=object).astype(str), return_inverse=True)[1]
    count = groups.max() + 1
    return (np.random.default_rng(seed).permutation(count) % FOLDS)[groups]


def learn_words(train: Outcomes, test: Outcomes) -> Float[np.ndarray, "N"]:
    """The floor: a logistic regression on TF-IDF of words of whether the strong model alone is right.

    Raises:
      ImportError: if scikit-learn, whose both are, is not installed.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise ImportError("the floor of words needs scikit-learn: pip install scikit-learn") from error
    words = TfidfVectorizer()
    only_strong = (train.strong > train.weak).astype(int)
    fitted = LogisticRegression(max_iter=1000).fit(words.fit_transform(train.prompts), only_strong)
    return fitted.predict_proba(words.transform(test.prompts))[:, 1]


def features(prompts: Sequence[str]) -> Float[np.ndarray, "N F"]:
    """Counts what is plain to see in a request: its words, numbers and sentences, and words that hint at sums."""
    return np.asarray([_features(prompt) for prompt in prompts], np.float64)


def make_stacked(embed: EmbedFn) -> LearnFn:
    """Makes a learner in two stages on embeddings and features.

    First, several simple ones each say what to expect of both models and of their difference: ridge regressions, which
    also predict the hints; the most similar requests; the group that a request seems to belong to; and the groups of
    the most similar ones. Then one regression of the difference on what they say of rows that they have not seen, with
    a penalty so strong (as many as there are rows) that it is near an average of them.

    Args:
      embed: makes embeddings of texts, which are scaled to length 1.
    """

    def learn(train: Outcomes, test: Outcomes) -> Float[np.ndarray, "N"]:
        rows = _unit(embed(train.prompts)), features(train.prompts)
        others = _unit(embed(test.prompts)), features(test.prompts)
        inner = folds_of(train.prompts, 0)
        parts = [(np.flatnonzero(inner != fold), np.flatnonzero(inner == fold)) for fold in range(FOLDS)]
        setting = _choose_setting(train, rows, parts)
        told = _expect(train, rows, others, setting)
        said = np.zeros((len(train.prompts), told.shape[1]))
        for known, new in parts:
            said[new] = _expect(train.take(known), _part(rows, known), _part(rows, new), setting)
        inputs, other_inputs = _standardise(said, told)
        gains = (train.strong - train.weak)[:, None]
        return _ridge(inputs, gains, len(inputs))(other_inputs)[:, 0]

    return learn


def make_network(embed: EmbedFn, *, steps: int = 150, seed: int = 0) -> LearnFn:
    """Makes a learner with the router of :mod:`jaxalign.serving`: an ensemble of networks on embeddings and features.

    Hints are learnt as if they were answers of further models, as ranks in [0, 1].

    Args:
      embed: makes embeddings of texts, which are scaled to length 1.
      steps: of AdamW, each on 512 rows drawn at random; few of them, because outcomes are noisy.
      seed: of the networks' start and of the rows that each member learns from.
    """

    def learn(train: Outcomes, test: Outcomes) -> Float[np.ndarray, "N"]:
        counted, other_counts = _standardise(features(train.prompts), features(test.prompts))
        vectors, others = (_unit(embed(each.prompts)) for each in (train, test))
        scale = np.sqrt(vectors.shape[1])
        inputs = jnp.asarray(np.hstack([scale * vectors, counted]), jnp.float32)
        ranks = [np.argsort(np.argsort(hint, kind="stable")) / max(len(hint) - 1, 1) for hint in train.hints.T]
        outcomes = jnp.asarray(np.stack([train.weak, train.strong, *ranks], axis=1), jnp.float32)
        params = _fit_network(inputs, outcomes, jax.random.key(seed), steps)
        logits = serving.router_logits(params, jnp.asarray(np.hstack([scale * others, other_counts]), jnp.float32))
        chances = np.asarray(jax.nn.sigmoid(logits).mean(axis=0))
        return chances[:, 1] - chances[:, 0]

    return learn


def _fit_network(inputs, outcomes, key, steps: int):
    config = serving.RouterConfig(num_models=outcomes.shape[1])
    start_key, rows_key, drop_key = jax.random.split(key, 3)
    counts = jax.random.poisson(rows_key, 1.0, (config.members, len(inputs))).astype(jnp.float32)
    optimizer = optax.adamw(optax.cosine_decay_schedule(1e-3, steps), weight_decay=1.0)

    def loss_fn(params, key):
        rows_key, keep_key = jax.random.split(key)
        rows = jax.random.randint(rows_key, (BATCH,), 0, len(inputs))
        kept = jax.random.bernoulli(keep_key, 0.5, (BATCH, inputs.shape[1]))
        logits = serving.router_logits(params, jnp.where(kept, 2 * inputs[rows], 0))
        losses = optax.sigmoid_binary_cross_entropy(logits, outcomes[rows][None])
        return (losses.mean(axis=-1) * counts[:, rows]).mean()

    @jax.jit
    def fit(params):
        def step(carry, key):
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss_fn)(params, key), state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), jax.random.split(drop_key, steps))[0][0]

    return fit(serving.init_router(start_key, config, inputs.shape[1]))


def _expect(train: Outcomes, rows, others, setting) -> Float[np.ndarray, "N P"]:
    """What each simple learner says of other requests, side by side; the first column is a ridge's of the gain."""
    inputs, other_inputs = _inputs(rows, others, setting[0])
    outcomes = _outcomes(train)
    hints = _standardise(train.hints, train.hints)[0]
    indicators = np.eye(train.groups.max() + 1)[train.groups]
    predicted = _ridge(inputs, np.hstack([outcomes, hints, indicators]), setting[1])(other_inputs)
    direct, logits = np.split(predicted, [outcomes.shape[1] + hints.shape[1]], axis=1)
    chances = np.asarray(jax.nn.softmax(SHARPNESS * logits, axis=1))
    counts = indicators.sum(axis=0)[:, None]
    by_group = (indicators.T @ outcomes + GROUP_PRIOR * outcomes.mean(axis=0)) / (counts + GROUP_PRIOR)
    most = min(NEIGHBOURS[-1], len(outcomes))
    cosines = others[0].astype(np.float32) @ rows[0].astype(np.float32).T
    near = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
    near = np.take_along_axis(near, np.argsort(-np.take_along_axis(cosines, near, 1), axis=1), 1)
    neighbours = [outcomes[near[:, :count]].mean(axis=1) for count in NEIGHBOURS]
    kinds = by_group[train.groups[near[:, : NEIGHBOURS[0]]]].mean(axis=1)
    return np.hstack([direct, chances @ by_group, kinds, *neighbours])


def _choose_setting(train: Outcomes, rows, parts) -> tuple[float, float]:
    """The setting with which ridge regressions of the gain have the largest APGR on requests they have not seen."""
    gains, found = (train.strong - train.weak)[:, None], {}
    for scale, penalty in SETTINGS:
        said = np.zeros(len(gains))
        for known, new in parts:
            inputs, others = _inputs(_part(rows, known), _part(rows, new), scale)
            said[new] = _ridge(inputs, gains[known], penalty)(others)[:, 0]
        scores = (jnp.asarray(each, jnp.float32) for each in (train.weak, train.strong, said))
        found[scale, penalty] = float(metrics.average_performance_gap_recovered(*scores))
    return max(found, key=found.get)


def _inputs(rows, others, scale: float) -> tuple[np.ndarray, np.ndarray]:
    counted, other_counts = _standardise(rows[1], others[1])
    return np.hstack([rows[0], scale * counted]), np.hstack([others[0], scale * other_counts])


def _part(rows, places) -> tuple[np.ndarray, ...]:
    return tuple(each[places] for each in rows)


def _ridge(inputs, targets, penalty: float) -> Callable[[np.ndarray], np.ndarray]:
    """A ridge regression with an intercept."""
    centre, level = inputs.mean(axis=0), targets.mean(axis=0)
    moments = (inputs - centre).T @ (inputs - centre) + penalty * np.eye(inputs.shape[1])
    weights = np.linalg.solve(moments, (inputs - centre).T @ (targets - level))
    return lambda others: (others - centre) @ weights + level


def _outcomes(train: Outcomes) -> Float[np.ndarray, "N 3"]:
    return np.column_stack([train.strong - train.weak, train.weak, train.strong])


def _standardise(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1)
    return (train - mean) / spread, (test - mean) / spread


def _unit(vectors) -> np.ndarray:
    vectors = np.asarray(vectors, np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _features(prompt: str) -> list[float]:
    text, sentences = prompt.lower(), re.split(r"[.?!]\s", prompt.strip())
    numbers = _NUMBER.findall(text)
    largest = max((float(number.replace(",", "")) for number in numbers), default=0.0)
    last, words = sentences[-1].lower(), set(re.findall(r"[a-z]+", text))
    counted = [len(text.split()), np.log(len(text) + 1), len(sentences), len(last.split()), len(numbers)]
    marks = ["$" in text, "%" in text, bool(re.search(r"\d\.\d", text)), bool(re.search(r"\d/\d", text))]
    asked = ["how many" in last, "how much" in last, bool({"not", "except"} & words)]
    groups = ("half third quarter", "percent", "hour hours minutes", "times twice", "each", "more", "less fewer", "if")
    groups += ("average", "day days week weeks", "year years age old", "cost costs pay spend earn profit money")
    told = [bool(set(group.split()) & words) for group in groups]
    return [*counted, float(np.log1p(largest)), *map(float, marks + asked + told)]
