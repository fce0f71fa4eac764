import html.parser
import re
import shutil
import subprocess

import numpy as np
import pytest

from jaxalign.io import figures, report
from jaxalign.io.report import Curves, Estimate, Histogram, Table, Texts
from jaxalign.io.writers import MetricsWriter

ATTACK = "<script>document.title = 'broken'</script><img src=http://example.org/x.png> & \"quoted\""


def sections():
    steps = np.arange(1000)
    lengths = np.arange(10, 31)
    return [
        Curves("Loss", {"train": (steps, 1 / (1 + steps)), ATTACK: (steps, steps / 1000)}, caption=ATTACK),
        Histogram("Lengths", {"before": lengths, "after": lengths + 3}, x_label="tokens"),
        Table("Win rates", ("loss", ATTACK), [("lambda", Estimate(0.7, 0.6, 0.8)), (ATTACK, 1234567)], caption=ATTACK),
        Texts("Samples", [{"prompt": ATTACK, ATTACK: "two\n  lines"}], caption=ATTACK),
    ]


def write(path):
    summary = {"win rate": Estimate(0.71, 0.66, 0.75), ATTACK: ATTACK, "steps": 400}
    return report.write_report(path / "run" / "report.html", f"LiPO {ATTACK}", summary=summary, sections=sections())


def test_numbers():
    values = ["text", 3, 1234567, 12345.6, 999.4, 23.44, 0.68, 2e-5, 0.0, -1.5, float("nan"), np.float32(0.25), True]
    assert [report.format_number(value) for value in values] == [
        "text", "3", "1,234,567", "12,346", "999", "23.4", "0.680", "2.00e-05", "0", "-1.50", "nan", "0.250", "True",
    ]  # fmt: skip


def test_series_of_a_run(tmp_path):
    with MetricsWriter(tmp_path) as writer:
        for step in (1, 2, 3):
            writer.write(step, {"loss": 1 / step} | ({"eval/loss": 0.5} if step == 2 else {}))
    assert report.metric_series(tmp_path, ("loss", "eval/loss"), prefix="SFT ") == {
        "SFT loss": ([1, 2, 3], [1, 1 / 2, 1 / 3]),
        "SFT eval/loss": ([2], [0.5]),
    }
    with pytest.raises(ValueError, match="no metric margin in .*; there are eval/loss, loss"):
        report.metric_series(tmp_path, ("margin",))


def test_long_lines_become_means_with_a_band():
    x, mean, low, high = figures._thin(np.arange(2000.0), np.tile([0.0, 1.0], 1000))
    assert len(x) == 200 and set(mean) == {0.5} and set(low) == {0} and set(high) == {1}
    assert x[0] == 4.5 and x[-1] == 1994.5  # the means of 0..9 and 1990..1999


@pytest.mark.parametrize(
    ("values", "edges"),
    [([3, 3, 5], [2.5, 3.5, 4.5, 5.5]), (range(0, 61), np.arange(-0.5, 62.6, 3)), ([], np.linspace(0, 1, 31))],
)
def test_bins(values, edges):
    np.testing.assert_allclose(figures._bin_edges(np.asarray(list(values), float)), edges)


def test_odd_data_is_drawn(tmp_path):
    odd = [
        Curves("Nothing finite", {"a": ([1, 2], [np.nan, np.inf]), "b": ([], [])}),
        Curves("One point", {"a": ([1], [2.0])}),
        Curves("Long names", {f"a method with a long name, the {n}th": ([1, 2], [n, n]) for n in range(6)}),
        Histogram("Empty", {"a": []}, x_label="tokens"),
        Table("Empty", ("a", "b"), []),
        Texts("Empty", []),
    ]
    text = report.write_report(tmp_path / "odd.html", "odd", summary={}, sections=odd).read_text()
    assert text.count("<svg") == 4 and "no finite value" in text


class Outline(html.parser.HTMLParser):
    """Element names, attributes, and the text that a reader sees."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.seen = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data):
        self.seen += data


def test_texts_are_escaped_and_nothing_comes_from_elsewhere(tmp_path):
    text = write(tmp_path).read_text()
    outline = Outline(text)
    assert "script" not in outline.tags and "img" not in outline.tags
    # Title and heading, name and value in the summary, legend, three captions and a paragraph, column and row of the
    # table, name and text of a sample.
    assert outline.seen.count(ATTACK) == 2 + 2 + 1 + 3 + 2 + 2
    loads = [(tag, name, value) for tag, name, value in outline.attributes if name in ("src", "href", "xlink:href")]
    assert all(value.startswith(("#", "data:")) for _, _, value in loads)
    assert not re.findall(r"url\((?!#)|@import", text)


def test_figures_have_words_and_tables_have_headings(tmp_path):
    outline = Outline(write(tmp_path).read_text())
    figure_texts = [value for tag, name, value in outline.attributes if tag == "div" and name == "aria-label"]
    assert "Lines over step: train from 1 to 0.001" in "".join(figure_texts)
    assert "Histogram of tokens. before: 21 values, median 20; after: 21 values, median 23." in figure_texts
    assert outline.tags.count("h1") == 1 and outline.tags.count("h2") == 1 + 4
    assert [value for tag, name, value in outline.attributes if name == "scope"] == ["col", "col", "row", "row"]
    ids = [value for _, name, value in outline.attributes if name == "id"]
    assert len(ids) - len(set(ids)) == 0


def browse(path, *options):
    """The page after a browser has rendered it, and the browser's log."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert browser, "no Chromium found: install it, for instance with apt-get install chromium"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--log-level=0"]
    command += [f"--user-data-dir={path.parent / 'profile'}", *options, path.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout, [line for line in result.stderr.splitlines() if "CONSOLE" in line]


def title(page):
    return re.search("<title>(.*?)</title>", page).group(1)


def test_a_browser_renders_it_without_complaint(tmp_path):
    page, console = browse(write(tmp_path), "--dump-dom")
    assert console == []
    assert title(page).startswith("LiPO &lt;script&gt;")


def test_the_browser_test_would_notice(tmp_path):
    """The same page with a text that was not escaped: its policy stops script and request, and the log says so."""
    path = write(tmp_path)
    path.write_text(path.read_text().replace("</main>", f"{ATTACK}</main>"))
    page, console = browse(path, "--dump-dom")
    assert title(page).startswith("LiPO")
    assert "inline script" in "".join(console) and "example.org" in "".join(console)
    path.write_text(re.sub("<meta http-equiv[^>]*>", "", path.read_text()))  # without the policy, the script runs
    page, _ = browse(path, "--dump-dom")
    assert title(page) == "broken"
