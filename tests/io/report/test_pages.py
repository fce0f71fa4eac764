import html as html_module
import html.parser
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from jaxalign.io import report
from jaxalign.io.report import (
    Code,
    Curves,
    Estimate,
    Facts,
    Groups,
    Histogram,
    Panels,
    Reliability,
    Table,
    Texts,
    figures,
)
from jaxalign.io.run.writers import MetricsWriter

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


def texts_of(svg):
    return re.findall(r">([^<>]+)</text>", svg)


def test_panels_of_one_meaning_share_their_axes():
    low, high = {"m": ([1, 10], [-3.0, -1.0])}, {"m": ([1, 40], [5.0, 7.0])}
    drawings = Panels("Log-probability", {"preferred": low, "other": high, "nothing": {}}).draw()
    ticks = [texts_of(drawing.svg) for drawing in drawings]
    assert ticks[0] == ticks[1] == ticks[2] and "40" in ticks[0] and "−2" in ticks[0]
    assert [drawing.legend for drawing in drawings[:2]] == [[figures.Mark("m", "#0072B2", "solid")]] * 2
    assert drawings[0].description.startswith("preferred. Lines over step: m from -3 to -1")


def test_reliability_has_its_diagonal_and_the_unit_square():
    points = {"judge": ([0.4, 0.6], [0.1, 0.9]), "other": ([0.5], [0.5])}
    (one, two) = Reliability("Reliability", {"before": points, "after": {}}, "said", "found").draw()
    for drawing in (one, two):
        assert drawing.svg.count("stroke-dasharray: 2,3") == 1
        assert texts_of(drawing.svg)[:6] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        assert "the diagonal of perfect calibration" in drawing.description
    assert [mark.label for mark in one.legend] == ["judge", "other"] and not two.legend


def test_each_histogram_has_a_row_and_a_colour_of_its_own():
    (drawing,) = Histogram("Lengths", {name: [n, n + 2] for n, name in enumerate("abc")}, x_label="tokens").draw()
    assert {colour for colour in figures._COLOURS if f"fill: {colour.lower()}" in drawing.svg} == set(
        figures._COLOURS[:3]
    )
    assert texts_of(drawing.svg).count("share") == 3 and {"a", "b", "c"} <= set(texts_of(drawing.svg))


def test_more_lines_than_colours_can_be_told_apart():
    (drawing,) = Curves("Many", {f"loss {n}": ([1, 2], [n, n]) for n in range(15)}).draw()
    assert len({(mark.color, mark.line) for mark in drawing.legend}) == 15


def test_facts_are_shown_as_text_lists_and_code(tmp_path):
    facts = Facts("What", {"command": Code("python -m x --model 'a b'"), "fields": ["one <b>", "two"], "rows": 12345})
    text = report.write_report(tmp_path / "a.html", "a", summary={}, sections=[facts]).read_text()
    assert "<code>python -m x --model &#39;a b&#39;</code>" in text
    assert "<li>one &lt;b&gt;</li><li>two</li>" in text and "12,345" in text


def test_groups_are_closed_and_escaped(tmp_path):
    groups = Groups("Documents", {"news (2)": [{ATTACK: "one"}, {"style: dry": ATTACK}], ATTACK: []}, caption=ATTACK)
    path = report.write_report(tmp_path / "a.html", "a", summary={}, sections=[groups])
    outline = Outline(path.read_text())
    assert outline.tags.count("details") == outline.tags.count("summary") == 2
    assert ("details", "open", None) not in outline.attributes
    assert outline.tags.count("article") == 2 and outline.tags.count("h3") == 2 and "script" not in outline.tags
    assert outline.seen.count(ATTACK) == 4 and "news (2)" in outline.seen


def test_exact_numbers_have_no_interval(tmp_path):
    rows = [("a", Estimate(0.25, 0.25, 0.25), ""), ("b", Estimate(0.25, 0.2, 0.3), Estimate(0.5, 0.4, 0.6))]
    path = report.write_report(tmp_path / "a.html", "a", summary={}, sections=[Table("t", ("method", "x", "y"), rows)])
    assert path.read_text().count('class="interval"') == 2
    assert path.read_text().count('class="text"') == 1  # the heading of the methods: a missing number is no text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("--endpoint https://me:pass-word@host:80/v1", "--endpoint https://[user and password]@host:80/v1"),
        ("http://:secret@host and ftp://a:b@c", "http://[user and password]@host and ftp://[user and password]@c"),
        ("https://host/v1 me@mail.org a:b@c 12:30", "https://host/v1 me@mail.org a:b@c 12:30"),
        ("sk-0123&<>456789 here", "[OPENAI_API_KEY] here"),
        ("sk-0123&amp;&lt;&gt;456789 escaped", "[OPENAI_API_KEY] escaped"),
        ("hf_abcdefgh EMPTY plain", "[HF_TOKEN] EMPTY plain"),
    ],
)
def test_secrets_are_left_out(text, kept):
    environment = {
        "OPENAI_API_KEY": "sk-0123&<>456789",
        "HF_TOKEN": "hf_abcdefgh",
        "X_KEY": "EMPTY",
        "HOME": "escaped!",
    }
    assert report.without_secrets(text, environment) == kept


