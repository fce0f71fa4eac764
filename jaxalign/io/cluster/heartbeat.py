"""Each process of a run finds out when another one is gone, and then ends with a message.

When one dies, the others wait in a collective operation: JAX ends them after 100 seconds, with a stack trace. Here each
process says every second in the coordinator's key-value store that it is alive, and one that does not hear from another
for ``PATIENCE`` seconds ends itself and says why. One that fails with an exception says so, and all end at once.
"""

import atexit
import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterable, Mapping

import jax

PATIENCE = 20.0  # seconds; a process that compiles or waits for a disk still beats
_BEAT = 1.0
_FOLDER = "jaxalign"
_ALIVE, _FAILED = "alive", "failed"
_ENDED = "ended"
_leaving = threading.Lock()  # taken by the thread that says why this process ends, and never given back


def watch():
    """Starts to watch the other processes, in the background, until this one ends."""
    client = jax._src.distributed.global_state.client
    ended = threading.Event()
    threading.Thread(target=_run, args=(client, ended), daemon=True, name="peers").start()

    def leave():  # before JAX waits for the others to end as well
        ended.set()
        _say(client, _ALIVE, _ENDED)

    atexit.register(leave)
    report = sys.excepthook

    def fail(kind, error, trace):
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            # Of whose end this error may be a consequence: a collective operation broke off.
            _end_for_others(parse(client.key_value_dir_get(_FOLDER))[_FAILED])
        _leaving.acquire()
        report(kind, error, trace)
        _say(client, _FAILED, f"{kind.__name__}: {error}")
        time.sleep(2 * _BEAT)  # the others read it before the connections to this process break
        _exit()

    sys.excepthook = fail


def _run(client, ended: threading.Event):
    heard = {process: ("", time.monotonic()) for process in range(jax.process_count())}
    count = 0
    while not ended.wait(_BEAT):
        count += 1
        try:
            _say(client, _ALIVE, str(count))
            said = parse(client.key_value_dir_get(_FOLDER))
            heard = update(heard, said[_ALIVE], time.monotonic())
        except jax.errors.JaxRuntimeError:
            if not ended.is_set():
                _end("process 0, the coordinator, cannot be reached")
        _end_for_others(said[_FAILED])
        if silent := [process for process, (_, when) in heard.items() if time.monotonic() - when > PATIENCE]:
            names = " and ".join(f"process {process}" for process in silent)
            _end(f"{names} of {jax.process_count()} was not heard from for {PATIENCE:.0f} s")


def _end_for_others(failed: Mapping[int, str]):
    """Ends this process if another one said that it failed."""
    others = {process: why for process, why in failed.items() if process != jax.process_index()}
    if others:
        _end(" and ".join(f"process {one} of {jax.process_count()} failed: {why}" for one, why in others.items()))


def update(heard: Mapping[int, tuple[str, float]], said: Mapping[int, str], now: float) -> dict[int, tuple[str, float]]:
    """Returns when each process last said something new; one that has ended in good order is never late.

    Args:
      heard: what each process said last, and when, in seconds.
      said: what each process says now.
      now: the time, in seconds of the same clock.
    """
    return {
        process: (said.get(process, ""), now) if said.get(process, "") != before or before == _ENDED else (before, when)
        for process, (before, when) in heard.items()
    }


def parse(entries: Iterable[tuple[str, str]]) -> dict[str, dict[int, str]]:
    """Returns what processes said, by kind (``alive``, ``failed``) and process.

    Args:
      entries: entries ``(".../KIND/PROCESS", text)`` of the key-value store.
    """
    said: dict[str, dict[int, str]] = {_ALIVE: {}, _FAILED: {}}
    for key, text in entries:
        _, kind, process = key.rsplit("/", 2)
        said[kind][int(process)] = text
    return said


def _say(client, kind: str, text: str):
    client.key_value_set(f"{_FOLDER}/{kind}/{jax.process_index()}", text, allow_overwrite=True)


def _end(cause: str):
    _leaving.acquire()
    print(
        f"process {jax.process_index()}: {cause}, so this run cannot go on. Look at what that process wrote last, then "
        "start the same command again, on any number of processes: it continues from the newest checkpoint",
        file=sys.stderr,
        flush=True,
    )
    _exit()


def _exit():
    """Without JAX's own way out, which waits for all processes.

    Process 0 goes last, since it holds the store: JAX aborts a process that sees the store vanish.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if jax.process_index() == 0:
        time.sleep(3 * _BEAT)
    os._exit(1)
