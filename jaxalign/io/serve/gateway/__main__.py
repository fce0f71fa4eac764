"""A gateway process: ``python -m jaxalign.io.serve.gateway --config FILE --socket PATH [--port N]``."""

import argparse
import dataclasses

from jaxalign.io.serve.config import read_config
from jaxalign.io.serve.gateway.server import make_server
from jaxalign.io.serve.processes import end_with_parent
from jaxalign.io.serve.store.opening import open_store


def main() -> None:
    """Serves until it is told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--with-parent", action="store_true", help="end when the process that began this one ends")
    told = parser.parse_args()
    if told.with_parent:
        end_with_parent()
    config = read_config(told.config)
    config = dataclasses.replace(config, port=config.port if told.port is None else told.port)
    make_server(config, open_store(config.store, config.folder), told.socket).run()


if __name__ == "__main__":
    main()
