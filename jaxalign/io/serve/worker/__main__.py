"""A worker process: ``python -m jaxalign.io.serve.worker --config FILE --socket PATH``."""

import argparse

from jaxalign.io.serve.config import read_config
from jaxalign.io.serve.processes import end_with_parent
from jaxalign.io.serve.worker.serving import run_worker


def main() -> None:
    """Serves until it is told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--with-parent", action="store_true", help="end when the process that began this one ends")
    told = parser.parse_args()
    if told.with_parent:
        end_with_parent()
    run_worker(read_config(told.config), told.socket)


if __name__ == "__main__":
    main()
