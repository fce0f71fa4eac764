"""Answers of language models on disk: one JSON object a line, only ever appended to, safe for a kill at any moment.

    {"key": "<hash of the request>", "model": "<name>", "server": "<base URL>", "texts": ["Yes."], ...}

Neither prompts nor keys of an API are in it. Processes and threads may share a file: each appends complete lines under
a lock, and finds what the others wrote. The same file replays a run without a server.

Answers of one model's name on two servers are two answers. Models in this process have no server. Neither have answers
that were written before servers were named: they count for the one server whose answers of that model are beside them
in the file, or that is asked first.
"""

import contextlib
import datetime
import fcntl
import json
import os
import pathlib
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from jaxalign import files
from jaxalign.io import line_file
from jaxalign.io.llm.replies import Answer

_STORED = ("texts", "finish", "prompt_tokens", "completion_tokens", "logprobs", "seconds", "retries")


class _Row(NamedTuple):
    answer: Answer
    model: str
    server: str


class Cache:
    """The answers in a file, by the hash of their request; the file appears with the first answer.

    Args:
      path: the file; only caches write it.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self._servers: dict[str, set[str]] = {}  # that gave answers of each model
        self._rows: dict[tuple[str, str], _Row] = {}  # by key and server
        self._unwritten: dict[tuple[str, str], tuple[_Row, bytes]] = {}
        self._place = line_file.START  # the end of the last line that was read or written
        self._guard = threading.Lock()

    @property
    def models(self) -> frozenset[str]:
        """The names of the models whose answers are in the file."""
        with self._guard:
            self._catch_up()
            return frozenset(self._servers)

    def servers(self, model: str) -> frozenset[str]:
        """The servers that gave a model's answers, as far as the file says it.

        Args:
          model: the name of the model.
        """
        with self._guard:
            self._catch_up()
            return frozenset(self._servers.get(model, ())) - {""}

    def server_to_replay(self, model: str, server: str = "") -> str:
        """The server whose answers a replay takes: the one that is named, or else the only one.

        Args:
          model: the name of the model.
          server: the server's base URL, or nothing.

        Raises:
          ValueError: there are several, and none of them is named.
        """
        servers = self.servers(model)
        if server in servers or not servers:
            return server
        if len(servers) > 1:
            raise ValueError(f"{self.path} has answers of {model!r} by {', '.join(sorted(servers))}; name one of them")
        return next(iter(servers))

    def answers(self, model: str | None = None, server: str = "") -> list[Answer]:
        """Returns the answers in the file, all of them or those that :meth:`get` would find for a model and a server.

        Args:
          model: the name of a model; None for all.
          server: the server's base URL; nothing for a model in this process.
        """
        with self._guard:
            self._catch_up()
            return [row.answer for row in self._rows.values() if model is None or self._is_of(row, model, server)]

    def by_model(self) -> dict[str, list[Answer]]:
        """Returns all answers in the file by the name of the model that gave them, whatever its server."""
        with self._guard:
            self._catch_up()
            answers: dict[str, list[Answer]] = {}
            for row in self._rows.values():
                answers.setdefault(row.model, []).append(row.answer)
            return answers

    def get(self, key: str, server: str = "") -> Answer | None:
        """Returns the answer to a request, also if another process wrote it since; None if there is none.

        Args:
          key: the hash of the request.
          server: the server's base URL; nothing for a model in this process.

        Raises:
          ValueError: naming the line, if the file holds something else.
        """
        with self._guard:
            if (found := self._find(key, server)) is None:
                self._catch_up()
                found = self._find(key, server)
            if found is None and (key, server) in self._unwritten:
                found = self._unwritten[key, server][0]
            return None if found is None else found.answer

    def add(self, key: str, model: str, answer: Answer, *, server: str = "", note: str = "") -> Answer:
        """Writes an answer, unless another process was faster.

        Args:
          key: the hash of the request.
          model: the name of the model.
          answer: its answer.
          server: the server's base URL; nothing for a model in this process.
          note: for readers of the file, with the time of writing.

        Returns:
          The answer that stands, for all to agree on it.

        Raises:
          OSError: it could not be written. This object keeps it, and :meth:`flush` or the next answer tries again.
        """
        head = {"key": key, "model": model} | ({"server": server} if server else {})
        if note:
            head |= {"note": note, "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
        row = head | {name: getattr(answer, name) for name in _STORED}
        with self._guard:
            kept = _Row(answer._replace(cached=True), model, server)
            self._unwritten[key, server] = kept, (json.dumps(row) + "\n").encode()
        self.flush()
        return self.get(key, server)

    def flush(self):
        """Writes what could not be written before.

        Raises:
          OSError: it still could not.
        """
        with self._guard:
            if not self._unwritten:
                return
            what = f"{len(self._unwritten)} answers to {self.path}"
            with files.explained(what, "what is written is not paid again"), self._locked() as file:
                self._read()
                self._append(file)

    def _find(self, key: str, server: str) -> _Row | None:
        row = self._rows.get((key, server)) or self._rows.get((key, ""))
        return row if row is not None and self._is_of(row, row.model, server) else None

    def _is_of(self, row: _Row, model: str, server: str) -> bool:
        """A row without a server is of the one that the model's other rows name, if all name one."""
        return row.model == model and (row.server == server or not (row.server or self._servers[model] - {"", server}))

    def _catch_up(self):
        if self.path.exists() and self.path.stat().st_size != self._place.bytes:
            self._read()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # ends with the file, and with the process
            yield file

    def _read(self):
        """Reads the lines that are new."""
        if self.path.stat().st_size < self._place.bytes:
            raise ValueError(f"{self.path} became shorter since it was read; only a cache may write it. Open it anew")
        for (key, row), place in line_file.read_on(self.path, _parse, after=self._place, what="an answer"):
            self._keep(key, row)
            self._place = place

    def _append(self, file: BinaryIO):
        """Under the lock nobody is writing, so what follows the last end of a line was left by a writer that died."""
        file.truncate(self._place.bytes)
        for (key, server), (row, line) in list(self._unwritten.items()):
            if self._find(key, server) is None:
                line_file.append(file, line)
                self._place = line_file.Place(self._place.lines + 1, self._place.bytes + len(line))
                self._keep(key, row)
            del self._unwritten[key, server]

    def _keep(self, key: str, row: _Row):
        self._rows.setdefault((key, row.server), row)
        self._servers.setdefault(row.model, set()).add(row.server)


def _parse(row: dict[str, Any]) -> tuple[str, _Row]:
    lists = {name: tuple(row[name]) for name in ("texts", "finish", "logprobs")}
    answer = Answer(**{name: row[name] for name in _STORED} | lists, cached=True)
    return row["key"], _Row(answer, row["model"], row.get("server", ""))
