"""Texts as every database can keep them.

Texts of users are kept whatever they are; PostgreSQL has no character NUL and no half of a surrogate pair, which JSON
can bring. Names tell apart who may see what, so that nothing is replaced in them: they are refused.
"""

LONGEST_NAME = 512
"""Characters of a name; PostgreSQL's indices take 2,700 bytes."""


def keepable(text: str) -> str:
    """Returns a text with U+FFFD in place of characters that not every database can keep.

    Args:
      text: any text.

    >>> keepable("a\\0b")
    'a\ufffdb'
    """
    try:
        text.encode()
    except UnicodeEncodeError:  # two halves that belong together become one character
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\0", "\ufffd")


def check_name(what: str, name: str) -> str:
    """Returns a name that every database keeps as it is.

    Args:
      what: whose name it is, for the message.
      name: the name.

    Raises:
      ValueError: it is too long, or has a character NUL or half a surrogate pair.
    """
    if len(name) > LONGEST_NAME:
        raise ValueError(f"{what}: expected a name of at most {LONGEST_NAME} characters, got {len(name)}; shorten it")
    if keepable(name) != name:
        raise ValueError(f"{what}: expected a name without NUL and half surrogate pairs, got {name!r}")
    return name
