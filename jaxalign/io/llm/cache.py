"""Answers of language models on disk: one JSON object a line, only ever appended to, safe for a kill at any moment.

    {"key": "<hash of the request>", "model": "<name>", "texts": ["Yes."], "finish": ["stop"], "prompt_tokens": 12, ...}

Neither prompts nor keys of an API are in it. Processes and threads may share a file: each appends whole lines under a
lock, and finds what the others wrote. The same file replays a run without a server.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import threading
from collections.abc import Iterator
from typing import BinaryIO

from jaxalign.io.llm.wire import Answer

_STORED = ("texts", "finish", "prompt_tokens", "completion_tokens", "logprobs", "seconds", "retries")


class Cache:
    """The answers in a file, by the hash of their request; the file appears with the first answer.

    Args:
      path: of a file that only caches write.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self._models: set[str] = set()
        self._answers: dict[str, Answer] = {}
        self._unwritten: dict[str, tuple[Answer, str, bytes]] = {}
        self._whole = self._lines = 0  # bytes and lines that were read: all ends of lines lie before
        self._guard = threading.Lock()

    @property
    def models(self) -> frozenset[str]:
        """The names of the models whose answers are in the file."""
        with self._guard:
            self._catch_up()
            return frozenset(self._models)

    def answers(self) -> list[Answer]:
        """All that are in the file."""
        with self._guard:
            self._catch_up()
            return list(self._answers.values())

    def get(self, key: str) -> Answer | None:
        """The answer to a request, also if another process wrote it since.

        Raises:
          ValueError: naming the line, if the file holds something else.
        """
        with self._guard:
            if key not in self._answers:
                self._catch_up()
            return self._answers.get(key) or self._unwritten.get(key, (None,))[0]

    def add(self, key: str, model: str, answer: Answer) -> Answer:
        """Writes an answer, unless another process was faster; the answer that stands, for all to agree on it.

        Raises:
          OSError: it could not be written. This object keeps it, and :meth:`flush` or the next answer tries again.
        """
        row = {"key": key, "model": model} | {name: getattr(answer, name) for name in _STORED}
        with self._guard:
            self._unwritten[key] = answer._replace(cached=True), model, (json.dumps(row) + "\n").encode()
        self.flush()
        return self._answers[key]

    def flush(self):
        """Writes what could not be written before.

        Raises:
          OSError: it still could not.
        """
        with self._guard:
            if not self._unwritten:
                return
            try:
                with self._locked() as file:
                    self._read(file)
                    self._append(file)
            except OSError as error:
                raise OSError(
                    f"could not write {len(self._unwritten)} answers to {self.path}: {error}. Free space, then start "
                    "the same command again: what is written is not paid again"
                ) from error

    def _catch_up(self):
        if self.path.exists() and self.path.stat().st_size != self._whole:
            with self.path.open("rb") as file:
                self._read(file)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # ends with the file, and with the process
            yield file

    def _read(self, file: BinaryIO):
        """Reads the lines that are new. A last one without its end is being written, or was when its writer died."""
        if file.seek(0, os.SEEK_END) < self._whole:
            raise ValueError(f"{self.path} became shorter since it was read; only a cache may write it. Open it anew")
        file.seek(self._whole)
        for line in file.read().split(b"\n")[:-1]:
            try:
                key, model, answer = _parse(line)
            except (ValueError, TypeError, KeyError) as error:
                place = f"{self.path}, line {self._lines + 1}"
                raise ValueError(f"{place}: not an answer ({error!r}); remove the line") from error
            self._answers.setdefault(key, answer)
            self._models.add(model)
            self._whole += len(line) + 1
            self._lines += 1

    def _append(self, file: BinaryIO):
        """Under the lock nobody is writing, so what follows the last end of a line was left by a writer that died."""
        file.truncate(self._whole)
        for key, (answer, model, line) in list(self._unwritten.items()):
            if key not in self._answers:
                _write(file, line, self._whole)
                self._whole += len(line)
                self._lines += 1
                self._answers[key] = answer
                self._models.add(model)
            del self._unwritten[key]


def _parse(line: bytes) -> tuple[str, str, Answer]:
    row = json.loads(line)
    lists = {name: tuple(row[name]) for name in ("texts", "finish", "logprobs")}
    return row["key"], row["model"], Answer(**{name: row[name] for name in _STORED} | lists, cached=True)


def _write(file: BinaryIO, line: bytes, start: int):
    rest = memoryview(line)
    try:
        while rest:  # a disk that is nearly full takes a part
            rest = rest[file.write(rest) :]
    except OSError:
        file.truncate(start)
        raise
