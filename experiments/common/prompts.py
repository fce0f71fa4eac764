"""How a model reads prompts that are texts: as beginnings, which it goes on with, or as what a user says."""

from collections.abc import Sequence

from jaxalign.data import HfTokenizer, PreferenceRecord


def check(records: Sequence[PreferenceRecord], tokenizer: HfTokenizer, model: str, *, as_chat: bool) -> None:
    """Says aloud that prompts are plain texts where the model is one to chat with, or chats where it is none.

    Args:
      records: as they are read, chats where ``as_chat`` made them so.
      tokenizer: the model's.
      model: what the run calls it; empty: one from scratch.
      as_chat: whether the run asked for chats.

    Raises:
      ValueError: it did, and the model has no chat template.
    """
    if as_chat and not tokenizer.has_chat_template:
        raise ValueError(f"--as-chat: {model or 'a model from scratch'} has no chat template; leave it out")
    if warning := plain(records, tokenizer, model) or _foreign(records, tokenizer, model):
        print(f"WARNING: {warning}", flush=True)


def plain(records: Sequence[PreferenceRecord], tokenizer: HfTokenizer, model: str) -> str:
    """Tells how many prompts are texts where the model is one to chat with, and the remedy; "" where all is well."""
    count = sum(isinstance(record.prompt, str) for record in records)
    if not (model and count and tokenizer.has_chat_template):
        return ""
    return (
        f"{count:,} of {len(records):,} prompts are texts, and {model} has a chat template: they are learnt as texts "
        "that go on, not as chats. --as-chat makes each a user's message"
    )


def _foreign(records: Sequence[PreferenceRecord], tokenizer: HfTokenizer, model: str) -> str:
    count = sum(not isinstance(record.prompt, str) for record in records)
    if not (model and count) or tokenizer.has_chat_template:
        return ""
    return (
        f"{count:,} of {len(records):,} prompts are chats, and {model} has no chat template: it reads them as lines of "
        '"role: content"'
    )
