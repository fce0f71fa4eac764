"""Chats as text, by the Jinja template that comes with a tokenizer.

A template is somebody else's program: it runs in Jinja's sandbox, on copies, and sees nothing but the chat and the
names of the special tokens. It gets no clock: templates that look for one (``strftime_now``) have a fixed date instead,
so that the same chat is the same tokens tomorrow.
"""

import functools
import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jinja2
import jinja2.ext
import jinja2.sandbox

from jaxalign.data.records.record import Message, chat_messages

PLAIN_TEMPLATE = """\
{%- for message in messages %}{{ message.role }}: {{ message.content }}

{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"""
"""What a tokenizer without a template of its own uses: ``role: content`` and a blank line after each turn."""

ZERO_WIDTH_SPACE = "\u200b"
SPEAKING = "tool_calls", "reasoning_content", "thinking"
"""Fields of a message that say something: a template that does not know one would leave it out without a word."""
BEGIN, END = (f"\ufdd0{secrets.token_hex(8)}{side}" for side in "<>")
"""Around what stands in a template's generation tags while it renders: no text of a chat can hold them."""


class Rendered(NamedTuple):
    """A chat as text."""

    text: str
    generated: list[tuple[int, int]]  # where in it stands what the template marks as the assistant's: begin, end


class _Generation(jinja2.ext.Extension):
    """``{% generation %}`` marks the assistant's words for training masks; the text is what stands inside."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_mark"), [], [], body, lineno=line)

    def _mark(self, caller) -> str:
        return f"{BEGIN}{caller()}{END}"


def render_template(
    template: str,
    messages: Sequence[Message],
    *,
    add_generation_prompt: bool,
    special_tokens: Mapping[str, str],
    tools: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Renders a chat as one text by a Jinja template, as transformers does, in a sandbox and on copies.

    Args:
      template: Jinja source.
      messages: the turns of the chat.
      add_generation_prompt: end where the assistant is to go on.
      special_tokens: for instance ``{"bos_token": "<s>", "eos_token": "</s>"}``; templates refer to these names.
      tools: JSON schemas of the functions that the assistant may call.

    Returns:
      The text.

    Raises:
      ValueError: if the template is broken, refuses this chat, tries what the sandbox forbids, or does not know
        ``tools`` or a field of a message that says something.
    """
    options = {"add_generation_prompt": add_generation_prompt, "special_tokens": special_tokens, "tools": tools}
    return render_marked(template, messages, **options).text


def render_marked(
    template: str,
    messages: Sequence[Message],
    *,
    add_generation_prompt: bool,
    special_tokens: Mapping[str, str],
    tools: Sequence[Mapping[str, Any]] = (),
) -> Rendered:
    """The chat as one text, with what stands in the template's ``{% generation %}`` tags.

    Args:
      template: Jinja source.
      add_generation_prompt: end where the assistant is to go on.
      special_tokens: for instance ``{"bos_token": "<s>", "eos_token": "</s>"}``; templates refer to these names.
      tools: JSON schemas of functions.

    Raises:
      ValueError: if the template is broken, refuses this chat, tries what the sandbox forbids, or does not know
        ``tools`` or a field of a message that says something.
    """
    messages = chat_messages(messages)
    _check_known(template, messages, tools)
    try:
        text = _compiled(template).render(
            messages=[dict(message) for message in messages],
            add_generation_prompt=add_generation_prompt,
            tools=[dict(tool) for tool in tools] or None,  # templates tell None and undefined apart
            documents=None,
            **special_tokens,
        )
    except Exception as error:  # somebody else's program may fail in any way
        raise ValueError(f"the chat template failed ({type(error).__name__}): {error}") from error
    return _taken_apart(text)


def _taken_apart(text: str) -> Rendered:
    whole, generated = "", []
    for piece in re.split(f"({BEGIN}|{END})", text):
        if piece == BEGIN:
            generated.append((len(whole), len(whole)))
        elif piece == END:
            generated[-1] = generated[-1][0], len(whole)
        else:
            whole += piece
    return Rendered(whole, generated)


def check_complete(messages: Sequence[Message], text: str) -> None:
    """Checks that a rendered chat holds the content of every turn, of an assistant's what follows its thinking.

    Templates may trim contents, fold turns together or write them as JSON; one that skips a role loses words.

    Raises:
      ValueError: naming the turn that is left out.
    """
    folded = _folded(text)
    for index, message in enumerate(messages):
        content = message.get("content", "")
        if message["role"] == "assistant":
            content = content.rpartition("</think>")[2]
        if _folded(content) not in folded and _folded(json.dumps(content, ensure_ascii=False)[1:-1]) not in folded:
            raise ValueError(
                f"the chat template leaves out message {index}, of the role {message['role']!r}: {content[:80]!r}; "
                "use another template, or take the message out"
            )


def _folded(text: str) -> str:
    return " ".join(text.split())


def _check_known(template: str, messages: Sequence[Message], tools: Sequence[Any]) -> None:
    names = _names(template)
    said = {field for message in messages for field in SPEAKING if field in message} | ({"tools"} if tools else set())
    if unknown := sorted(said - names):
        raise ValueError(
            f"the chat template knows nothing of {' and '.join(unknown)}, which this chat has and would lose; use a "
            "template that writes them, or take them out"
        )


@functools.lru_cache
def _names(template: str) -> frozenset[str]:
    """All names, attributes and constant texts that a template mentions; none of a broken one."""
    try:
        tree = _environment().parse(template)
    except jinja2.TemplateSyntaxError:  # rendering says so
        return frozenset(SPEAKING) | {"tools"}
    kinds = ((jinja2.nodes.Getattr, "attr"), (jinja2.nodes.Name, "name"), (jinja2.nodes.Const, "value"))
    found = (getattr(node, field) for kind, field in kinds for node in tree.find_all(kind))
    return frozenset(name for name in found if isinstance(name, str))


def disarm(messages: Sequence[Message], control_tokens: Iterable[str]) -> list[Message]:
    """The chat, with a zero-width space inside whatever in its contents reads like a control token.

    A template's own ``<|im_end|>`` ends a turn; one that a user typed must not.
    """
    # Longest first, lest a token inside another is split and the outer one missed.
    ordered = sorted(control_tokens, key=len, reverse=True)

    def safe(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: safe(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [safe(item) for item in value]
        if isinstance(value, str):
            for token in ordered:
                value = value.replace(token, token[0] + ZERO_WIDTH_SPACE + token[1:])
        return value

    return [Message(**safe(message) | {"role": message["role"]}) for message in chat_messages(messages)]


@functools.lru_cache
def _compiled(template: str) -> jinja2.Template:
    return _environment().from_string(template)


@functools.lru_cache
def _environment() -> jinja2.Environment:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    return environment


def _tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False) -> str:
    # Jinja's own filter escapes for HTML.
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str):
    raise jinja2.TemplateError(message)
