"""The parts of a worker, put together."""

import asyncio
from collections.abc import Callable

from jaxalign.io.serve.config import ServeConfig
from jaxalign.io.serve.store.protocol import Store
from jaxalign.io.serve.worker.choices import Choices
from jaxalign.io.serve.worker.compilations import Compilations
from jaxalign.io.serve.worker.deciding import Decider
from jaxalign.io.serve.worker.embedders import Embedder
from jaxalign.io.serve.worker.following import Follower
from jaxalign.io.serve.worker.identities import Identities
from jaxalign.io.serve.worker.keeping import Keeper
from jaxalign.io.serve.worker.memory import Followed, Memory
from jaxalign.io.serve.worker.pending import Pending


class Parts:
    """A memory with its follower, choices with their decider, and what is kept.

    Args:
      config: the settings.
      store: what lasts.
      embedder: of requests and responses.
      compilations: counts.
      rows: the most requests that are decided at once, a power of two.
    """

    def __init__(self, config: ServeConfig, store: Store, embedder: Embedder, compilations: Compilations, *, rows: int):
        models = [model.name for model in config.routed]
        self.memory = Memory(store, embedder, models, prepare=lambda view: self.choices.prepare(view))
        self.choices = Choices(config, embedder, self.memory.index, lambda: self.memory.view, rows=rows)
        self.decider = Decider(self.choices, compilations)
        self.keeper = Keeper(config, store, embedder)
        self.follower = Follower(self.memory, self._tell)
        self.pending = Pending(self.keeper.keep)
        self.identities = Identities(store, config.routing.deadline_seconds / 2)
        self.followed: Callable[[Followed], object] = self.forget
        """Called in the thread that follows, before anybody is told that it caught up."""

    async def catch_up(self) -> None:
        """Waits until all that is in the store is in the view, and those who were deleted are forgotten.

        Raises:
          Exception: what kept it from that.
        """
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def settle(failure: Exception | None) -> None:
            if not future.cancelled():
                future.set_result(None) if failure is None else future.set_exception(failure)

        self.follower.catch_up(lambda failure: loop.call_soon_threadsafe(settle, failure))
        await future

    def forget(self, followed: Followed) -> None:
        """Forgets those who were deleted, in the event loop; all, where it is not known who was.

        Args:
          followed: what a round of following brought.
        """
        if followed.anew:
            self.pending.forget_all()
            self.identities.forget_all()
        for user in followed.users:
            self.pending.forget_user(user)
            self.identities.forget_user(user)

    def _tell(self, followed: Followed) -> None:
        for user in followed.users:
            self.keeper.forget_user(user)
        self.followed(followed)
