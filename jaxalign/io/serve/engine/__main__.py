"""Serves a model of this machine: ``python -m jaxalign.io.serve.engine MODEL --port 8002``.

MODEL is a directory in Hugging Face format, or a hub id. ``--port 0`` takes a free port; the URL is printed.
"""

import argparse

from jaxalign.io.serve.engine.app import opened
from jaxalign.io.serve.processes import end_with_parent
from jaxalign.io.serve.upstream import running


def main() -> None:
    """Serves until the process is told to end."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {__spec__.parent}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8002)
    parser.add_argument("--name", default="", help="by which clients ask for it; the directory's name by default")
    parser.add_argument("--slots", type=int, default=8, help="samples that are decoded side by side")
    parser.add_argument("--prompt-tokens", type=int, default=0, help="of a prompt at most; by default by the context")
    parser.add_argument("--new-tokens", type=int, default=0, help="of an answer at most; by default by the context")
    parser.add_argument("--stride", type=int, default=4, help="tokens that are decoded before any are sent")
    parser.add_argument("--with-parent", action="store_true", help="end when the process that began this one ends")
    arguments = parser.parse_args()
    if arguments.with_parent:
        end_with_parent()
    sizes = {"prompt_tokens": arguments.prompt_tokens, "new_tokens": arguments.new_tokens, "stride": arguments.stride}
    with opened(arguments.model, name=arguments.name, num_slots=arguments.slots, **sizes) as app:
        running.run(app, arguments.host, arguments.port)


if __name__ == "__main__":
    main()
