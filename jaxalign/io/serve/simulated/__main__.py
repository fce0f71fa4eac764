"""Serves simulated models: ``python -m jaxalign.io.serve.simulated --port 8001``.

``--model NAME,latency=0.1,rate=50,slots=8,tools=1,width=64,faults=stall:2+cut:3`` adds a model, and may stand more than
once; without any there are small, large, null and embedding. ``--port 0`` takes a free port; the URL is printed.
"""

import argparse

from jaxalign.io.serve.processes import end_with_parent
from jaxalign.io.serve.simulated.app import Simulated
from jaxalign.io.serve.simulated.models import MODELS, SimulatedModel
from jaxalign.io.serve.upstream import running

_READ = {
    "latency": float,
    "rate": float,
    "slots": float,
    "tools": lambda text: bool(int(text)),
    "width": int,
    "faults": lambda text: text.replace(":", "=").replace("+", ","),
}


def parse_model(text: str) -> SimulatedModel:
    """Returns a model from its text on the command line.

    Args:
      text: such as ``small,latency=0.1,rate=50``.

    Raises:
      argparse.ArgumentTypeError: a setting that is not known, or whose value is not of its kind.

    >>> parse_model("small,latency=0.1").latency
    0.1
    """
    name, *settings = text.split(",")
    try:
        pairs = (setting.partition("=") for setting in settings)
        return SimulatedModel(name, **{key: _READ[key](value) for key, _, value in pairs})
    except (KeyError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"expected NAME,setting=value of {sorted(_READ)}, got {text!r}") from error


def main() -> None:
    """Serves until the process is told to end."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {__spec__.parent}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--model", type=parse_model, action="append", default=[], dest="models")
    parser.add_argument("--key", default="", help="the API key that clients must show")
    parser.add_argument("--with-parent", action="store_true", help="end when the process that began this one ends")
    arguments = parser.parse_args()
    if arguments.with_parent:
        end_with_parent()
    simulated = Simulated(arguments.models or MODELS, key=arguments.key)
    running.run(simulated.app, arguments.host, arguments.port)


if __name__ == "__main__":
    main()
