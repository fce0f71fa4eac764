"""Calls of tools by a simulated model: the first tool that is offered, with arguments made from its schema."""

import json
from collections.abc import Mapping
from typing import Any

from jaxalign.io.serve.upstream.backend import Body, Piece, Refused


def chosen_tool(body: Body) -> Mapping[str, Any] | None:
    """Returns the function that a model calls for this request, None where it answers with a text.

    Args:
      body: the request. It names the function in ``tool_choice``, or else the first of its ``tools`` is called, unless
        a tool's answer is the last message.

    Raises:
      Refused: the tools are not written as OpenAI's are, or the one that is named is not among them.
    """
    choice = body.get("tool_choice", "auto")
    tools = body.get("tools") or []
    if not tools or choice == "none" or body["messages"][-1]["role"] == "tool":
        return None
    try:
        functions = {tool["function"]["name"]: tool["function"] for tool in tools}
        named = choice["function"]["name"] if isinstance(choice, dict) else next(iter(functions))
        return functions[named]
    except (TypeError, KeyError) as error:
        example = '{"type": "function", "function": {"name": "f", "parameters": {...}}}'
        raise Refused(400, f"tools: expected such as {example}, and tool_choice to name one", param="tools") from error


def call_parts(function: Mapping[str, Any], id: str, choice: int) -> list[Piece]:
    """Returns the pieces of one call, its arguments in parts as they are streamed.

    Args:
      function: name and JSON schema of the function.
      id: of the answer, from which the call's is made.
      choice: the number of the choice.
    """
    arguments = json.dumps(example_of(function.get("parameters") or {}))
    call = {"id": id.replace("chatcmpl-", "call_"), "type": "function"}
    head = {"index": 0, **call, "function": {"name": function["name"], "arguments": ""}}
    parts = [arguments[place : place + 8] for place in range(0, len(arguments), 8)]
    rest = [{"index": 0, "function": {"arguments": part}} for part in parts]
    pieces = [Piece(choice, tokens=1, tool_calls=(part,)) for part in [head, *rest]]
    return [*pieces, Piece(choice, finish="tool_calls")]


def example_of(schema: Mapping[str, Any]) -> Any:
    """Returns a value that a simple JSON schema allows.

    Args:
      schema: with ``type``, ``enum``, ``properties`` and ``items``; what else it asks for is not looked at.

    >>> example_of({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}})
    {'city': 'city', 'days': 1}
    """
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("type") == "array":
        return [example_of(schema.get("items") or {})]
    if schema.get("type", "object") == "object":
        fields = (schema.get("properties") or {}).items()
        return {name: name if each.get("type") == "string" else example_of(each) for name, each in fields}
    return {"string": "text", "integer": 1, "number": 1.0, "boolean": True}.get(schema["type"])
