"""Kills a process that writes to a store, again and again, and checks after each time what is there.

    python -m tests.io.serve.store.killing URL FOLDER TIMES

A process of its own, since it forks. Every second writer kills itself before or after a statement or before it tells
that a call returned; the others are killed from outside, so that it may be in the middle of anything.
"""

import contextlib
import itertools
import json
import os
import random
import signal
import sys
import time

import numpy as np

from jaxalign.io.serve.store import postgres, sqlite
from jaxalign.io.serve.store.opening import open_store
from jaxalign.io.serve.store.rows import ExampleUpdate, Vectors
from tests.io.serve.conftest import execute
from tests.io.serve.store import made

USERS = "uvw"


def vector(number, version):
    return np.array([number, version], np.float32)


class Expected:
    """What a store must have by what its writers told."""

    def __init__(self):
        self.there = {}  # id: user, number, versions that may be there
        self.begun = None  # the call that has not returned

    def hear(self, line):
        what, *told = json.loads(line)
        if what == "begin":
            self.begun = told
            return
        call, *given = self.begun
        if call == "add":
            user, numbers = given
            self.there |= {id: (user, number, {0}) for id, number in zip(told[0], numbers, strict=True)}
        elif call == "update":
            id, version = given
            self.there[id] = (*self.there[id][:2], {version})
        else:
            for id in self.going():
                del self.there[id]
        self.begun = None

    def going(self):
        """The ids that the call deletes."""
        call, *given = self.begun or [None]
        if call == "delete":
            return set(given[0])
        return {id for id, row in self.there.items() if call == "delete user" and row[0] == given[0]}

    def check(self, found):
        """``found``: by id, user, number and version."""
        call, *given = self.begun or [None]
        going = self.going()
        assert going <= found.keys() or not going & found.keys(), "half of the examples are deleted"
        assert self.there.keys() - going <= found.keys(), "what was acknowledged is gone"
        new = found.keys() - self.there.keys()
        numbers = sorted(found[id][1] for id in new)
        assert not new or (call == "add" and numbers == given[1]), "what was deleted is back, or half is added"
        for id in found.keys() & self.there.keys():
            user, number, versions = self.there[id]
            if call == "update" and given[0] == id:
                versions = versions | {given[1]}
            assert found[id][:2] == (user, number) and found[id][2] in versions, "an example is not as it was written"
        self.there = {id: (user, number, {version}) for id, (user, number, version) in found.items()}
        self.begun = None


def read(store):
    """The examples by id, after it was checked that all parts of the store agree."""
    names = {store.identify("a", name, "s").user: name for name in USERS}
    position, batches = store.snapshot("e")
    found = {}
    for example, vectors in (pair for batch in batches for pair in batch):
        number, version = (int(part) for part in example.response.split())
        assert example.request == str(number)
        np.testing.assert_array_equal(vectors.request, vector(number, 0))
        np.testing.assert_array_equal(vectors.response, vector(number, version))
        found[example.id] = (names[example.user], number, version)
    by_feed = set()
    changes = store.changes(0, limit=10**6)
    for change in changes:
        if change.kind == "put":
            by_feed.add(change.subject)
        elif change.kind == "delete":
            by_feed.remove(change.subject)
    assert by_feed == found.keys(), "the feed and the examples do not agree"
    assert position == (changes[-1].seq if changes else 0)
    assert store.counts()["vectors"] == len(found)
    return found


class Writer:
    """Makes calls, each announced and acknowledged, until it is killed."""

    def __init__(self, store, expected, seed, tell):
        self.store, self.tell, self.draw = store, tell, random.Random(seed)
        self.users = {id: row[0] for id, row in expected.there.items()}  # of the examples that are there
        self.numbers = {id: row[1] for id, row in expected.there.items()}
        self.next = seed * 1000

    def step(self):
        call = self.draw.choice([self.add, self.add, self.update, self.delete, self.delete_user])
        (call if self.users else self.add)()

    def add(self):
        user, numbers = self.draw.choice(USERS), [self.next + part for part in range(self.draw.randint(1, 3))]
        self.next += len(numbers)
        who = self.store.identify("a", user, "s")
        rows = [made.example(who, str(number), f"{number} 0") for number in numbers]
        self.tell("begin", "add", user, numbers)
        ids = self.store.add_examples(rows, "e", [Vectors(*[vector(number, 0)] * 2) for number in numbers])
        self.users |= dict.fromkeys(ids, user)
        self.numbers |= dict(zip(ids, numbers, strict=True))
        self.tell("done", ids)

    def update(self):
        id, version = self.draw.choice(list(self.users)), self.next
        number = self.numbers[id]
        self.tell("begin", "update", id, version)
        row = ExampleUpdate(id, 0.5, 1.0, 1.0, 1.0, 1, f"{number} {version}", 5)
        self.store.update_examples([row], "e", {id: vector(number, version)})
        self.tell("done")

    def delete(self):
        ids = self.draw.sample(list(self.users), min(2, len(self.users)))
        self.tell("begin", "delete", ids)
        self.store.delete_examples(ids)
        self.users = {id: user for id, user in self.users.items() if id not in ids}
        self.tell("done")

    def delete_user(self):
        user = self.draw.choice(USERS)
        self.tell("begin", "delete user", user)
        self.store.delete_user("a", user)
        self.users = {id: owner for id, owner in self.users.items() if owner != user}
        self.tell("done")


def at_points(countdown):
    """Lets this process kill itself at a point, counted in statements' beginnings and ends and in words told."""
    left = itertools.count(countdown, -1)

    def point():
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(method):
        def run(*arguments):
            point()
            result = method(*arguments)
            point()
            return result

        return run

    for kind in (sqlite._Transaction, postgres._Transaction):
        for name in ("rows", "change", "each", "made"):
            setattr(kind, name, around(getattr(kind, name)))
    return point


def write(place, expected, seed, file, by_itself):
    """What the child does."""
    point = at_points(random.Random(seed).randrange(200)) if by_itself else lambda: None

    def tell(*words):
        point()
        file.write(json.dumps(words).encode() + b"\n")

    with contextlib.closing(open_store(*place)) as store:
        writer = Writer(store, expected, seed, tell)
        while True:
            writer.step()


def kill_one(place, expected, seed):
    """Starts a writer, lets it be killed, and takes note of what it told."""
    by_itself, draw = seed % 2 == 0, random.Random(seed)
    ours, its = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(ours)
            write(place, expected, seed, open(its, "wb", buffering=0), by_itself)
        finally:
            os._exit(1)
    os.close(its)
    with open(ours, "rb") as file:
        for line in itertools.islice(file, None if by_itself else draw.randrange(30)):
            expected.hear(line)
        if not by_itself:
            end = time.perf_counter() + draw.random() * 0.003
            while time.perf_counter() < end:
                pass
            os.kill(child, signal.SIGKILL)
        for line in file:
            expected.hear(line)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, "the writer failed"


def wait_for_end(url):
    """A commit that was under way when its client was killed ends after it."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    while url != "sqlite" and execute(url, others) != [(0,)]:
        pass


def main(url, folder, times):
    expected, kept = Expected(), 0
    for seed in range(times):
        kill_one((url, folder), expected, seed)
        wait_for_end(url)
        with contextlib.closing(open_store(url, folder)) as store:
            expected.check(read(store))
        kept += len(expected.there)
    print(json.dumps({"kills": times, "examples": kept}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
