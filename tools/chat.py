"""Chat in a terminal with one model, or with two side by side: ``./tools/run tools.chat MODEL [OTHER]``.

Each line of the standard input is a question, to which every model's answer is shown as it is written; with two models
the same question goes to both, and each goes on with its own answers. MODEL is a directory in Hugging Face format, a
hub id, or a LoRA adapter of the peft library. ``/reset`` begins a new conversation, ``/system TEXT`` does so with a
system message, ``/quit`` or the end of the input ends the program. Ctrl-C ends an answer; what was written of it stays
in the conversation. At ``--temperature 0`` an answer is what ``sampling.generate`` writes.
"""

import contextlib
import signal
import sys
import unicodedata
from collections.abc import Iterator
from typing import Annotated

import tyro

from jaxalign.data import Message
from jaxalign.io import edge
from jaxalign.io.cluster import launch
from tools.chatting.speakers import Dials, Speaker, load

COMMANDS = "/reset, /system TEXT, /quit"


def main(
    model: Annotated[str, tyro.conf.arg(metavar="MODEL")],
    other: Annotated[str | None, tyro.conf.arg(metavar="[OTHER]")] = None,
    /,
    system: str = "",
    base: str | None = None,
    temperature: float = 0.7,
    max_new_tokens: int = 256,
    seed: int = 0,
) -> None:
    """Chat in a terminal with one model, or with two side by side.

    Args:
        model: a directory in Hugging Face format, a hub id, or the directory of a LoRA adapter.
        other: another one, that answers the same questions.
        system: a system message.
        base: the model that an adapter belongs to, if not the one that it names itself.
        temperature: 0 for the most likely token, always.
        max_new_tokens: of an answer at most.
        seed: of the random numbers.
    """
    edge.check_least(1, max_new_tokens=max_new_tokens)
    edge.check_least(0, temperature=temperature, seed=seed)
    launch.keep_programs()
    speakers = [load(each, base) for each in (model, other) if each is not None]
    begin(speakers, system)
    converse(speakers, Dials(temperature, max_new_tokens, seed))


def begin(speakers: list[Speaker], system: str) -> None:
    """Begins a new conversation with every model; ``system`` is its system message, "" for none."""
    for speaker in speakers:
        speaker.chat = [Message(role="system", content=system)] if system else []


def converse(speakers: list[Speaker], dials: Dials) -> None:
    """Answers every line of the standard input until its end or ``/quit``."""
    system = next((each["content"] for each in speakers[0].chat), "")
    for turn, line in enumerate(_lines()):
        command, _, rest = line.rstrip().partition(" ")
        if command == "/quit":
            return
        if command == "/reset":
            begin(speakers, system)
            print("[a new conversation]")
        elif command == "/system":
            system = rest.strip()
            begin(speakers, system)
            print(f"[a new conversation, {'with this' if system else 'without a'} system message]")
        elif command.startswith("/"):
            print(f"[{command} is no command; commands are {COMMANDS}; a question may begin with a blank]")
        elif line.strip():
            _ask(speakers, line.strip(), dials, turn)


class Stopped(contextlib.AbstractContextManager):
    """Within it Ctrl-C is only remembered, so that an answer ends between two tokens and JAX is never interrupted."""

    def __init__(self):
        self._is = False

    def __call__(self) -> bool:
        return self._is

    def forget(self) -> None:
        """Begins anew, for the next answer."""
        self._is = False

    def __enter__(self) -> "Stopped":
        self._before = signal.signal(signal.SIGINT, lambda *_: setattr(self, "_is", True))
        return self

    def __exit__(self, *_) -> None:
        signal.signal(signal.SIGINT, self._before)


def _ask(speakers: list[Speaker], question: str, dials: Dials, turn: int) -> None:
    with Stopped() as stopped:
        for speaker in speakers:
            stopped.forget()
            if len(speakers) > 1:
                print(f"[{speaker.name}]")
            try:
                for piece in speaker.answer(question, dials, turn, stopped):
                    print(_shown(piece), end="", flush=True)
                print("\n")
            except ValueError as error:
                print(f"[no answer: {error}]\n")


def _lines() -> Iterator[str]:
    """Those of the standard input; a terminal is asked for each, with the keys of readline."""
    if not sys.stdin.isatty():
        for line in sys.stdin:
            print(f"> {line.rstrip()}")
            yield line
        return
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401
    print(f"{COMMANDS}; Ctrl-C ends an answer. The first one takes longer: its programs are compiled.")
    while True:
        try:
            yield input("> ")
        except KeyboardInterrupt:
            print(f"\n[{COMMANDS}]")
        except EOFError:
            print()
            return


def _shown(text: str) -> str:
    """A model's text without what would steer the terminal."""
    return "".join("\ufffd" if unicodedata.category(each) == "Cc" and each not in "\n\t" else each for each in text)


if __name__ == "__main__":
    edge.explain_errors()
    sys.stdout.reconfigure(errors="replace")
    tyro.cli(main, prog=f"./tools/run {__spec__.name}", description=__doc__)
