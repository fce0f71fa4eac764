"""All steps in a row, as a run takes them, with a file between them; and a task from real values."""

import dataclasses

from jaxalign import attributes
from jaxalign.attributes import OTHER, ClassAttribute, SharedAttribute, Task
from tests.attributes.fakes import Writer

NAMES = {"sport": "sports", "tech": "science and technology", "world": "world news"}
WRITER = Writer(
    similar={name: [other for other in NAMES.values() if other != name] for name in NAMES.values()},
    proposed={
        "writing style": ["3D report", "interview"],
        ("subtopic", "sports"): ["100 m sprint", "E-sport", "Chess"],
        ("subtopic", "science and technology"): ["3D printing", "E-sports", "Chess"],
        ("subtopic", "world news"): ["elections", "war"],
    },
    belongs={"Chess": ["sports", "science and technology"], "war": ["world news"]},
    refuses=0.1,
)


def edited(task):
    return attributes.parse_task(attributes.render_task(task))


def steps(task):
    task = edited(attributes.find_similar_classes(WRITER, task).task)
    for attribute in task.attributes:
        task = edited(task.with_attribute(attributes.propose_values(WRITER, task, attribute, count=3).attribute))
    return task


TASK = Task("news article", NAMES, (SharedAttribute("style", "writing style"), ClassAttribute("topic", "subtopic")))


def test_one_label():
    task = steps(TASK)
    topics, report = attributes.filter_values(WRITER, task, task.attribute("topic"))
    assert report.dropped == {"sport": ("Chess",), "tech": ("Chess",)}
    assert attributes.ambiguous_values(topics) == {}
    task = edited(task.with_attribute(topics))
    requests = attributes.make_requests(task, attributes.balance_assignments(task, 24, seed=1))
    rows = list(attributes.write_documents(WRITER, requests))
    assert len(rows) == 72 and {row.labels for row in rows} == {("sport",), ("tech",), ("world",)}
    for row in rows:
        assert row.prompt_hash == attributes.prompt_hash(attributes.render_document(task, row.assignment))
        topic = dict(row.assignment.values)["topic"]
        assert row.text is None or topic == OTHER or topic in row.text
    assert 0 < sum(sum(each.values()) for each in attributes.report_documents(rows).missing.values()) < 20


def test_several_labels():
    task = steps(TASK)
    topics, merged = attributes.merge_values(task.attribute("topic"))
    assert [(each.value, each.labels) for each in merged] == [
        ("E-sport", ("sport", "tech")),
        ("Chess", ("sport", "tech")),
    ]
    task = edited(dataclasses.replace(task.with_attribute(topics), labels_from="topic"))
    requests = attributes.make_requests(task, attributes.sample_assignments(task, 30))
    labels = {dict(request.assignment.values)["topic"]: set(request.labels) for request in requests}
    assert labels["E-sport"] == labels["Chess"] == {"sport", "tech"} and labels["3D printing"] == {"tech"}


def test_a_task_from_real_values(shared_data):
    read = attributes.read_attributes(shared_data / "attrprompt_attributes" / "attributes.parquet")
    names = {"World": "world news", "Sports": "sports", "Business": "business", "Sci_Tech": "science and technology"}
    phrases = {"location": "location", "style": "writing style", "subtopics": "subtopic"}
    chosen = (read.attribute("agnews", name, name=name, phrase=phrase) for name, phrase in phrases.items())
    task = Task("news article", names, tuple(chosen))
    assert edited(task) == task
    requests = attributes.make_requests(task, attributes.balance_assignments(task, 40))
    prompts = "\n".join(request.prompt for request in requests)
    for attribute in task.attributes:
        for label in names:
            assert all(f" is: {value}\n" in prompts for value in attribute.values_of(label))
