"""Fine-tuning of a network with a classifier's head, whose weights are the best on a development part."""

import dataclasses
import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from experiments.common import machines
from experiments.common.classifiers import reading, steps
from experiments.common.classifiers.settings import ClassifierTraining, Start, Trained
from experiments.common.classifiers.split import Split, rarest, split_rows
from experiments.common.task import Policy
from jaxalign import data, metrics, models, sharding, training
from jaxalign.data import EncodedTexts
from jaxalign.data.text.single_texts import TextLabels
from jaxalign.io import keys
from jaxalign.io.cluster import launch
from jaxalign.io.run import checkpoints, loop, model_config
from jaxalign.io.run.writers import METRICS, read_metrics
from jaxalign.typing import Params, TextBatch

FORMAT = 1  # of a training's folder
WARMUP = 0.06  # of the steps
CHECKPOINT_EVERY = 200  # steps: the most that a killed training repeats
LEAST = 1e-7  # probabilities below it count as this much in the loss

_class_probabilities = jax.jit(models.class_probabilities, static_argnums=0)


def fit(
    texts: Sequence[str],
    labels: Sequence[Any],
    targets: TextLabels,
    classes: tuple[str, ...],
    start: Start,
    directory: pathlib.Path,
    tuning: ClassifierTraining,
    seed: int,
) -> Trained:
    """The network after ``tuning.epochs``, with the weights of the epoch that was best on the development part."""
    several = targets.ndim == 2
    split = split_rows(rarest(labels) if several else labels, tuning.dev_share, seed)
    lengths = reading.row_lengths(tuning.text_lengths, start.backbone)
    encoded = data.encode_texts(texts, start.tokenizer, max_tokens=lengths[-1], labels=targets)
    network = with_head(start, classes, several, jax.random.key(seed))
    if launch.is_main():
        _begin(directory, network, start, texts, targets, tuning, seed)
    dev = reading.select(encoded, split.dev)
    judge = functools.partial(_judge, network.model, dev, lengths)
    _run(network, reading.select(encoded, split.train), judge, directory, tuning, lengths, seed)
    best = jax.tree.map(jnp.asarray, checkpoints.load_params(directory / "best"))
    predict = functools.partial(_predict, network.model, best, start, lengths)
    told = _told(texts, targets, classes, split, encoded.truncated) | _choice(directory)
    return Trained(classes, several, predict, told, start, Policy(network.model, best))


def with_head(start: Start, classes: tuple[str, ...], several: bool, key: Array) -> Policy:
    """A classifier with a fresh head, which reads the state that transformers' classifier of the family reads."""
    problem_type = models.head_config.PROBLEM_TYPES[several]
    model = models.build(models.ClassifierConfig(start.backbone.model.config, classes, problem_type))
    return Policy(model, _init(model, key, start.backbone.params))


_init = jax.jit(models.init_classifier_params, static_argnums=0)


def score(development: Mapping[str, float]) -> float:
    """Accuracy or micro-F1 on the development part; of equal ones the lower loss is better."""
    loss = development["loss"]
    return development["micro-F1" if "micro-F1" in development else "accuracy"] - 1e-6 * loss / (1 + loss)


