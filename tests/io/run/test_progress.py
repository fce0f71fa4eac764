import re
import sys

import pytest

from jaxalign.io.run.progress import Progress


def run(**options):
    with Progress("lipo", 4, start=1, **options) as progress:
        for step in (2, 3, 4):
            progress.update(step, {"loss": 0.12345, "other": 1.0}, 100.0)


def test_lines_where_there_is_no_terminal(capsys):
    run()
    first, last = capsys.readouterr().err.splitlines()  # within half a minute: the first and the last step
    assert re.fullmatch(r"lipo: step 2/4, loss 0\.1235, tokens/s [\d,]+, \d\d:\d\d left", first)
    assert last.startswith("lipo: step 4/4, ") and last.endswith("00:00 left")


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run()
    shown = capsys.readouterr().err
    assert "lipo" in shown and "4/4" in shown and "loss=0.1235" in shown and "tokens/s=" in shown
    assert "lipo: step" not in shown


@pytest.mark.parametrize("terminal", [True, False])
def test_silence(capsys, monkeypatch, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    run(show=False)
    assert capsys.readouterr().err == ""


def test_no_loss_and_no_tokens(capsys):
    with Progress("eval", 1) as progress:
        progress.update(1, {}, 0.0)
    assert capsys.readouterr().err == "eval: step 1/1, 00:00 left\n"
