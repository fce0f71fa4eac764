"""Trees in a report: what is where in the HTML, and what a reader of a browser sees who clicks."""

import re

import numpy as np
import pytest

from jaxalign.io import report
from jaxalign.io.report import Estimate, Node, Tree
from tests.io.report.test_pages import ATTACK, Outline, browse, measure, run_script

# animals > pets > dog and cat; pets are also below homes; stones are a root and a leaf without anything to open.
NODES = [
    Node("animals", (), {"texts": 1200, "F1": 0.8125}, {"terms": "fur, tail"}, [{"text": "An animal ran."}]),
    Node("homes", (), {"texts": 7, "F1": None}),
    Node("pets", (0, 1), {"texts": 300, "core of": 12}, {"terms": "leash, bowl"}),
    Node("dog", (2,), {"texts": 200}, {"terms": "bark, puppy"}, [{"given": "cat (wrong)", "text": "It wagged."}]),
    Node("cat", (2,)),
    Node("stones"),
]


def write(path, *trees):
    return report.write_report(path / "a.html", "a", summary={}, sections=trees)


def test_columns_children_roots_and_paths():
    tree = Tree("t", NODES)
    assert tree.columns == ("texts", "F1", "core of") and tree.roots == (0, 1, 5) and tree.linked
    assert tree.children == ((2,), (2,), (3, 4), (), (), ())
    assert tree.path(3) == "animals > pets > dog" and not Tree("t", NODES[:2]).linked


def test_each_node_is_shown_whole_once(tmp_path):
    path = write(tmp_path, Tree("Classes", NODES, "Look here."))
    text, outline = path.read_text(), Outline(path.read_text())
    # animals, homes, pets and dog, and what is said about animals and pets, which have something below.
    assert outline.tags.count("details") == outline.tags.count("summary") == 4 + 2
    assert outline.attributes.count(("details", "open", None)) == 2
    for once in ("An animal ran.", "leash, bowl", "bark, puppy", "It wagged.", "Look here."):
        assert outline.seen.count(once) == 1
    ids = [value for _, name, value in outline.attributes if name == "id" and value.startswith("section-1-")]
    assert sorted(ids) == [f"section-1-{place}" for place in range(len(NODES))]
    links = [value for tag, name, value in outline.attributes if tag == "a" and name == "href"]
    assert sorted(links) == ["#section-1-1", "#section-1-2"]  # from pets to homes, and from homes to pets
    assert "shown below animals" in outline.seen and "also below homes" in outline.seen
    # Numbers as elsewhere, with their names, which the heading of the columns has too; nothing where there is none.
    assert "<b>texts </b>1,200" in text and "<b>F1 </b>0.812" in text and text.count("<b>F1 ") == 1
    assert text.count("<b>texts ") == 4 + 1  # pets twice, so that they are compared with what stands beside them


def test_texts_are_escaped(tmp_path):
    node = Node(ATTACK, (), {ATTACK: ATTACK}, {ATTACK: ATTACK}, [{ATTACK: ATTACK}])
    below = Node(ATTACK, (0, 2), {}, {"list": [ATTACK]})
    path = write(tmp_path, Tree("t", [node, below, Node(ATTACK)], ATTACK))
    outline = Outline(path.read_text())
    assert "script" not in outline.tags and "img" not in outline.tags
    # Caption; heading, name and value of a figure in two of three rows and a link; name and "about"; facts; a sample;
    # the node below with its link up and its list; the root that has the link, what it stands below, and the root.
    assert outline.seen.count(ATTACK) == 1 + 1 + 2 + 2 + 2 + 2 + 3 + 2 + 1
    _, console = browse(path, "--dump-dom")
    assert console == []


def test_trees_of_one_page_have_ids_of_their_own(tmp_path):
    outline = Outline(write(tmp_path, Tree("a", NODES), Tree("b", NODES), Tree("nothing", [])).read_text())
    ids = [value for _, name, value in outline.attributes if name == "id"]
    assert len(set(ids)) == len(ids) == 3 + 2 * len(NODES)
    assert {value[1:] for tag, name, value in outline.attributes if (tag, name) == ("a", "href")} <= set(ids)


def test_intervals_are_shown(tmp_path):
    text = write(tmp_path, Tree("a", [Node("x", (), {"F1": Estimate(0.5, 0.4, 0.6)})])).read_text()
    assert "<b>F1 </b>0.500" in text and '<span class="interval">0.400 to 0.600</span>' in text


@pytest.mark.parametrize(
    ("parents", "message"),
    [
        (((), (2,)), r"parents of '1': expected places from 0 to 1, got \[2\]; add the nodes"),
        (((), (-1,)), r"parents of '1': expected places from 0 to 1, got \[-1\]"),
        (((), (0, 0)), r"parents of '1': expected each once, got \(0, 0\)"),
        (((), (0, 2), (1,), (2,)), "got a cycle at or above '1', '2', '3'; break it"),
        (((0,),), "got a cycle at or above '0'"),
    ],
)
def test_what_is_no_tree_is_refused(parents, message):
    with pytest.raises(ValueError, match=message):
        Tree("t", [Node(str(place), each) for place, each in enumerate(parents)])


# What is seen, and a click on whatever is drawn in the middle of an element: it must not be covered.
READER = """
const find = (selector, text) => [...document.querySelectorAll(selector)].find(each => each.textContent.includes(text));
const row = name => find("summary.row", name);
const sees = text => {
  const found = [...document.querySelectorAll(".inside dd, .inside p")].find(each => each.textContent.includes(text));
  return found.checkVisibility() && found.getBoundingClientRect().height > 0;
};
const settled = () => new Promise(done => setTimeout(done, 200));
const click = async element => {
  element.scrollIntoView({block: "center"});
  const box = element.getBoundingClientRect();
  document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2).click();
  await settled();
};
"""


