"""Whole conversations as a prompt and the answers to it, without losing a message.

Data sets write a response as a text, as the assistant's message, or as a conversation that holds the prompt again, in
part or whole, and perhaps more than it: a system message, earlier turns. What all conversations of a row have before
their last message is the prompt that their last messages answer. A row whose conversations differ earlier, or do not
end with an answer, or do not hold the prompt that stands beside them, is an error: nothing of it is left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxalign.data.records.record import Answer, Message, answer_of, chat_messages
from jaxalign.typing import Prompt


def split_answers(prompt: Any, responses: Mapping[str, Any]) -> tuple[Prompt, list[Answer]]:
    """The prompt that all responses answer, and what each answers.

    Args:
      prompt: a text, a chat, or None where the conversations alone tell.
      responses: by what errors call them; each is a text, a message, or a list of messages that ends with an answer.

    Raises:
      ValueError: naming the field, if something would be left out.
    """
    if prompt is not None and not isinstance(prompt, str):
        prompt = chat_messages(prompt)
    split = {name: _split(prompt, response, name) for name, response in responses.items()}
    prompts = [before for before, _ in split.values()]
    if any(before != prompts[0] for before in prompts):
        names = ", ".join(split)
        raise ValueError(
            f"{names}: expected chats that differ in their last message only, which answers one prompt; compare "
            "conversations with a common history, or leave the row out"
        )
    return prompts[0] if prompts else prompt, [answer for _, answer in split.values()]


def numbered(field: str, responses: Sequence[Any]) -> dict[str, Any]:
    """The responses of a list by what errors call them."""
    return {f"{field}, index {number}": response for number, response in enumerate(responses)}


def _split(prompt: Prompt | None, response: Any, name: str) -> tuple[Prompt, Answer]:
    if isinstance(response, str | Mapping) or not isinstance(response, Sequence):
        if prompt is None:
            raise ValueError(f"{name}: expected a chat that holds its prompt, got {response!r}; name a prompt column")
        return prompt, answer_of(response, name)
    messages = chat_messages(response, name)
    return _history(prompt, messages[:-1], name), answer_of(messages[-1], name)


def _history(prompt: Prompt | None, before: tuple[Message, ...], name: str) -> Prompt:
    """What is said before an answer, by the prompt and by the conversation."""
    if not before:
        if prompt is None:
            raise ValueError(f"{name}: expected a chat of a prompt and an answer, got one message")
        return prompt
    if prompt is None or _holds(before, prompt):
        return before
    if not isinstance(prompt, str) and prompt[-len(before) :] == before:
        return prompt
    raise ValueError(
        f"{name}: the conversation has {len(before)} messages before its answer and does not hold the prompt "
        f"{str(prompt)[:80]!r}, so it is not clear what is answered; correct one of them, or name no prompt column"
    )


def _holds(messages: Sequence[Message], prompt: Prompt) -> bool:
    if isinstance(prompt, str):
        users = [message.get("content", "").strip() for message in messages if message["role"] == "user"]
        return prompt.strip() in users
    starts = range(len(messages) - len(prompt) + 1)
    return any(tuple(messages[start : start + len(prompt)]) == tuple(prompt) for start in starts)