def _run(network: Policy, train: EncodedTexts, judge, directory, tuning: ClassifierTraining, lengths, seed) -> None:
    steps_per_epoch = -(-len(train) // tuning.classifier_batch)
    num_steps = tuning.epochs * steps_per_epoch
    state, make_step = steps.start_state(
        network.params,
        peak=tuning.classifier_learning_rate,
        num_steps=num_steps,
        warmup_steps=int(WARMUP * num_steps),
        weight_decay=tuning.weight_decay,
    )
    batches = data.text_batches(
        train,
        batch_size=tuning.classifier_batch,
        row_lengths=lengths,
        seed=seed,
        drop_remainder=False,
        **machines.share(),
    )
    loop.fit(
        make_step(training.make_classification_loss(network.model)),
        state,
        batches,
        key=jax.random.key(seed),
        num_steps=num_steps,
        directory=directory,
        place=functools.partial(sharding.place_batch, mesh=machines.mesh(), rules=machines.RULES),
        eval_fn=lambda state: judge(machines.here(state.params)),
        eval_every=steps_per_epoch,
        best=score,
        checkpoint_every=CHECKPOINT_EVERY,
        keep=1,
    )


def _judge(model: models.Classifier, dev: EncodedTexts, lengths: Sequence[int], params: Params) -> dict[str, float]:
    """Figures on the development part: the loss, and accuracy or micro-F1."""
    probabilities = np.clip(_probabilities(model, params, lengths, dev), LEAST, 1 - LEAST)
    if model.config.multi_label:
        loss = -np.where(dev.labels > 0.5, np.log(probabilities), np.log1p(-probabilities)).mean()
        counts = metrics.label_counts(jnp.asarray(probabilities >= 0.5), jnp.asarray(dev.labels))
        return {"loss": float(loss), "micro-F1": float(counts.micro_f1)}
    loss = -np.log(probabilities[np.arange(len(dev)), dev.labels]).mean()
    return {"loss": float(loss), "accuracy": float(np.mean(probabilities.argmax(axis=1) == dev.labels))}


def _predict(model: models.Classifier, params: Params, start: Start, lengths: Sequence[int], texts: Sequence[str]):
    encoded = data.encode_texts(texts, start.tokenizer, max_tokens=lengths[-1])
    return _probabilities(model, params, lengths, encoded)


def _probabilities(
    model: models.Classifier, params: Params, lengths: Sequence[int], texts: EncodedTexts
) -> Float[np.ndarray, "N C"]:
    def read(batches: Iterator[TextBatch]):
        parts = [
            np.asarray(_class_probabilities(model, params, batch.tokens, batch.mask))[batch.where] for batch in batches
        ]
        return np.concatenate(parts)

    return reading.read_texts(read, texts, lengths)


def _begin(directory: pathlib.Path, network: Policy, start: Start, texts, targets, tuning, seed: int) -> None:
    """Refuses a folder that holds a training of something else."""
    keys.begin(
        directory / METRICS,
        {
            keys.FORMAT: FORMAT,
            "texts": keys.digest(list(texts)),
            "labels": data.fingerprint(targets),
            "settings": dataclasses.asdict(dataclasses.replace(tuning, encoder="")),  # known by its weights
            "seed": seed,
            "network": keys.of_model(network.model.config, network.params),
            "tokenizer": keys.of_tokenizer(start.tokenizer),
        },
    )
    model_config.save_config(directory, network.model.config)
    start.tokenizer.save(directory / "tokenizer")


def _told(texts: Sequence[str], targets: TextLabels, classes: tuple[str, ...], split: Split, truncated: int):
    """Counts, and what the development part lacks."""
    have = targets if targets.ndim == 2 else np.eye(len(classes))[targets]
    seen = {texts[row] for row in split.train}
    told = {
        "texts to learn from": len(split.train),
        "texts of the development part": len(split.dev),
        "of these, also learnt from": sum(texts[row] in seen for row in split.dev),
        "texts that were cut": truncated,
    }
    lacking = {
        name: [label for label, there in zip(classes, have[rows].any(axis=0), strict=True) if not there]
        for name, rows in (("to learn from", split.train), ("in the development part", split.dev))
    }
    return told | {f"classes without a text {name}": ", ".join(found) for name, found in lacking.items() if found}


def _choice(directory: pathlib.Path) -> dict[str, Any]:
    """Which weights were kept."""
    rows = [row for row in read_metrics(directory) if "eval/loss" in row]
    development = [{name.removeprefix("eval/"): value for name, value in row.items()} for row in rows]
    best = max(range(len(rows)), key=lambda number: score(development[number]))
    figures = {
        f"development {name}": development[best][name]
        for name in ("accuracy", "micro-F1", "loss")
        if f"eval/{name}" in rows[best]
    }
    return {"epoch that was kept": best + 1, "epochs": len(rows), **figures}
