"""Chats as text, by the Jinja template that comes with a tokenizer.

A template is somebody else's program: it runs in Jinja's sandbox, on copies, and sees nothing but the chat and the
names of the special tokens. It gets no clock: templates that look for one (``strftime_now``) have a fixed date instead,
so that the same chat is the same tokens tomorrow.
"""

import functools
import json
from collections.abc import Iterable, Mapping, Sequence

import jinja2
import jinja2.ext
import jinja2.sandbox

from jaxalign.data.record import Message, chat_messages

PLAIN_TEMPLATE = """\
{%- for message in messages %}{{ message.role }}: {{ message.content }}

{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"""
"""What a tokenizer without a template of its own uses: ``role: content`` and a blank line after each turn."""

ZERO_WIDTH_SPACE = "\u200b"


class _Generation(jinja2.ext.Extension):
    """``{% generation %}`` marks the assistant's words for training masks; the text is what stands inside."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


def render_template(
    template: str, messages: Sequence[Message], *, add_generation_prompt: bool, special_tokens: Mapping[str, str]
) -> str:
    """The chat as one text, as transformers renders it.

    Args:
      template: Jinja source.
      add_generation_prompt: end where the assistant is to go on.
      special_tokens: for instance ``{"bos_token": "<s>", "eos_token": "</s>"}``; templates refer to these names.

    Raises:
      ValueError: if the template is broken, refuses this chat, or tries what the sandbox forbids.
    """
    try:
        return _compiled(template).render(
            messages=[dict(message) for message in chat_messages(messages)],
            add_generation_prompt=add_generation_prompt,
            tools=None,  # templates tell None and undefined apart
            documents=None,
            **special_tokens,
        )
    except Exception as error:  # somebody else's program may fail in any way
        raise ValueError(f"the chat template failed ({type(error).__name__}): {error}") from error


def disarm(messages: Sequence[Message], control_tokens: Iterable[str]) -> list[Message]:
    """The chat, with a zero-width space inside whatever in its contents reads like a control token.

    A template's own ``<|im_end|>`` ends a turn; one that a user typed must not.
    """

    def safe(text: str) -> str:
        # Longest first, lest a token inside another is split and the outer one missed.
        for token in sorted(control_tokens, key=len, reverse=True):
            text = text.replace(token, token[0] + ZERO_WIDTH_SPACE + token[1:])
        return text

    return [Message(role=message["role"], content=safe(message["content"])) for message in chat_messages(messages)]


@functools.lru_cache
def _compiled(template: str) -> jinja2.Template:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    return environment.from_string(template)


def _tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False) -> str:
    # Jinja's own filter escapes for HTML.
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str):
    raise jinja2.TemplateError(message)
