"""Messages between gateway and worker: four bytes of length, then JSON. No JAX here: gateways import it."""

import asyncio
import json
from typing import Any

LONGEST = 2**24  # bytes of a message


class MessageError(Exception):
    """What came is no message."""


async def read_message(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """Reads the next message; None where the other side has closed the connection between two of them.

    Args:
      reader: of the connection.

    Raises:
      MessageError: the message is cut, too long or no JSON object.
    """
    try:
        length = int.from_bytes(await reader.readexactly(4), "big")
        if length > LONGEST:
            raise MessageError(f"a message of {length} bytes; expected at most {LONGEST}")
        found = json.loads(await reader.readexactly(length))
    except asyncio.IncompleteReadError as error:
        if not error.partial and error.expected == 4:
            return None
        raise MessageError("the connection was closed within a message") from None
    except ValueError as error:
        raise MessageError(f"expected JSON ({error})") from None
    if not isinstance(found, dict):
        raise MessageError(f"expected a JSON object, got {type(found).__name__}")
    return found


def write_message(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    """Writes a message without waiting; see ``writer.drain``.

    Args:
      writer: of the connection.
      message: a JSON object.

    Raises:
      MessageError: it is too long.
    """
    data = json.dumps(message).encode()
    if len(data) > LONGEST:
        raise MessageError(f"a message of {len(data)} bytes; expected at most {LONGEST}")
    writer.write(len(data).to_bytes(4, "big") + data)
