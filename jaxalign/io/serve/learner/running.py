"""The learner's loop: a round every few seconds, by the one that has the lease."""

import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable

from jaxalign.io.serve.config import ServeConfig
from jaxalign.io.serve.learner.asking import Upstreams
from jaxalign.io.serve.learner.learning import Learner
from jaxalign.io.serve.store.late import LateStore
from jaxalign.io.serve.store.opening import open_store
from jaxalign.io.serve.store.protocol import Store, StoreError
from jaxalign.io.serve.worker.embedders import Embedder, EmbedderError, make_embedder

LEASE = "learner"
NICE = 10  # requests come first
EMBED_SECONDS = 30.0  # that a server of embeddings may take


class LeaseLost(Exception):
    """Another learner has taken over, or this one is told to end."""


class Lease:
    """The right to learn, for a while.

    Args:
      store: who gives it.
      seconds: for which it is given.
      ended: set when the holder is to end.
    """

    def __init__(self, store: Store, seconds: float, ended: threading.Event):
        self._store, self._seconds, self._ended = store, seconds, ended
        self.holder = f"{socket.gethostname()}-{secrets.token_hex(4)}"

    def renew(self) -> None:
        """Takes or renews it.

        Raises:
          LeaseLost: another one has it, or the holder is to end.
          StoreError: the store is not there.
        """
        if self._ended.is_set() or not self._store.lease(LEASE, self.holder, self._seconds):
            raise LeaseLost

    def release(self) -> None:
        """Gives it back; without a store it ends by itself."""
        try:
            self._store.release(LEASE, self.holder)
        except StoreError:
            return


def learn_on(
    config: ServeConfig,
    store: Store,
    embedder: Embedder,
    ended: threading.Event,
    tell: Callable[[str], None],
) -> None:
    """Learns until it is told to end.

    A learner that loses its lease begins anew when it has it again: what it holds may be out of date.

    Args:
      config: the settings.
      store: where all of it is; it need not be there yet.
      embedder: of the examples.
      ended: set when it is to end.
      tell: called with what happens.
    """
    every = config.learning.every_seconds
    lease = Lease(store, max(60.0, 3 * every), ended)
    upstreams = Upstreams(config) if config.learning.judge else None
    learner, failure = None, ""
    while not ended.is_set():
        try:
            lease.renew()
            learner = learner or Learner(config, store, embedder, upstreams, lease.renew)
            learnt = learner.round()
            if any(learnt):
                tell(", ".join(f"{name}: {value}" for name, value in learnt._asdict().items() if value))
            failure = ""
        except LeaseLost:
            learner = None
        except (StoreError, EmbedderError) as error:
            if str(error) != failure:  # said once
                tell(failure := str(error))
        ended.wait(every)
    lease.release()


def run_learner(config: ServeConfig) -> None:
    """Runs a learner until SIGTERM or SIGINT.

    Args:
      config: the settings.
    """
    os.nice(NICE)
    ended = threading.Event()
    for kind in (signal.SIGTERM, signal.SIGINT):
        signal.signal(kind, lambda *_: ended.set())
    store = LateStore(lambda: open_store(config.store, config.folder))
    embedder = make_embedder(config.embedder, seconds=EMBED_SECONDS)
    try:
        learn_on(config, store, embedder, ended, lambda text: print(f"learner: {text}", file=sys.stderr))
    finally:
        store.close()
        embedder.close()
