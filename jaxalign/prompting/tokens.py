"""Estimates of tokens where a tokenizer is not at hand."""


def guess_tokens(text: str) -> int:
    """Estimates the number of tokens of a text without a tokenizer, as one for each four bytes of UTF-8, rounded up.

    That is about right for English prose; code and numbers have more.

    Args:
      text: any text.

    Returns:
      The estimate, at least 0.

    >>> guess_tokens("Is it so?")
    3
    """
    return -(-len(text.encode(errors="replace")) // 4)
