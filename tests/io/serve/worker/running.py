"""A worker in this process behind a real socket, and what gateways say to it."""

import asyncio
import contextlib
import dataclasses
import itertools
import tempfile

from jaxalign.io.serve.config import Embedder, Model, Routing, ServeConfig, Upstream
from jaxalign.io.serve.gateway.worker_client import WorkerClient
from jaxalign.io.serve.store.late import LateStore
from jaxalign.io.serve.store.opening import open_store
from jaxalign.io.serve.store.protocol import StoreError
from jaxalign.io.serve.store.rows import NewExample, Vectors
from jaxalign.io.serve.worker.embedders import HashEmbedder
from jaxalign.io.serve.worker.serving import Worker

WIDTH = 32
ROWS = 4  # requests at once: fewer programs to compile
MODELS = (
    Model("small", "here", prompt_price=1.0, examples=True),
    Model("large", "here", prompt_price=10.0, teaches=True, slots=4),
)
CONFIG = ServeConfig(
    upstreams=(Upstream("here", "http://127.0.0.1:9/v1"),),
    models=MODELS,
    routing=Routing(deadline_seconds=30.0, explored=0.0, stray=0.0),
    embedder=Embedder(width=WIDTH),
)


def configured(**changes) -> ServeConfig:
    """Settings with others in their tables: ``learning={"judge": "large"}``."""
    tables = {name: dataclasses.replace(getattr(CONFIG, name), **more) for name, more in changes.items()}
    return dataclasses.replace(CONFIG, **tables)


class Gateway:
    """What a gateway does with a worker."""

    def __init__(self, client: WorkerClient):
        self.client = client
        self._numbers = itertools.count()

    async def decide(self, text, *, tenant="acme", user="ann", models=("small",), interaction=None, **changes):
        message = {
            "op": "decide",
            "interaction": interaction or f"ix-{next(self._numbers)}",
            "tenant": tenant,
            "user": user,
            "scope": "",
            "text": text,
            "shared": False,
            "examples": True,
            "route": True,
            "learn": True,
            "models": list(models),
            "inflight": {},
        }
        return await self.client.ask(message | changes, 60.0)

    def answer(self, interaction, text, *, model="large", finish="stop"):
        told = {"op": "answered", "interaction": interaction, "text": text, "finish": finish, "model": model}
        self.client.tell(told | {"tokens": None})

    async def teach(self, request, response, *, interaction, **who):
        """Has the large model answer, which makes an example, and waits until it can be found."""
        await self.decide(request, models=("large",), interaction=interaction, **who)
        self.answer(interaction, response)
        await self.flush()

    async def flush(self):
        return await self.client.ask({"op": "flush"}, 60.0)

    async def status(self):
        return await self.client.ask({"op": "status"}, 60.0)


@contextlib.asynccontextmanager
async def working(store, config=CONFIG, *, embedder=None, rows=ROWS):
    """Gives a gateway with a worker on a store."""
    with tempfile.TemporaryDirectory() as folder:
        path, ended = f"{folder}/worker.sock", asyncio.Event()
        worker = Worker(config, store, embedder or HashEmbedder(config.embedder.width), rows=rows)
        running = asyncio.create_task(worker.run(path, ended))
        client = WorkerClient(path)
        try:
            await connected(client, running)
            yield Gateway(client)
        finally:
            await client.close()
            ended.set()
            await running


async def connected(client, running):
    """Waits until a worker that starts takes the connection."""
    await client.start()
    while not client.connected:
        if running.done():
            await running
        await asyncio.sleep(0.01)


@contextlib.contextmanager
def storing(folder):
    """Gives a store in a folder."""
    with contextlib.closing(open_store("sqlite", folder)) as store:
        yield store


def add_examples(store, texts, *, embedder=None, tenant="acme", user="ann", scope="", shared=False):
    """Keeps texts as examples, each the answer to itself, and returns their ids."""
    embedder = embedder or HashEmbedder(WIDTH)
    who = store.identify(tenant, user, scope)
    rows = [
        NewExample(
            tenant=0 if shared else who.tenant,
            partition=who.shared if shared else who.partition,
            user=who.user,
            request=text,
            response=text,
            model="large",
            tokens=10,
            quality=0.5,
            cost=1.0,
        )
        for text in texts
    ]
    vectors, _ = embedder.embed(texts)
    return store.add_examples(rows, embedder.id, [Vectors(each, each) for each in vectors])


class Backwards(HashEmbedder):
    """Another embedder, which reads texts from their ends."""

    def __init__(self, width):
        super().__init__(width)
        self.id = "backwards"

    def embed(self, texts):
        return super().embed([text[::-1] for text in texts])


class Switched(LateStore):
    """A store that can be taken away."""

    def __init__(self, store):
        super().__init__(self._give)
        self._there, self.gone = store, False

    def _give(self):
        return self._there

    def _opened(self):
        if self.gone:
            raise StoreError("taken away")
        return super()._opened()
