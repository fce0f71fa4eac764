"""Text as its tokens come: no half characters, nothing of a stop text, and together what all tokens say at once."""

from collections.abc import Callable, Sequence

UNFINISHED = "\ufffd"  # what the bytes of half a character are decoded to


class TextStream:
    """A text that grows by tokens.

    Each token is decoded with the few before it, back to where text was last given out: tokenizers that write a space
    before a word take it away at a text's beginning, and bytes make a character together. Bytes that make none are
    shown as they come, where a tokenizer that decodes them all at once may let one wrong byte spoil those beside it.

    Args:
      decode: turns token ids into text.
      stops: texts that are not empty; the first that is complete ends this text before it.
      begin: what stands before the first token's text.

    Attributes:
      ended: whether a stop text was found.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stops: Sequence[str] = (), begin: str = ""):
        self._decode, self._stops, self._begin = decode, list(stops), begin
        self._tokens: list[int] = []
        self._shown = 0  # the window's tokens whose text was taken over
        self._held = ""  # text that may be the beginning of a stop text
        self.ended = False

    def add(self, token: int) -> str:
        """Takes the next token, and returns what can be shown because of it; perhaps nothing yet.

        Args:
          token: an id, of a text that has not ended.
        """
        self._tokens.append(token)
        before, now = self._decode(self._tokens[: self._shown]), self._decode(self._tokens)
        if len(now) <= len(before) or now.endswith(UNFINISHED):
            return ""
        self._tokens = self._tokens[self._shown :]
        self._shown = len(self._tokens)
        return self._show(now[len(before) :])

    def finish(self) -> str:
        """Returns what was held back, once no token follows."""
        before, now = self._decode(self._tokens[: self._shown]), self._decode(self._tokens)
        last = "" if self.ended else self._show(now[len(before) :])
        held, self._held = self._held, ""
        return last + held

    def _show(self, text: str) -> str:
        text, self._begin = self._begin + self._held + text, ""
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.ended, self._held = True, ""
            return text[: min(places)]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """How much of a text's end is a stop text's beginning."""
    lengths = range(min(len(text), len(stop) - 1), 0, -1)
    return next((length for length in lengths if text.endswith(stop[:length])), 0)
