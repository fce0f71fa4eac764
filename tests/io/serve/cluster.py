"""Three gateway processes on one store behind the HAProxy of ``tools/deploy``, for tests that kill and restart them."""

import asyncio
import contextlib
import csv
import dataclasses
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import httpx
import tomli_w

from jaxalign.io.serve import starting
from jaxalign.io.serve.upstream import running

CONFIG = pathlib.Path(__file__).parents[3] / "tools" / "deploy" / "haproxy.cfg"
HAPROXY = shutil.which("haproxy", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
PATIENCE = 30.0  # seconds that anything may take
LOOK = 0.05


def free_ports(count):
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(contextlib.closing(running.bind())) for _ in range(count)]
        return [each.getsockname()[1] for each in found]


class Gateways:
    """Gateway processes by number, which are killed and begun again at the same port."""

    def __init__(self, config, folder, worker="none", count=3):
        self._worker, self._path = str(worker), pathlib.Path(folder) / "serve.toml"
        self._path.write_bytes(tomli_w.dumps(starting.plain(dataclasses.asdict(config))).encode())
        self.ports = free_ports(count)
        self.urls = [f"http://127.0.0.1:{port}" for port in self.ports]
        self.processes = [None] * count

    def begin(self, number):
        """Begins one; it is ready later."""
        command = [sys.executable, "-m", "jaxalign.io.serve.gateway", "--config", str(self._path)]
        place = ["--socket", self._worker, "--port", str(self.ports[number])]
        self.processes[number] = subprocess.Popen([*command, *place])

    def end(self, number):
        """Kills one and waits for its death; its sockets are closed then."""
        self.processes[number].kill()
        self.processes[number].wait()

    def freeze(self, number):
        """Stops one in its tracks: what it is answering stays so until it is killed."""
        self.processes[number].send_signal(signal.SIGSTOP)

    async def end_gracefully(self, number):
        """Tells one to end, and returns the status with which it did."""
        self.processes[number].terminate()
        return await asyncio.to_thread(self.processes[number].wait, PATIENCE)

    def wait_until_ready(self, number):
        """Waits for one that was begun."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.urls[number]}/readyz").status_code == 200:
                    return
            time.sleep(LOOK)
        raise AssertionError(f"{self.urls[number]} is not ready")

    @contextlib.contextmanager
    def running(self):
        """Begins all, and kills what is left of them in the end."""
        try:
            for number in range(len(self.ports)):
                self.begin(number)
            for number in range(len(self.ports)):
                self.wait_until_ready(number)
            yield self
        finally:
            for number, process in enumerate(self.processes):
                if process is not None:
                    self.end(number)


class Balancer:
    """HAProxy with the configuration that users get, and as many servers as there are gateways."""

    def __init__(self, ports, folder):
        folder = pathlib.Path(folder)
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._socket, self._log, self._path = (folder / f"haproxy.{kind}" for kind in ("sock", "log", "cfg"))
        more = (f'    server gateway-{number} "${{GATEWAY_{number}}}"\n' for number in range(3, len(ports) + 1))
        self._path.write_text(CONFIG.read_text() + "".join(more))
        places = {f"GATEWAY_{number}": f"127.0.0.1:{port}" for number, port in enumerate(ports, 1)}
        settings = {"BIND": f"127.0.0.1:{port}", "STATS_SOCKET": str(self._socket), "CHECK": "250ms"}
        self._environment = {**os.environ, **places, **settings}

    @contextlib.contextmanager
    def running(self):
        """Runs it in the foreground, as containers do."""
        command = [HAPROXY, "-db", "-f", str(self._path)]
        with (
            open(self._log, "wb") as log,
            subprocess.Popen(command, env=self._environment, stdout=log, stderr=log) as process,
        ):
            try:
                self._wait_until_there()
                yield self
            finally:
                process.terminate()

    def _wait_until_there(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                self._rows()
                return
            time.sleep(LOOK)
        raise AssertionError("HAProxy does not begin; its messages are above")

    async def wait_until(self, number, state):
        """Waits until HAProxy believes that a gateway is "UP" or "DOWN"."""
        await self._until(lambda: self._rows()[number]["status"].split()[0] == state)

    async def wait_for_requests(self, number):
        """Waits until a gateway has requests to answer."""
        await self._until(lambda: int(self._rows()[number]["scur"]) > 0)

    async def _until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self._rows()
            await asyncio.sleep(LOOK)

    def gateway_of(self, request):
        """The number of the gateway to which a request went, by its x-request-id."""
        lines = [line.split() for line in self._log.read_text().splitlines()]
        [server] = [words[3] for words in lines if words[-1] == request]
        return int(server.removeprefix("server=gateway-")) - 1

    def _rows(self):
        """What HAProxy says of each gateway."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(self._socket))
            asking.sendall(b"show stat\n")
            text = b"".join(iter(lambda: asking.recv(65_536), b"")).decode()
        rows = csv.DictReader(text.removeprefix("# ").splitlines())
        return [row for row in rows if row["svname"].startswith("gateway-")]
