"""A gateway process: ``python -m jaxalign.io.serve.gateway --config FILE --socket PATH [--port N]``."""

import argparse
import dataclasses
import sys

from jaxalign.io.serve.config import read_config
from jaxalign.io.serve.gateway.server import make_server
from jaxalign.io.serve.processes import end_with_parent
from jaxalign.io.serve.store.late import LateStore
from jaxalign.io.serve.store.opening import open_store
from jaxalign.io.serve.store.protocol import StoreError


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
    store = LateStore(lambda: open_store(config.store, config.folder))
    try:
        store.born()
    except StoreError as error:
        print(f"gateway: begins without a store, which is looked for again: {error}", file=sys.stderr, flush=True)
    make_server(config, store, told.socket).run()


if __name__ == "__main__":
    main()