def test_a_report_holds_no_key(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_SERVICE_API_KEY", "0123456789abcdef")
    facts = Facts("What", {"command": Code("x --endpoint http://me:word@host --key 0123456789abcdef")})
    path = report.write_report(tmp_path / "a.html", "a 0123456789abcdef", summary={}, sections=[facts])
    assert "0123456789abcdef" not in path.read_text() and "word@" not in path.read_text()


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


def run_script(path, script):
    """What the body of an asynchronous function returns in a browser, on the page without its policy."""
    page = path.with_name("scripted.html")
    call = f"(async () => {{ document.title = JSON.stringify(await (async () => {{ {script} }})()) }})()"
    text = re.sub("<meta http-equiv[^>]*>", "", path.read_text())
    page.write_text(text.replace("</body>", f"<script>{call}</script></body>"))
    dom, _ = browse(page, "--dump-dom", "--virtual-time-budget=5000", "--window-size=1100,900")
    return json.loads(html_module.unescape(title(dom)))


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


MEASURE = """
<script>
const cut = [];
for (const element of document.body.querySelectorAll("*")) {
  const box = element.getBoundingClientRect();
  if (element.closest("svg") && element.tagName !== "svg") continue;
  let scrolled = false;
  for (let up = element; up; up = up.parentElement) scrolled ||= getComputedStyle(up).overflowX === "auto";
  if (!scrolled && box.width && (box.right > innerWidth + 1 || box.left < -1)) cut.push(element.tagName);
}
const page = document.documentElement;
const scrolls = [...document.querySelectorAll(".scroll")].filter(each => each.scrollWidth > each.clientWidth + 1);
document.title = JSON.stringify({
  cut, width: innerWidth, wider: page.scrollWidth > innerWidth,
  scrolls: scrolls.length,
  bars: scrolls.filter(each => each.offsetHeight > each.clientHeight).length,
  headings: [...document.querySelectorAll("thead th")].every(each => each.scrollWidth <= each.clientWidth + 1),
});
</script>
"""


def measure(path, widths):
    """What frames of so many pixels cut off; frames, since windows have a least width."""
    page = path.with_name("measured.html")
    page.write_text(re.sub("<meta http-equiv[^>]*>", "", path.read_text()).replace("</body>", f"{MEASURE}</body>"))
    frames = "".join(f'<iframe src="{page.name}" style="width:{width}px"></iframe>' for width in widths)
    all_titles = "JSON.stringify(Array.from(frames, frame => JSON.parse(frame.document.title)))"
    outer = path.with_name("frames.html")
    outer.write_text(
        f'<style>iframe {{ display: block; border: 0; height: 900px }}</style><body style="margin:0">{frames}'
        f"<script>onload = () => {{ document.title = {all_titles} }}</script></body>"
    )
    dom, _ = browse(outer, "--dump-dom", "--allow-file-access-from-files", f"--window-size={max(widths)},900")
    return json.loads(html_module.unescape(title(dom)))


def test_nothing_is_cut_off(tmp_path):
    """A table of a judge has ten columns: it fits a laptop, and on a phone it scrolls and shows that it does."""
    interval, exact = Estimate(0.705, 0.0833, 0.0906), Estimate(1234.0, 1234.0, 1234.0)
    columns = ["method", "accuracy", "either order", "orders agree", "first shown wins", "ECE", "ECE calibrated"]
    columns += ["unparsed judgements", "unparsed texts", "tokens a pair"]
    rows = [(name, *[interval] * 6, *[exact] * 3) for name in ("direct", "self-consistency, equal tokens")]
    long = "no_blank_in_this_word_" * 20
    contents = [
        Facts("What was run on what", {"command": Code(f"python -m x --data /{long}"), "data": [long, "short"]}),
        Table("Figures", columns, rows, caption=long),
        Table("Comparison", ("", *(f"aspect {n}" for n in range(3))), [("only the first", "text " * 40, "", long)]),
        *sections(),
        Panels("Panels", {"a": {long: ([1, 2], [1, 2])}, "b": {}}),
        Texts("Samples", [{long: long}]),
        Groups("Groups", {long: [{long: long}]}),
    ]
    path = report.write_report(tmp_path / "a.html", f"Title {long}", summary={long: long}, sections=contents)
    scrolling = {400: 2, 1100: 0, 1600: 0}
    assert measure(path, scrolling) == [
        {"cut": [], "width": width, "wider": False, "scrolls": count, "bars": count, "headings": True}
        for width, count in scrolling.items()
    ]
