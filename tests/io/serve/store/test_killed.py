import json
import subprocess
import sys

from tests.processes import ROOT

KILLS = 100


def test_writers_that_are_killed_lose_nothing_acknowledged_and_leave_nothing_half(place):
    command = [sys.executable, "-m", "tests.io.serve.store.killing", *place, str(KILLS)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    done = json.loads(found.stdout)
    assert done["kills"] == KILLS and done["examples"] > KILLS  # there was something to lose
