"""Example tables for the tests of the manager and the selector."""

import jax
import numpy as np

from jaxalign.serving import NewExamples


def new_examples(count, width=4, seed=0, **fields):
    """Rows with random embeddings, and other fields as given: numbers for all, or one for each."""
    rng = np.random.default_rng(seed)
    values = {"partition": 0, "user": 0, "size": 100, "tokens": 10, "quality": 0.5, "cost": 1, "hours": 0} | fields
    whole = ("partition", "user", "tokens")
    rows = {
        name: np.broadcast_to(np.asarray(value, np.int32 if name in whole else np.float32), count)
        for name, value in values.items()
        if name not in ("requests", "responses")
    }
    vectors = {name: rng.normal(size=(count, width)).astype(np.float32) for name in ("requests", "responses")}
    return NewExamples(**rows, **(vectors | {name: fields[name] for name in vectors if name in fields}))


def on_host(tree):
    """NumPy arrays, so that looking at parts of them compiles nothing."""
    return jax.tree.map(np.asarray, tree)
