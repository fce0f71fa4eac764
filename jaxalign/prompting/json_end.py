"""The JSON value with which a text ends, as models write it: behind a sentence, or in a fence of backticks."""

import json
import re
from typing import Any


def json_at_end(text: str, opening: str) -> Any:
    """Returns the JSON value that begins with ``opening`` and ends the text, or None if the text ends otherwise.

    Args:
      text: what a model said after any thinking.
      opening: ``"{"`` for an object, ``"["`` for an array.
    """
    decoder = json.JSONDecoder()
    for match in re.finditer(re.escape(opening), text):
        try:
            value, end = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if not text[end:].strip(" \n\t`*."):
            return value
    return None