def test_a_reader_opens_nodes(tmp_path):
    found = run_script(
        write(tmp_path, Tree("Classes", NODES)),
        READER
        + """
        const steps = [[row("pets").checkVisibility(), sees("leash"), sees("An animal ran.")]];
        await click(find("summary", "about animals"));
        steps.push(sees("An animal ran."));
        steps.push(row("dog").checkVisibility());
        await click(row("pets"));
        steps.push([row("dog").checkVisibility(), sees("bark, puppy")]);
        await click(row("dog"));
        steps.push([sees("bark, puppy"), sees("cat (wrong)"), sees("It wagged.")]);
        await click(row("dog"));
        steps.push(sees("It wagged."));
        row("dog").focus();  // what can be focused opens with the keyboard
        steps.push(document.activeElement === row("dog"));
        return steps;
        """,
    )
    assert found == [[True, False, False], True, False, [True, False], [True, True, True], False, True]


def test_a_link_leads_to_the_open_node(tmp_path):
    """Chromium opens what stands above the target of a link, and the node itself; both ways, and from closed roots."""
    nodes = [
        *NODES,
        *(Node(f"other {number}") for number in range(60)),
        Node("shop"),
        Node("toy", (1, 66), {}, {"a": "b"}),
    ]
    nodes[3] = Node("dog", (2, 66), {}, {"terms": "bark, puppy"})
    found = run_script(
        write(tmp_path, Tree("Classes", nodes)),
        READER
        + """
        await click(row("animals"));  // closes it
        const before = [row("pets").checkVisibility(), row("dog").checkVisibility(), sees("bark, puppy")];
        await click(find("li:not(:has(li)) > .name > a, li.row a", "dog"));
        const box = document.querySelector(":target").getBoundingClientRect();
        const head = document.querySelector(".head").getBoundingClientRect();
        const top = row("dog").getBoundingClientRect().top;
        const after = [row("pets").checkVisibility(), sees("bark, puppy"), top >= head.bottom, top < innerHeight];
        const stays = head.top === 0 || scrollY === 0;
        await click(find(".also a", "shop"));
        const shop = row("shop").getBoundingClientRect();
        return [before, after, stays, location.hash, shop.top > 0 && shop.top < innerHeight];
        """,
    )
    assert found == [[False] * 3, [True] * 4, True, "#section-1-66", True]


def test_figures_stand_below_each_other_and_nothing_is_cut_off(tmp_path):
    long = "no_blank_in_this_word_" * 20
    nodes = [*NODES, Node(long, (3,), {long: long, "texts": 3}, {long: long}, [{long: long}]), Node(long, (6, 1))]
    path = write(tmp_path, Tree("Classes", nodes, long))
    path.write_text(re.sub('<details class="(node|about)">', r'<details class="\1" open>', path.read_text()))
    for found, width in zip(measure(path, (400, 1100)), (400, 1100), strict=True):
        assert found["cut"] == [] and not found["wider"] and found["width"] == width
    rights = run_script(
        path,
        """
        const rows = [...document.querySelectorAll(".tree .row")].map(row => row.querySelectorAll(".figure"));
        return rows.map(each => [...each].map(figure => Math.round(figure.getBoundingClientRect().right)));
        """,
    )
    assert len(rights) == 1 + 8 + 2 and len(rights[0]) == 4
    assert all(row == rights[0] for row in rights)


def random_nodes(count, roots, edges, seed=0):
    """Nodes of four levels at most, with so many edges, as many samples as a report has."""
    rng = np.random.default_rng(seed)
    levels = np.array([0] * roots + [1] * (count // 8) + [2] * (count - roots - count // 8 - 9) + [3] * 9)
    parents = [[] if not level else [int(rng.choice(np.flatnonzero(levels == level - 1)))] for level in levels]
    while sum(map(len, parents)) < edges:
        child = int(rng.integers(roots, count))
        parent = int(rng.choice(np.flatnonzero(levels < levels[child])))
        if parent not in parents[child]:
            parents[child].append(parent)
    terms, text = ", ".join(f"term number {n}" for n in range(30)), "words of a review " * 40
    return [
        Node(
            f"class {n}",
            each,
            {"texts": n, "given": n, "core of": n, "F1": n / count},
            {"terms": terms},
            [{"text": text}] * 3,
        )
        for n, each in enumerate(parents)
    ]


def test_as_many_classes_as_amazon_has(tmp_path):
    nodes = random_nodes(531, 6, 568)
    path = write(tmp_path, Tree("Classes", nodes))
    assert path.stat().st_size < 3_000_000
    outline = Outline(path.read_text())
    assert outline.tags.count("article") == 3 * 531
    ids = [value for _, name, value in outline.attributes if name == "id" and value.startswith("section-1-")]
    assert sorted(ids) == sorted(f"section-1-{place}" for place in range(531))
    several = 568 - (531 - 6)  # edges beyond one for each node that is no root: a link down and one up for each
    assert outline.tags.count("a") == 2 * several
    found = run_script(
        path, "return [...document.querySelectorAll('.tree .name')].filter(each => each.checkVisibility()).length"
    )
    first = sum(bool(node.parents) and min(node.parents) < 6 for node in nodes)
    assert 6 + 1 < found <= 6 + 1 + first + several  # the roots, what stands right below them, and a heading
