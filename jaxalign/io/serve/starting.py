"""From settings to the processes of a server on this machine."""

import dataclasses
import pathlib
import socket
from typing import Any, NamedTuple

import tomli_w

from jaxalign import files
from jaxalign.io.serve.config import Learning, Model, ServeConfig, Upstream, check_config
from jaxalign.io.serve.processes import GRACE_SECONDS, Process, socket_path

LOCAL, SIMULATED = "local:", "local:simulated"
CONFIG = "serve.toml"


class Start(NamedTuple):
    """What to begin."""

    config: ServeConfig  # every upstream with a URL
    processes: list[Process]
    told: list[str]  # what the user should know


def default_config(folder: str, host: str, port: int) -> ServeConfig:
    """Returns settings that need nothing: two simulated models and a store in a folder, on this machine alone.

    Args:
      folder: for the store and the worker's socket.
      host: to listen on.
      port: to listen on.

    Raises:
      ValueError: the host can be reached from elsewhere.
    """
    models = (
        Model("small", "simulated", prompt_price=0.1, answer_price=0.4, examples=True),
        Model("large", "simulated", prompt_price=1.0, answer_price=4.0, teaches=True),
    )
    config = ServeConfig(
        folder, host, port, upstreams=(Upstream("simulated", SIMULATED),), models=models, learning=Learning()
    )
    return check_config(config)


def prepare(config: ServeConfig, *, gateways: int = 1) -> Start:
    """Says which processes make a server, and writes the settings that they read into the folder.

    Args:
      config: the settings.
      gateways: how many processes answer, at ports that follow each other.

    Raises:
      ValueError: fewer than one gateway.
    """
    if gateways < 1:
        raise ValueError(f"gateways: expected at least 1, got {gateways}")
    folder = pathlib.Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    upstreams, processes = [], []
    for upstream in config.upstreams:
        if upstream.base_url.startswith(LOCAL):
            upstream, process = _local(upstream)
            processes.append(process)
        upstreams.append(upstream)
    config = dataclasses.replace(config, upstreams=tuple(upstreams))
    path, worker = folder / CONFIG, socket_path(config.folder)
    with files.replaced(path) as file:
        tomli_w.dump(plain(dataclasses.asdict(config)), file)
    named = ["--config", str(path), "--with-parent"]
    processes.append(Process("worker", ["-m", "jaxalign.io.serve.worker", *named, "--socket", worker]))
    processes.append(Process("learner", ["-m", "jaxalign.io.serve.learner", *named]))
    for number in range(gateways):
        place = ["--socket", worker, "--port", str(config.port + number)]
        arguments = ["-m", "jaxalign.io.serve.gateway", *named, *place]
        processes.append(Process(f"gateway {number}", arguments, GRACE_SECONDS + config.limits.drain_seconds))
    return Start(config, processes, _remarks(config))


def _local(upstream: Upstream) -> tuple[Upstream, Process]:
    """An upstream that is a process of this machine."""
    port = str(free_port())
    if upstream.base_url == SIMULATED:
        arguments = ["-m", "jaxalign.io.serve.simulated", "--port", port, "--with-parent"]
    else:
        directory = upstream.base_url.removeprefix(LOCAL)
        arguments = ["-m", "jaxalign.io.serve.engine", directory, "--port", port, "--with-parent"]
    found = dataclasses.replace(upstream, base_url=f"http://127.0.0.1:{port}/v1")
    return found, Process(f"upstream {upstream.name}", arguments)


def _remarks(config: ServeConfig) -> list[str]:
    told = [f"listening on http://{config.host}:{config.port}/v1; models: {config.routing.alias} (routed), "]
    told[0] += ", ".join(model.name for model in config.models)
    if not config.tenants:
        told.append("no tenants are named: any API key is accepted and is a tenant of its own")
    return told


def free_port() -> int:
    """Returns a port of this machine on which nothing listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def plain(value: Any) -> Any:
    """Returns a value as TOML has it.

    Args:
      value: of dicts, tuples, lists, texts and numbers.
    """
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, tuple | list) else value
