"""Who asks, in numbers of the store, remembered; a store that is gone or slow costs a decision little time."""

import asyncio
import collections
import concurrent.futures
import time

from jaxalign.io.serve.store.protocol import Store, StoreError
from jaxalign.io.serve.store.rows import Identity

MOST = 10_000  # identities that are remembered
THREADS = 4
PAUSE_SECONDS = 0.5  # without questions after one that failed

Asking = tuple[str, str, str]  # tenant, user, scope


class Identities:
    """Numbers of those who ask; used by the event loop alone.

    Args:
      store: where they are.
      seconds: that a look-up may take.
    """

    def __init__(self, store: Store, seconds: float):
        self._store, self._seconds = store, seconds
        self._known: collections.OrderedDict[Asking, Identity] = collections.OrderedDict()
        self._running: dict[Asking, asyncio.Future] = {}
        self._threads = concurrent.futures.ThreadPoolExecutor(THREADS, thread_name_prefix="identify")
        self._silent_until = 0.0
        self._forgotten = 0  # how often somebody was

    def __len__(self) -> int:
        return len(self._known)

    async def find(self, tenant: str, user: str, scope: str) -> Identity | None:
        """Returns the numbers; None where the store does not give them in time.

        Args:
          tenant: a name.
          user: a name, of this tenant.
          scope: a hash of the system text.
        """
        asking = (tenant, user, scope)
        if asking in self._known:
            self._known.move_to_end(asking)
            return self._known[asking]
        if time.monotonic() < self._silent_until:
            return None
        if asking not in self._running:
            self._running[asking] = asyncio.ensure_future(self._look_up(asking))
        done, _ = await asyncio.wait([self._running[asking]], timeout=self._seconds)
        if not done:
            self._silent_until = time.monotonic() + PAUSE_SECONDS
            return None
        return done.pop().result()

    def forget_user(self, user: int) -> None:
        """Forgets a user, who is another one when it comes again.

        Args:
          user: its number.
        """
        self._forgotten += 1
        self._known = collections.OrderedDict((key, who) for key, who in self._known.items() if who.user != user)

    def forget_all(self) -> None:
        """Forgets everybody."""
        self._forgotten += 1
        self._known.clear()

    def close(self) -> None:
        """Ends the threads, without waiting for a store that hangs."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _look_up(self, asking: Asking) -> Identity | None:
        before = self._forgotten
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, self._store.identify, *asking)
        except StoreError:
            self._silent_until = time.monotonic() + PAUSE_SECONDS
            return None
        except ValueError:  # a name that no store keeps
            return None
        finally:
            del self._running[asking]
        if before != self._forgotten:  # it may be the one who was deleted in between
            return None
        self._known[asking] = found
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        return found
