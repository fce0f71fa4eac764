"""Metrics of which each is one program for a shape: operation by operation, each of its dozens would be compiled."""

import functools

import jax
import numpy as np


def compiled(metric):
    """A metric whose arguments are arrays, and whose options that are none are part of the program."""

    @functools.cache
    def program(options):
        return jax.jit(functools.partial(metric, **dict(options)))

    @functools.wraps(metric)
    def call(*arrays, **named):
        static = {name: value for name, value in named.items() if not isinstance(value, jax.Array | np.ndarray)}
        return program(tuple(static.items()))(*arrays, **{name: named[name] for name in named.keys() - static})

    return call
