"""Tasks made of attribute values: small files by hand, and the real ones with each of their defects."""

import collections

import pyarrow
import pyarrow.parquet
import pytest

from experiments.attrprompt.dataset_tasks import read_dataset, task_of
from experiments.attrprompt.datasets import DATASETS
from jaxalign.attributes import (
    LENGTH,
    Assignment,
    ClassAttribute,
    MergedValue,
    SharedAttribute,
    Task,
    labels_of,
    length_values,
    make_requests,
    parse_task,
    prompt_hash,
    prompts,
    read_attributes,
    render_document,
    render_task,
    sample_assignments,
)
from jaxalign.io import jobs
from jaxalign.io.jobs.document_rows import check_prompts, read_documents

STYLE = "Dry: a style, with \"quotes\" and: colons"  # fmt: skip
AT_HAND = ("agnews", "amazon", "arxiv", "nyt", "reddit", "sst-2")
COUNTS = {"agnews": 60, "amazon": 9, "arxiv": 3, "nyt": 8, "reddit": 5, "sst-2": 100}  # documents of each class


def write(folder, rows, labels):
    """Files of the published schema; a row has data set, attribute, class, label and value."""
    names = ("dataset", "attribute", "class", "label", "value")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "attributes.parquet")
    listed = [(of, place, label) for of, each in labels.items() for place, label in enumerate(each)]
    columns = {name: [row[place] for row in listed] for place, name in enumerate(("dataset", "index", "label"))}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "labels.parquet")
    return folder


def shared(dataset, **values):
    lengths = [(dataset, LENGTH, "", "", "30"), (dataset, LENGTH, "", "", "100")]
    return [*lengths, *((dataset, name, "", "", each) for name, listed in values.items() for each in listed)]


def test_a_data_set_without_similar_classes(tmp_path):
    rows = shared("yelp", cuisine=["Thai", "3 Star"], style=[STYLE])
    rows += [
        ("yelp", "subtopics", "positive", "positive", "24h service"),
        ("yelp", "subtopics", "negative", "negative", "b"),
    ]
    task, report = read_dataset(write(tmp_path, rows, {"yelp": ["negative", "positive"], "nyt": ["a", "b"]}), "yelp")
    subtopics = {"negative": ("b",), "positive": ("24h service",)}
    assert task == Task(
        "restaurant review",
        {"negative": "negative", "positive": "positive"},
        (
            ClassAttribute("subtopics", "subtopic", subtopics),
            SharedAttribute("cuisine", "cuisine", ("Thai", "3 Star")),
            SharedAttribute("style", "writing style", (STYLE,)),
        ),
        {"negative": (), "positive": ()},  # a model is not asked for similar classes
        (30, 100),
    )
    assert report.lines() == []


def test_similar_classes_and_class_names_without_a_label(tmp_path):
    labels = ["hoi4", "comic_books", "xbox", "a", "b", "c", "d"]
    rows = shared("reddit", style=["dry"])
    for label in labels:
        rows += [("reddit", name, label, label, f"{name} of {label}") for name in ("experience", "resource")]
    rows += [("reddit", "experience", "comicbooks", "", "100 pages"), ("reddit", "resource", "coins", "", "a mint")]
    similar = ["Xbox", "hio4", "Hearts of Iron IV", "XBOX", "a", "comic books", "B", "c", "d"]
    rows += [("reddit", "similar", "comic_books", "comic_books", name) for name in similar]
    rows += [("reddit", "similar", "a", "a", "b")]
    task, report = read_dataset(write(tmp_path, rows, {"reddit": labels}), "reddit")
    assert task.similar == {"comic_books": ("xbox", "hoi4", "a", "b", "c"), "a": ("b",)}  # five, in their order
    assert report.unknown == {"comic_books": ("hio4", "comic_books")}  # its own name is no other class
    assert report.short == {"hoi4": 0, "xbox": 0, "a": 1, "b": 0, "c": 0, "d": 0}
    assert task.attribute("experiences").values_of("comic_books") == ("experience of comic_books", "100 pages")
    assert report.renamed == {"comicbooks": "comic_books"} and report.left_out == {"coins": 1}
    assert report.lines()[:3] == [
        "Class names were taken for the label that is spelt alike (1): comicbooks for comic_books.",
        "No label matches coins (1 values); these values were left out.",
        "Similar classes are named that are no other class (2): hio4, comic_books.",
    ]


def test_similar_classes_that_no_file_names_are_left_for_a_model(tmp_path):
    rows = shared("stackexchange", depth=["deep"], style=["dry"])
    rows += [("stackexchange", "scenario", label, label, f"in {label}") for label in "ab"]
    task, report = read_dataset(write(tmp_path, rows, {"stackexchange": ["a", "b"]}), "stackexchange")
    assert task.similar == {} == report.short and task.lengths == (30, 100)
    assert [each.name for each in task.attributes] == ["scenarios", "depth", "style"]


