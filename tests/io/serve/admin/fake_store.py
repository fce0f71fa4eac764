"""As much of a store as the operators' page asks for, in memory."""

from jaxalign.io.serve.store.protocol import Store, StoreError
from jaxalign.io.serve.store.rows import Deleted, Example, PolicyVersion, Traffic

NOW = 1_800_000_000  # a whole minute
KEY = "a long admin key for tests"
ATTACK = "<script>document.title = 'broken'</script><img src=http://example.org/x.png> & \"quoted\""


def example(id, **changes):
    fields = {"tenant": 1, "partition": 1, "user": 1, "request": f"request {id}", "response": f"response {id}"}
    facts = {"model": "large", "tokens": 12, "quality": 0.75, "cost": 1.0, "gain": id / 10, "offloads": 2.0}
    times = {"updated": NOW - 60.0, "replays": id % 3, "created": NOW - 3600.0 * id}
    return Example(id=id, **fields | facts | times | changes)


class FakeStore(Store):
    """``gone`` makes every call fail."""

    def __init__(self):
        self.gone, self.calls = False, []
        self.rows = {id: example(id) for id in range(1, 31)}
        self.rows[7] = example(7, request=f"seven {ATTACK}", response=f"answer {ATTACK}", tenant=2)
        self.versions = {"p1": {"held_out": 0.5, "feedback": 10}, "p2": {"held_out": 0.25, "why": ATTACK}}
        self.current = "p2"
        self.minutes = []

    def call(self, name, *args):
        if self.gone:
            raise StoreError("the store is gone: disk full")
        self.calls.append((name, *args))

    def tenants(self):
        self.call("tenants")
        return {1: "shop", 2: f"bank {ATTACK}"}

    def counts(self):
        self.call("counts")
        return {"examples": len(self.rows), "interactions": 1234}

    def traffic(self, since, tenant=None):
        self.call("traffic", since, tenant)
        return [row for row in self.minutes if row.minute >= since and tenant in (None, row.tenant)]

    def examples(self, ids):
        self.call("examples", tuple(ids))
        return [self.rows[id] for id in sorted(ids) if id in self.rows]

    def find_examples(self, *, tenant=None, contains="", order="gain", limit=50, offset=0):
        self.call("find_examples", tenant, contains, order, limit, offset)
        rows = [
            row
            for row in self.rows.values()
            if tenant in (None, row.tenant) and (contains in row.request or contains in row.response)
        ]
        return sorted(rows, key=lambda row: -getattr(row, order))[offset : offset + limit]

    def delete_examples(self, ids):
        self.call("delete_examples", tuple(ids))
        return sum(self.rows.pop(id, None) is not None for id in ids)

    def delete_user(self, tenant, user):
        self.call("delete_user", tenant, user)
        return Deleted(3, 20, 5, 1)

    def list_policies(self):
        self.call("list_policies")
        return [PolicyVersion(name, note, NOW - 600.0, name == self.current) for name, note in self.versions.items()]

    def choose_policy(self, name):
        self.call("choose_policy", name)
        if name not in self.versions:
            raise KeyError(name)
        self.current = name


def minute(ago, model, tenant=1, **counts):
    return Traffic(NOW // 60 - ago, tenant, model, **counts)
