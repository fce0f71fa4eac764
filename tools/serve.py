"""Serve language models through one address, with examples from earlier answers: ``./tools/run tools.serve``.

Clients speak the OpenAI API: requests for the model ``auto`` go to the model that is expected to answer well at the
least cost, smaller ones with examples of earlier requests and answers. Without ``--config`` two simulated models answer
on this machine, so that everything can be tried. With it, a TOML file names upstreams, models with prices, tenants with
hashes of their keys, the store, and limits; its tables are described in ``jaxalign/io/serve/config.py``, and README.md
has one to begin with. Everything that is kept is in the folder, or in PostgreSQL. Stop it with Ctrl-C.
"""

import dataclasses
import pathlib
import signal
import threading

import tyro

from jaxalign.io import edge
from jaxalign.io.serve.config import check_config, hash_key, read_config
from jaxalign.io.serve.processes import keep_running
from jaxalign.io.serve.starting import default_config, prepare


def main(
    config: pathlib.Path | None = None,
    folder: str | None = None,
    host: str | None = None,
    port: int | None = None,
    gateways: int = 1,
    hash: str | None = None,
) -> None:
    """Serve until told to stop.

    Args:
        config: a TOML file of settings; without it, two simulated models.
        folder: for what is kept, runs/serve if nothing says otherwise; in place of the file's.
        host: the address to listen on; in place of the file's.
        port: the port to listen on; in place of the file's.
        gateways: processes that answer, at ports that follow each other.
        hash: print the hash of this API key, for key_sha256 of a tenant, and end.
    """
    if hash is not None:
        print(hash_key(hash))
        return
    settings = default_config("runs/serve", "127.0.0.1", 8080) if config is None else read_config(config)
    given = {"folder": folder, "host": host, "port": port}
    settings = check_config(dataclasses.replace(settings, **{k: v for k, v in given.items() if v is not None}))
    start = prepare(settings, gateways=gateways)
    for remark in start.told:
        print(remark, flush=True)
    stop = threading.Event()
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, lambda *_: stop.set())
    keep_running(start.processes, lambda told: print(told, flush=True), stop)


if __name__ == "__main__":
    edge.explain_errors()
    tyro.cli(main, prog=f"./tools/run {__spec__.name}", description=__doc__)