def test_several_labels(tmp_path):
    rows = shared("arxiv", style=["dry"])
    topics = {"A": ["Logic of 3D", "x"], "B": ["logic of 3D", "y"], "C": ["z"]}
    for label, values in topics.items():
        rows += [("arxiv", "subtopics", label, label, value) for value in values]
        rows += [
            ("arxiv", "technique", label, label, "t"),
            ("arxiv", "similar", label, label, "B"),
            ("arxiv", "similar", label, label, "c"),
        ]
    task, report = read_dataset(write(tmp_path, rows, {"arxiv": ["A", "B", "C"]}), "arxiv")
    assert task.labels_from == "subtopics" and not task.attribute("subtopics").filtered
    assert report.merged == (MergedValue("Logic of 3D", ("Logic of 3D", "logic of 3D"), ("A", "B")),)
    assert labels_of(task, Assignment("B", 0, (("subtopics", "Logic of 3D"),))) == ("B", "A")
    assert report.short == {"B": 1, "C": 1}  # of the two others
    assert "Nearly equal values became one: 1, of which 1 have several labels." in report.lines()


def test_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="attributes.parquet is missing; expected a folder with attribute"):
        read_dataset(tmp_path, "yelp")
    folder = write(tmp_path, shared("yelp", style=["dry"]), {"nyt": ["a", "b"]})
    with pytest.raises(ValueError, match="expected one of the data sets agnews, sst-2, .*, got 'imdb'"):
        read_dataset(folder, "imdb")
    with pytest.raises(ValueError, match="nyt: there are no values of it, only of yelp; give a folder that has some"):
        read_dataset(folder, "nyt")
    with pytest.raises(ValueError, match="yelp: there are values of it, and no labels; name its classes"):
        read_dataset(folder, "yelp")
    values = read_attributes(folder / "attributes.parquet")
    with pytest.raises(ValueError, match="yelp: expected one of its attributes, length, style, got 'subtopics'"):
        task_of("yelp", values, ["a", "b"])
    words = values._replace(
        shared={("yelp", LENGTH): ("thirty",), ("yelp", "cuisine"): ("a",), ("yelp", "style"): ("a",)}
    )
    words = words._replace(by_class={("yelp", "subtopics"): {"a": ("a",)}})
    with pytest.raises(ValueError, match="yelp, length: expected whole numbers of words, got 'thirty'; write"):
        task_of("yelp", words, ["a", "b"])


@pytest.fixture(scope="module")
def real(shared_data):
    """Each data set at hand after a person's file: task, what did not come into it, and its file as text."""
    folder = shared_data / "attrprompt_attributes"
    return {dataset: read_dataset(folder, dataset) for dataset in AT_HAND}


@pytest.fixture(scope="module")
def file(shared_data):
    rows = pyarrow.parquet.read_table(shared_data / "attrprompt_attributes" / "attributes.parquet").to_pylist()
    assert len(rows) == 6329 and len({(row["dataset"], row["attribute"]) for row in rows}) == 31
    return rows


@pytest.mark.parametrize("dataset", AT_HAND)
def test_every_prompt_rendered_again_from_its_stored_row_has_its_hash(real, dataset, tmp_path):
    """Through a person's file of the task and a file of documents, in which values are texts."""
    task = parse_task(render_task(real[dataset].task))
    assert task == real[dataset].task
    requests = make_requests(task, sample_assignments(task, COUNTS[dataset]))
    assert len(requests) >= 200

    def generate(prompts, *, n, seed, **_):
        return [[f"text {seed + k} of {prompt_hash(prompt)}" for k in range(n)] for prompt in prompts]

    path = tmp_path / "documents.jsonl"
    jobs.write_document_file(path, generate, requests, settings={}, show=False)
    assert check_prompts(path, parse_task(render_task(task)), render_document) == len(requests)
    for stored, request in zip(read_documents(path), requests, strict=True):
        assert stored.document.prompt_hash == prompt_hash(request.prompt)
        assert stored.document.text.endswith(prompt_hash(request.prompt))
        assert stored.document.assignment == request.assignment and stored.document.labels == request.labels


def test_leading_digits_stand_in_prompts(real, file):
    """All 21 values that begin with a digit: 12 lengths and 9 others, from the file through a task's file."""
    found = collections.Counter()
    for dataset, (task, _) in real.items():
        task = parse_task(render_task(task))
        for attribute in task.attributes:
            for label in task.classes if isinstance(attribute, ClassAttribute) else list(task.classes)[:1]:
                for value in attribute.values_of(label):
                    if value[0].isdigit():
                        found[dataset, value] += 1
                        prompt = render_document(task, Assignment(label, 0, ((attribute.name, value),)))
                        assert f"\n1. The {attribute.phrase} is: {value}\n" in f"{prompt}\n"
        for length, shown in zip(task.lengths, length_values(task), strict=True):
            found[dataset, str(length)] += 1
            prompt = render_document(task, Assignment(next(iter(task.classes)), 0, ((LENGTH, shown),)))
            assert f"\n1. The length is {length} to {length + 50} words." in prompt
    assert found == collections.Counter((row["dataset"], row["value"]) for row in file if row["value"][0].isdigit())
    assert found.total() == 21


