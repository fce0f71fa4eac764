"""Feedback as gateways and workers would have written it."""

import numpy as np

from jaxalign import serving
from jaxalign.io.serve.learner.buffers import is_held_out
from jaxalign.io.serve.store.rows import Feedback, Interaction
from jaxalign.io.serve.worker.embedders import HashEmbedder
from tests.io.serve.worker.running import WIDTH

EMBEDDER = HashEmbedder(WIDTH)
COSTS = {"small": 0.1, "large": 1.0}


def ids(count, *, held_out, share=0.2, prefix="ix"):
    """Ids of interactions whose feedback is held out, or not."""
    found, number = [], 0
    while len(found) < count:
        name = f"{prefix}-{number}"
        found += [name] if is_held_out(name, share) == held_out else []
        number += 1
    return found


def interaction(store, id, *, tenant="acme", user="ann", model="small", text="a question", **changes):
    """An interaction of a router that saw no examples and chose evenly."""
    who = store.identify(tenant, user, "")
    ((query,), _) = EMBEDDER.embed([text])
    context = np.zeros(serving.context_width(WIDTH), np.float32)
    context[:WIDTH] = query * WIDTH**0.5
    base = Interaction(
        id=id,
        tenant=who.tenant,
        user=who.user,
        partition=who.partition,
        model=model,
        request=text,
        response=f"the {model} model's answer",
        examples=(),
        owners=(),
        context=context.tobytes(),
        query=query.tobytes(),
        embedder=EMBEDDER.id,
        policy="initial",
        propensity=0.5,
        threshold=0,
        opponent=None,
        probes=(),
        cost=COSTS[model],
        created=store.born(),
    )
    return base._replace(**changes)


def rate(store, rows):
    """Keeps interactions with their ratings: pairs of both."""
    store.add_interactions([about for about, _ in rows])
    store.add_feedback([Feedback(about.id, about.tenant, "rating", said, "", store.born()) for about, said in rows])
