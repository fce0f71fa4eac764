"""Do tenants see each other's examples? ``python -m tests.io.serve.worker.leaks 100000 postgresql`` asks so often.

Three tenants have the same texts but for a word, and ask in the words of another one. Examples come and go meanwhile,
so that rows of tables are given to other tenants; the worker is begun anew, and the index is rebuilt by another
embedder. What is counted is what a gateway would show: the texts that the store gives to the asking tenant's readers.
"""

import asyncio
import contextlib
import sys
import tempfile

import numpy as np
import psycopg

from jaxalign.io.serve.store.opening import open_store
from jaxalign.io.serve.worker.embedders import HashEmbedder
from tests.io.serve.worker.running import WIDTH, add_examples, working
from tests.postgres import Server

TENANTS = ("red", "green", "blue")
QUESTIONS = 20
AT_ONCE = 16
BETWEEN = 128  # look-ups between changes of the store


def text_of(tenant, number):
    return f"what is the {tenant} answer to question {number} of all questions"


EMBEDDERS = (HashEmbedder(WIDTH), HashEmbedder(WIDTH), HashEmbedder(2 * WIDTH))  # begun anew, then another one


async def count_leaks(store, lookups, embedders=EMBEDDERS, rows=AT_ONCE):
    """Look-ups that gave an example, those that gave another tenant's, and those of nobody that gave any."""
    rng, counts = np.random.default_rng(0), np.zeros(3, int)
    ids = {who: add_examples(store, [text_of(who, n) for n in range(QUESTIONS)], tenant=who) for who in TENANTS}
    for embedder in embedders:
        async with working(store, embedder=embedder, rows=rows) as gateway:
            await gateway.flush()
            for _ in range(-(-lookups // (len(embedders) * BETWEEN))):
                ids = _change(store, ids, rng, embedder)
                for _ in range(BETWEEN // AT_ONCE):
                    counts += await _look_up(store, gateway, rng)
    return counts


def _change(store, ids, rng, embedder):
    """Two tenants lose examples, and get new ones in the other order, which take each other's rows."""
    pair, ids = rng.choice(TENANTS, 2, replace=False), dict(ids)
    for who in pair:
        store.delete_examples(ids[who][:5])
    for who in pair[::-1]:
        ids[who] = ids[who][5:] + add_examples(
            store, [text_of(who, n) for n in range(5)], tenant=str(who), embedder=embedder
        )
    return ids


async def _look_up(store, gateway, rng):
    asked = [(TENANTS[rng.integers(3)], int(rng.integers(QUESTIONS))) for _ in range(AT_ONCE - 1)]
    tasks = [
        gateway.decide(text_of(TENANTS[(TENANTS.index(who) + 1) % 3], number), tenant=who, learn=False)
        for who, number in asked
    ]
    *found, nobody = await asyncio.gather(*tasks, gateway.decide(text_of("red", 0), tenant=None, learn=False))
    given = leaks = 0
    for (who, _), reply in zip(asked, found, strict=True):
        shown = store.texts(reply["tenants"], reply["examples"])
        given += bool(shown)
        leaks += any(f"the {who} answer" not in request for request, _ in shown.values())
        # Without the store's own check, too: ids that are there are of this tenant.
        leaks += any(f"the {who} answer" not in each.request for each in store.examples(reply["examples"]))
    return np.array([given, leaks, bool(nobody["examples"])])


def main(lookups, kind):
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        url = "sqlite"
        if kind != "sqlite":
            server = Server()
            stack.callback(server.close)
            url = server.url("leaks")
            with psycopg.connect(server.url(), autocommit=True) as connection:
                connection.execute("CREATE DATABASE leaks")
        store = stack.enter_context(contextlib.closing(open_store(url, folder)))
        given, leaks, nobody = asyncio.run(count_leaks(store, lookups))
        print(f"{kind}: {lookups} look-ups, {given} with examples, {leaks} leaks, {nobody} shown to nobody")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