def test_every_value_stands_whole_in_its_line(real):
    """Values with colons, quotes, numbers and full stops, in requests of documents and in questions of the filter."""
    for task, _ in real.values():
        for attribute in task.attributes:
            for label in task.classes if isinstance(attribute, ClassAttribute) else list(task.classes)[:1]:
                similar = task.similar.get(label, ())
                for value in attribute.values_of(label):
                    assignment = Assignment(label, 0, ((attribute.name, value), (LENGTH, "30 to 80")))
                    lines = render_document(task, assignment).split("\n")
                    assert lines[1] == f"1. The {attribute.phrase} is: {value}"
                    assert len(lines) == 3 + any(task.similar.get(each) for each in labels_of(task, assignment))
                    if isinstance(attribute, ClassAttribute) and similar:
                        lines = prompts.render_filter(task, attribute, label, value).split("\n")
                        assert lines[1:-4] == [f"- {task.classes[each]}" for each in similar]
                        assert lines[-3] == f"{attribute.phrase.capitalize()}: {value}"


def test_no_other_value_is_lost(real, file):
    """Tasks without merged values have those of the file, class by class; what is not there was named."""
    for dataset in set(AT_HAND) - {"arxiv"}:
        task, report = real[dataset]
        chosen = {each.source: task.attribute(each.name or each.source) for each in DATASETS[dataset].attributes}
        expected, values = collections.defaultdict(set), collections.defaultdict(set)
        for row in file:
            if row["dataset"] == dataset and row["attribute"] in chosen and row["class"] not in report.left_out:
                value = " ".join(row["value"].split())
                if value not in report.file.preambles:
                    expected[row["attribute"], row["label"]].add(value)
        for source, attribute in chosen.items():
            for label in task.classes if isinstance(attribute, ClassAttribute) else [""]:
                values[source, label] |= {*attribute.values_of(label)}
        assert values == expected


def test_class_names_and_the_preamble_are_named(real):
    renamed = {name for _, report in real.values() for name in report.renamed}
    left_out = {name: count for _, report in real.values() for name, count in report.left_out.items()}
    assert len(renamed) == 7 and "comicbooks" in renamed and left_out == {"cosmos": 20, "coins4sale": 5}
    for task, report in real.values():
        (preamble,) = report.file.preambles
        assert preamble.startswith("As an AI language model") and "As an AI" not in render_task(task)
        assert any(preamble in line for line in report.lines())


def test_similar_classes_of_real_data(real):
    assert real["amazon"].task.similar["apparel"][:3] == ("electronics", "toys_games", "sports_outdoors")
    counts = {dataset: sum(map(len, report.unknown.values())) for dataset, (_, report) in real.items()}
    assert counts == {"agnews": 0, "amazon": 5, "arxiv": 12, "nyt": 0, "reddit": 1, "sst-2": 0}
    assert real["reddit"].report.short == {"minecraft_server": 4}
    assert set(real["amazon"].report.short) == {"magazines", "camera_photo", "cell_phones_service", "tools_hardware"}
    assert real["arxiv"].report.short["Subcellular Processes"] == 0
    assert "Subcellular Processes" not in real["arxiv"].task.similar  # a model may be asked
    for dataset in ("amazon", "reddit", "arxiv"):  # five, also of lists with nearly all labels
        task, report = real[dataset]
        assert all(len(task.similar.get(label, ())) == report.short.get(label, 5) for label in task.classes)
    assert real["nyt"].task.similar == {} and real["agnews"].task.similar == dict.fromkeys(
        real["agnews"].task.classes, ()
    )


def test_readable_names_are_of_real_labels(real):
    for dataset, (task, _) in real.items():
        assert DATASETS[dataset].names.keys() <= task.classes.keys()
        assert not any("_" in name for name in task.classes.values())
    assert real["nyt"].task.classes["stocks_and_bonds"] == "stocks and bonds"


def test_only_brands_and_tasks_of_several_labels_are_not_filtered(real):
    unfiltered = {
        (dataset, each.name)
        for dataset, (task, _) in real.items()
        for each in task.attributes
        if isinstance(each, ClassAttribute) and not each.filtered
    }
    assert unfiltered == {("amazon", "brands"), ("arxiv", "subtopics"), ("arxiv", "techniques")}
    assert DATASETS["nyt"].per_class == 346 and all(each.per_class in (346, 500) for each in DATASETS.values())
