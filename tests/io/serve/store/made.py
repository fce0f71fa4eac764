"""Rows for tests."""

import numpy as np

from jaxalign.io.serve.store.rows import Feedback, Interaction, NewExample, Vectors


def example(who, request="a request", response="a response", **others):
    row = NewExample(who.tenant, who.partition, who.user, request, response, "large", 7, 0.75, 0.5)
    return row._replace(**others)


def vectors(*values):
    """Of width 2; the response's are the request's, backwards."""
    return [Vectors(np.array(value, np.float32), np.array(value[::-1], np.float32)) for value in values]


def add(store, who, *requests, embedder="e", **others):
    """Adds examples with these requests and returns their ids."""
    rows = [example(who, request, **others) for request in requests]
    return store.add_examples(rows, embedder, vectors(*[[1, at] for at in range(len(rows))]))


def interaction(who, id="i", **others):
    row = Interaction(
        id=id,
        tenant=who.tenant,
        user=who.user,
        partition=who.partition,
        model="small",
        request="asked",
        response="answered",
        examples=(),
        owners=(),
        context=b"\x00\x01",
        query=b"\x02\x03",
        embedder="e",
        policy="p",
        propensity=0.25,
        threshold=3,
        opponent=None,
        probes=(),
        cost=0.125,
        created=1000.0,
    )
    return row._replace(**others)


def rating(who, id="i", outcome=1.0, **others):
    return Feedback(id, who.tenant, "rating", outcome, "", 1000.0)._replace(**others)
