"""The classifier on a network that learns with it: an encoder, and ``d W C^T`` on its states."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from experiments.common import machines, stages
from experiments.common.classifiers import reading
from experiments.common.task import Policy
from experiments.teleclass.learning import Learnt, Lessons
from experiments.teleclass.settings import Training
from jaxalign import data, models, sharding, training
from jaxalign.io import hf, keys
from jaxalign.io.cluster import launch
from jaxalign.io.run import loop
from jaxalign.io.run.writers import METRICS
from jaxalign.taxonomy import Taxonomy

FORMAT = 1  # of a training's folder
CHECKPOINT_EVERY = 200  # steps: the most that a killed training repeats

_class_probabilities = jax.jit(models.class_probabilities, static_argnums=0)
_init = jax.jit(models.init_matching_params, static_argnums=0)


class FineTuner:
    """Trains a classifier of a taxonomy for each of several methods, in a folder each.

    Args:
      settings: which network learns, and how.
      taxonomy: the classes.
      directory: of the trainings.
      seed: of the head and of the order of texts.
    """

    def __init__(self, settings: Training, taxonomy: Taxonomy, directory: pathlib.Path, seed: int):
        self._settings, self._directory, self._seed = settings, directory, seed
        model = settings.network or settings.encoder
        self.tokenizer = data.load_tokenizer(hf.resolve(model))
        network = stages.load_policy(model)
        self.lengths = reading.row_lengths(settings.text_lengths, network)
        names = name_vectors(network, self.tokenizer, taxonomy)
        self.config = models.MatchingConfig(network.model.config, taxonomy.ids, names.shape[1], settings.pooling)
        self._model = models.build(self.config)
        self._params = _init(self._model, jax.random.key(seed), network.params, names)
        self._optimizer = training.adamw(settings.fine_tuning_rate, weight_decay=settings.weight_decay)
        mesh = machines.mesh()
        make_step = training.train_step_maker(self._optimizer, mesh=mesh, rules=machines.RULES)
        self._step = make_step(training.make_matching_loss(self._model))
        self.truncated: dict[str, int] = {}  # texts that were cut, by method

    def __call__(self, name: str, lessons: Lessons, texts: Sequence[str], embeddings) -> Learnt:
        """Trains on lessons and reads texts; the same call again continues the training in its folder."""
        directory = self._directory / name.replace(" ", "-").replace("'", "")
        weights = lessons.where * (lessons.weights / lessons.weights.max())[:, None]
        targets = np.concatenate([lessons.labels, weights], axis=1).astype(np.float32)
        encoded = data.encode_texts(lessons.texts, self.tokenizer, max_tokens=self.lengths[-1], labels=targets)
        self.truncated[name] = encoded.truncated
        if launch.is_main():
            self._begin(directory, lessons, targets)
        params = machines.here(self._fit(directory, encoded))
        return Learnt(self._read(params, texts), params)

    def _fit(self, directory: pathlib.Path, encoded: data.EncodedTexts):
        s, mesh = self._settings, machines.mesh()
        batches = data.text_batches(
            encoded,
            batch_size=s.batch,
            row_lengths=self.lengths,
            seed=self._seed,
            drop_remainder=False,
            **machines.share(),
        )
        params = jax.tree.map(jnp.copy, self._params)  # the first step uses its state up
        state = loop.fit(
            self._step,
            training.init_state(params, self._optimizer, mesh=mesh, rules=machines.RULES),
            batches,
            key=jax.random.key(self._seed),
            num_steps=s.epochs * -(-len(encoded) // s.batch),
            directory=directory,
            place=functools.partial(sharding.place_batch, mesh=mesh, rules=machines.RULES),
            checkpoint_every=CHECKPOINT_EVERY,
            keep=1,
        )
        return state.params

    def _read(self, params, texts: Sequence[str]) -> Float[np.ndarray, "N C"]:
        if not texts:
            return np.zeros((0, len(self.config.labels)), np.float32)
        encoded = data.encode_texts(texts, self.tokenizer, max_tokens=self.lengths[-1])

        def read(batches):
            rows = [
                np.asarray(_class_probabilities(self._model, params, batch.tokens, batch.mask))[batch.where]
                for batch in batches
            ]
            return np.concatenate(rows)

        return reading.read_texts(read, encoded, self.lengths)

    def _begin(self, directory: pathlib.Path, lessons: Lessons, targets: Float[np.ndarray, "N K"]) -> None:
        """Refuses a folder that holds a training of something else."""
        settings = dataclasses.replace(self._settings, encoder="", network="")  # known by their weights
        key = {
            keys.FORMAT: FORMAT,
            "texts": keys.digest(list(lessons.texts)),
            "labels": data.fingerprint(targets),
            "settings": dataclasses.asdict(settings),
            "seed": self._seed,
            "network": keys.of_model(self.config, self._params),
            "tokenizer": keys.of_tokenizer(self.tokenizer),
        }
        keys.begin(directory / METRICS, key)


def name_vectors(network: Policy, tokenizer: data.HfTokenizer, taxonomy: Taxonomy) -> Float[np.ndarray, "C D"]:
    """Returns the mean state of the tokens of each name without the marks around it, as in the authors' code."""
    encoded = data.encode_texts(taxonomy.names, tokenizer, max_tokens=network.model.config.max_length)
    length = int(encoded.lengths.max())
    (batch,) = data.ordered_text_batches(encoded, batch_size=len(encoded), row_lengths=[length])
    real = jnp.asarray(batch.mask)
    hidden = network.model.apply({"params": network.params}, jnp.asarray(batch.tokens), mask=real)
    behind = np.pad(batch.mask[:, 1:], ((0, 0), (0, 1)))  # real tokens that another one follows
    words = batch.mask & behind & (np.arange(length)[None] > 0)
    return np.asarray(models.pool_states(hidden, jnp.asarray(words), "mean"))
