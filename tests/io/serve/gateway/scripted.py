"""A worker of a few lines, which replies what a test wants, and keeps what it is told."""

import asyncio
import contextlib
import threading

from jaxalign.io.serve.worker.messages import read_message, write_message


class ScriptedWorker:
    """Serves the worker's protocol on a socket in a thread of its own.

    Args:
      path: of the socket.
    """

    def __init__(self, path):
        self.path = str(path)
        self.asked, self.told = [], []  # messages that want a reply, and news
        self.reply = lambda message: {"model": "large", "examples": [], "tenants": [], "policy": "p1", "reason": ""}
        self.other = {}  # the reply to all but decisions
        self.seconds = 0.0  # before a reply
        self.news = threading.Condition()

    def answered(self, interaction, seconds=10.0):
        """Waits for what the gateway tells of an interaction."""
        with self.news:
            found = self.news.wait_for(lambda: [m for m in self.told if m["interaction"] == interaction], seconds)
        assert found, f"nothing was told of {interaction}"
        return found[0]

    @contextlib.contextmanager
    def running(self):
        """Serves while the context lasts; connections end with it."""
        started, loop = threading.Event(), asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_until_complete, args=(self._serve(started),))
        thread.start()
        started.wait()
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(self._stop.set)
            thread.join()
            loop.close()

    async def _serve(self, started):
        self._stop, tasks = asyncio.Event(), set()

        def connected(reader, writer):
            task = asyncio.create_task(self._talk(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_unix_server(connected, self.path)
        started.set()
        await self._stop.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _talk(self, reader, writer):
        replies = []
        try:
            while (message := await read_message(reader)) is not None:
                if "id" not in message:
                    with self.news:
                        self.told.append(message)
                        self.news.notify_all()
                    continue
                self.asked.append(message)
                replies.append(asyncio.create_task(self._reply(message, writer)))
        finally:
            for each in replies:
                each.cancel()
            writer.close()

    async def _reply(self, message, writer):
        await asyncio.sleep(self.seconds)
        reply = self.reply(message) if message["op"] == "decide" else self.other
        write_message(writer, {**reply, "id": message["id"]})
