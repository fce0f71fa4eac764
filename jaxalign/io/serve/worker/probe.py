"""Says whether a worker replies: ``python -m jaxalign.io.serve.worker.probe --socket PATH`` ends with status 0 or 1."""

import argparse
import asyncio
import contextlib
import sys

from jaxalign.io.serve.worker.messages import MessageError, read_message, write_message

SECONDS = 5.0


async def replies(path: str, seconds: float = SECONDS) -> bool:
    """Asks a worker how it is, and says whether it replied in time.

    Args:
      path: of its socket.
      seconds: that it may take.
    """
    with contextlib.suppress(OSError, TimeoutError, MessageError):
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                write_message(writer, {"op": "status", "id": 0})
                return "error" not in (await read_message(reader) or {"error": "closed"})
            finally:
                writer.close()
    return False


def main() -> None:
    """Ends with status 0 where the worker replies, else with 1."""
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=__doc__)
    parser.add_argument("--socket", required=True)
    told = parser.parse_args()
    sys.exit(0 if asyncio.run(replies(told.socket)) else 1)


if __name__ == "__main__":
    main()
