"""Off-peak replay: examples of high gain get new responses, of which the best is kept where it is better.

A judge compares each new response with the one that is there. What a comparison says of a quality is ours: a sure win
is worth a quarter.
"""

import time
from collections.abc import Callable

import numpy as np

from jaxalign import serving
from jaxalign.io import llm
from jaxalign.io.serve.learner.asking import Asker
from jaxalign.io.serve.store.protocol import Store
from jaxalign.io.serve.store.rows import Example, ExampleUpdate
from jaxalign.io.serve.worker.embedders import Embedder
from jaxalign.io.serve.worker.memory import Memory
from jaxalign.prompting import guess_tokens
from jaxalign.serving import ExampleTable
from jaxalign.serving.admission import COMPLETE, admit
from jaxalign.serving.replay import SAMPLES

WIN = 0.5  # of quality between a sure loss and a sure win, half of which counts to either side


def replay(
    store: Store,
    memory: Memory,
    table: ExampleTable,
    embedder: Embedder,
    asker: Asker,
    budget: int,
    renew: Callable[[], None],
) -> int:
    """Replays the examples of the highest gains, and says how many.

    Args:
      store: where they are.
      memory: which rows of the table they have.
      table: what is known of them now.
      embedder: of new responses.
      asker: asks models, and the judge.
      budget: the most examples.
      renew: called after each.
    """
    plan = serving.plan_replays(table, np.float32(memory.clock.hours(time.time())), budget=budget)
    ids = memory.view.ids[np.asarray(plan.ids)[np.asarray(plan.where)]].tolist()
    for example in store.examples(ids):
        try:
            text, quality = _best(asker, example)
        except llm.RequestError:
            asker.counts = asker.counts.plus(failed=1)
            text, quality = None, example.quality
        update, responses = _update(example, text, quality), {}
        if text is not None:
            (vector,), _ = embedder.embed([text])
            responses = {example.id: vector}
        store.update_examples([update], embedder.id if responses else "", responses)
        renew()
    return len(ids)


def _best(asker: Asker, example: Example) -> tuple[str | None, float]:
    """The best of several new responses, and its quality; None where none is better than the old one."""
    best, quality = None, example.quality
    for text in asker.answer(example.model, example.request, (), n=SAMPLES):
        if not admit(example.request, text, finish_reason=COMPLETE).admitted:
            continue
        chance = asker.compare(example.request, text, example.response)
        judged = example.quality if chance is None else min(max(example.quality + WIN * (chance - 0.5), 0.0), 1.0)
        if judged > quality:
            best, quality = text, judged
    return best, quality


def _update(example: Example, text: str | None, quality: float) -> ExampleUpdate:
    """The example after its replay: the uses so far spoke for the old response, so that its gain is 0."""
    return ExampleUpdate(
        id=example.id,
        quality=quality,
        gain=0.0,
        offloads=example.offloads,
        updated=example.updated,
        replays=example.replays + 1,
        response=text,
        tokens=None if text is None else guess_tokens(example.request) + guess_tokens(text),
    )
