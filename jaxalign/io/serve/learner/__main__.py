"""A learner process: ``python -m jaxalign.io.serve.learner --config FILE``."""

import argparse

from jaxalign.io.serve.config import read_config
from jaxalign.io.serve.learner.running import run_learner
from jaxalign.io.serve.processes import end_with_parent


def main() -> None:
    """Learns until it is told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True)
    parser.add_argument("--with-parent", action="store_true", help="end when the process that began this one ends")
    told = parser.parse_args()
    if told.with_parent:
        end_with_parent()
    run_learner(read_config(told.config))


if __name__ == "__main__":
    main()
