"""Look-ups of tenants whose texts differ in one word, while examples come and go, and how many see another's.

By the thousand: ``python -m tests.io.serve.worker.leaking --look-ups 100000 [--store postgresql://USER@HOST/DATABASE]``
"""

import argparse
import asyncio
import contextlib
import tempfile

import numpy as np

from jaxalign.io.serve.store.opening import open_store
from tests.io.serve.worker.running import add_examples, working

TENANTS = ("red", "green", "blue")
QUESTIONS = 20
AT_ONCE = 16


def text(tenant, number):
    return f"what is the {tenant} answer to question {number} of all questions"


class Crowd:
    """Tenants that change their examples and look for them, each with the texts of another one."""

    def __init__(self, store, seed=0):
        self.store, self.rng = store, np.random.default_rng(seed)
        self.ids = {who: self.add(who, range(QUESTIONS)) for who in TENANTS}
        self.shown = self.leaks = 0

    def add(self, who, numbers):
        return add_examples(self.store, [text(who, number) for number in numbers], tenant=who)

    def change(self):
        """Examples of one tenant are deleted, and their rows are given to another one and to it."""
        who, other = self.rng.choice(TENANTS, 2, replace=False)
        gone = self.rng.choice(self.ids[who], 5, replace=False).tolist()
        self.store.delete_examples(gone)
        left = [each for each in self.ids[who] if each not in gone]
        self.ids[other] += self.add(other, range(5))
        self.ids[who] = left + self.add(who, range(5))

    async def look_up(self, gateway):
        """Sixteen requests at once, each with the text of the next tenant."""
        asked = [self.rng.integers(len(TENANTS)) for _ in range(AT_ONCE)]
        texts = [text(TENANTS[(who + 1) % len(TENANTS)], self.rng.integers(QUESTIONS)) for who in asked]
        replies = await asyncio.gather(
            *(gateway.decide(one, tenant=TENANTS[who], learn=False) for one, who in zip(texts, asked, strict=True))
        )
        for who, reply in zip(asked, replies, strict=True):
            self.shown += bool(reply["examples"])
            given = self.store.examples(reply["examples"])  # those that were not deleted meanwhile
            self.leaks += sum(f"the {TENANTS[who]} answer" not in each.request for each in given)

    async def run(self, gateway, rounds, look_ups):
        """Rounds of changes, each with so many look-ups before and after the worker has followed."""
        for _ in range(rounds):
            self.change()
            for _ in range(look_ups):
                await self.look_up(gateway)
            await gateway.flush()
            for _ in range(look_ups):
                await self.look_up(gateway)


async def count_leaks(store, look_ups):
    """Half before a restart of the worker and half after it: returns how many saw examples, and how many leaks."""
    crowd = Crowd(store)
    for _ in range(2):
        async with working(store, rows=AT_ONCE) as gateway:
            await gateway.flush()
            await crowd.run(gateway, look_ups // (4 * AT_ONCE * 16), 16)
    return crowd.shown, crowd.leaks


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--look-ups", type=int, default=100_000)
    parser.add_argument("--store", default="sqlite")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(open_store(told.store, folder)) as store:
        shown, leaks = asyncio.run(count_leaks(store, told.look_ups))
    print(f"{shown} look-ups saw examples, {leaks} of another tenant")


if __name__ == "__main__":
    main()
