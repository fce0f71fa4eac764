"""Chromium without a window, by its debugging protocol over two pipes: pages are opened, filled in and clicked."""

import contextlib
import json
import os
import shutil
import subprocess


class Browser:
    """One tab.

    ``told`` is what the browser complained of: scripts that were stopped, files that were not loaded, and errors.
    """

    def __init__(self, commands, replies):
        self._commands, self._replies, self._number, self._session = commands, replies, 0, None
        self._loads, self.told = 0, []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime"):
            self.ask(f"{domain}.enable")

    def ask(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        number = self._number
        return self._read(lambda found: found.get("id") == number)["result"]

    def _read(self, wanted):
        while True:
            data = bytearray()
            while (byte := self._replies.read(1)) != b"\0":
                assert byte, "the browser has ended"
                data += byte
            found = json.loads(data)
            if found.get("method") == "Page.loadEventFired":
                self._loads += 1
            elif found.get("method") == "Log.entryAdded":
                if found["params"]["entry"]["level"] != "verbose":  # advice
                    self.told.append(found["params"]["entry"]["text"])
            elif found.get("method") == "Runtime.exceptionThrown":
                self.told.append(str(found["params"]))
            if wanted(found):
                return found

    def _await_load(self, loads):
        if self._loads == loads:
            self._read(lambda found: self._loads > loads)

    def open(self, url):
        loads = self._loads
        self.ask("Page.navigate", url=url)
        self._await_load(loads)

    def read(self, script):
        """The value of an expression on the page."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def fill(self, selector, text):
        self.read(f"document.querySelector({json.dumps(selector)}).value = {json.dumps(text)}")

    def click(self, selector):
        """Clicks what leads to another page, and waits for it."""
        loads = self._loads
        self.read(f"document.querySelector({json.dumps(selector)}).click()")
        self._await_load(loads)


@contextlib.contextmanager
def opened(folder):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert browser, "no Chromium found: install it, for instance with apt-get install chromium"
    theirs_in, commands = os.pipe()
    replies, theirs_out = os.pipe()
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-proxy-server"]
    # The browser reads commands from file 3 and writes replies to file 4.
    script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out} 2>/dev/null'
    command = ["bash", "-c", script, "bash", browser, *options, f"--user-data-dir={folder}"]
    with open(commands, "wb") as commands, open(replies, "rb", buffering=0) as replies:
        with subprocess.Popen(command, pass_fds=(theirs_in, theirs_out)) as process:
            os.close(theirs_in)
            os.close(theirs_out)
            try:
                yield Browser(commands, replies)
            finally:
                process.kill()
