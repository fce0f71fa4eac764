"""From texts to a trained classifier: one class a text, and several, each shown by letters of its own."""

import jax
import numpy as np
import pytest

from jaxalign import data, models, training
from tests.letters import Letters

ENCODER = models.EncoderConfig(29, 16, 32, 1, 2, max_length=8, pooler=True)
NAMES = ("x", "y", "z")


def made_texts(count, seed):
    """Texts of five letters, the classes that are in each, and the places of texts with exactly one."""
    rng = np.random.default_rng(seed)
    texts = ["".join(rng.choice(list("abcdxyz"), 5)) for _ in range(count)]
    labels = [[name for name in NAMES if name in text] for text in texts]
    known = [place for place, names in enumerate(labels) if len(names) == 1]
    return texts, labels, known


@pytest.mark.parametrize("several", [False, True])
def test_a_classifier_learns(several):
    problem_type = "multi_label_classification" if several else "single_label_classification"
    model = models.build(models.ClassifierConfig(ENCODER, NAMES, problem_type))
    encoded = []
    for seed in 0, 1:
        texts, labels, known = made_texts(800, seed)
        if several:
            encoded.append(data.encode_texts(texts, Letters(), max_tokens=8, labels=data.label_matrix(labels, NAMES)))
        else:
            classes = data.class_ids([labels[place][0] for place in known], NAMES)
            chosen = [texts[place] for place in known]
            encoded.append(data.encode_texts(chosen, Letters(), max_tokens=8, labels=classes))
    params = jax.jit(model.init)(jax.random.key(0), np.zeros((1, 8), np.int32))["params"]
    loss_fn, optimizer = training.make_classification_loss(model), training.adamw(1e-2)
    step = training.make_train_step(loss_fn, optimizer)
    state, batches = training.init_state(params, optimizer), data.text_batches(encoded[0], batch_size=32)
    for _, batch in zip(range(150), batches, strict=False):
        state, _ = step(state, batch, jax.random.key(0))
    held_out = data.ordered_text_batches(encoded[1], batch_size=64)
    found = training.evaluate(training.make_eval_step(loss_fn), state.params, held_out, jax.random.key(0))
    assert found["accuracy"] > 0.95
