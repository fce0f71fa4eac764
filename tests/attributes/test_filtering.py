"""The filter finds what was planted, and says what it asked, dropped and could not read."""

import dataclasses
import random

import pytest

from jaxalign.attributes import (
    OTHER,
    ClassAttribute,
    Task,
    ambiguous_values,
    filter_values,
    match_classes,
    prompts,
    read_attributes,
)
from tests.attributes.fakes import Writer
from tests.attributes.tiny import BRAND, TASK, TOPIC

BELONGS = {"chess": ["sports", "science and technology"], "2K Games": ["world news", "science and technology"]}


def test_by_hand():
    writer = Writer(belongs=BELONGS)
    attribute, report = filter_values(writer, TASK, TOPIC)
    assert attribute.values == {
        "sport": ("100 m sprint", OTHER),
        "tech": ("3D printing", OTHER),
        "world": ("elections", OTHER),  # has no similar classes, so nothing is asked
    }
    assert report == (5, {"sport": ("chess",), "tech": ("2K Games", "chess")}, {}, {}, 0)
    assert writer.calls == [{"n": 1, "temperature": 0.7, "max_tokens": 128, "seed": 0}]
    assert writer.prompts[0] == prompts.render_filter(TASK, TOPIC, "sport", "100 m sprint")
    assert all("- sports\n- world news\n" in prompt for prompt in writer.prompts[2:])


def test_brands_stay_as_they_are_and_are_not_asked_about():
    writer = Writer(belongs={"Acme": ["sports"]})
    attribute, report = filter_values(writer, TASK, BRAND)
    assert attribute.values["tech"] == ("Acme", "Bolt", OTHER) and report.asked == 0 and not writer.calls
    asked = filter_values(writer, TASK, dataclasses.replace(BRAND, filtered=True)).report
    assert asked.dropped == {"tech": ("Acme",)} and asked.asked == 3


def test_filtering_again_asks_nothing_about_other_and_adds_no_second_one():
    once = filter_values(Writer(belongs=BELONGS), TASK, TOPIC).attribute
    writer = Writer(belongs=BELONGS)
    twice, report = filter_values(writer, TASK, once)
    assert twice == once and report.asked == 2


def test_only_the_first_positives_are_dropped():
    attribute = ClassAttribute("topic", "subtopic", {"sport": tuple("abcdefgh")})
    writer = Writer(belongs={value: ["science and technology"] for value in "bcdefgh"})
    kept, report = filter_values(writer, TASK, attribute)
    assert kept.values["sport"] == ("a", "g", "h", OTHER)
    assert report.dropped == {"sport": tuple("bcdef")} and report.spared == {"sport": ("g", "h")}
    kept, report = filter_values(writer, TASK, attribute, most_drops=0)
    assert kept.values["sport"] == (*"abcdefgh", OTHER) and report.dropped == {} and len(report.spared["sport"]) == 7


def test_what_cannot_be_read_is_kept_and_named():
    def generate(asked, *, n, **_):
        said = {"100 m sprint": "Is it 1 of them? Yes?", "chess": "I am not sure."}
        return [[next((said[v] for v in said if f": {v}\n" in prompt), "No") for _ in range(n)] for prompt in asked]

    kept, report = filter_values(generate, TASK, TOPIC, votes=3)
    assert kept.values["sport"] == (*TOPIC.values["sport"], OTHER)
    assert report.unread == {"sport": ("100 m sprint", "chess"), "tech": ("chess",)}
    assert report.dropped == {} and report.unread_answers == 3 * 3


def test_the_majority_of_votes_counts_and_a_tie_is_unread():
    def generate(asked, *, n, **_):
        return [["Yes", "No", "Yes" if "chess" in prompt else "well"][:n] for prompt in asked]

    report = filter_values(generate, TASK, TOPIC, votes=3).report
    assert report.dropped == {"sport": ("chess",), "tech": ("chess",)}
    assert report.unread == {"sport": ("100 m sprint",), "tech": ("3D printing", "2K Games")}
    assert report.unread_answers == 3


def planted_world(seed, num_classes=60):
    """Ten values a class, of which three belong to one of its five similar classes."""
    names = {f"c{n}": f"class {n}" for n in range(num_classes)}
    similar = {label: tuple(f"c{(int(label[1:]) + k) % num_classes}" for k in range(1, 6)) for label in names}
    rng = random.Random(seed)
    values, belongs, planted = {}, {}, set()
    for label in names:
        values[label] = tuple(f"{n} of {label}" for n in range(10))
        for value in rng.sample(values[label], 3):
            planted.add((label, value))
            belongs[value] = [names[rng.choice(similar[label])]]
    return Task("text", names, (), similar), ClassAttribute("t", "topic", values), belongs, planted


def precision_and_recall(report, planted):
    found = {(label, value) for label, each in report.dropped.items() for value in each}
    return len(found & planted) / len(found), len(found & planted) / len(planted)


@pytest.mark.parametrize("seed", range(5))
def test_planted_values_are_found_by_a_model_that_errs(seed):
    """Precision and recall of at least .95 with 5 % of wrong answers: three votes leave 0.7 % of wrong verdicts."""
    task, attribute, belongs, planted = planted_world(seed)
    writer = Writer(belongs=belongs, errs=0.05)
    report = filter_values(writer, task, attribute, votes=3, seed=seed).report
    assert report.asked == 600 and report.unread_answers == 0
    assert min(precision_and_recall(report, planted)) >= 0.95


def test_one_vote_is_not_enough_where_it_errs():
    """3 of 10 values are planted, so that precision is .3 * .95 / (.3 * .95 + .7 * .05) = .891."""
    found = []
    for seed in range(5):
        task, attribute, belongs, planted = planted_world(seed)
        report = filter_values(Writer(belongs=belongs, errs=0.05), task, attribute, seed=seed).report
        found.append(precision_and_recall(report, planted))
    precision, recall = (sum(each) / len(found) for each in zip(*found, strict=True))
    assert abs(precision - 0.891) < 0.025 and abs(recall - 0.95) < 0.02


@pytest.mark.parametrize(
    "dataset, name", [("amazon", "product_name"), ("reddit", "experience"), ("reddit", "resource")]
)
def test_planted_among_real_values(shared_data, dataset, name):
    """Real values with colons, quotes and numbers under real classes, with a class's real similar ones."""
    read = read_attributes(shared_data / "attrprompt_attributes" / "attributes.parquet")
    attribute = read.attribute(dataset, name, name=name, phrase=name.replace("_", " "))
    classes = {label: label.replace("_", " ") for label in attribute.values}
    bare = Task("text", classes)
    named = {label: read.by_class[dataset, "similar"].get(label, ()) for label in classes}
    similar = {
        label: tuple(each for each in match_classes(others, bare).labels if each != label)[:5]
        for label, others in named.items()
    }
    task, rng = Task("text", classes, (), similar), random.Random(0)
    belongs = {
        value: [classes[rng.choice(similar[label])]]
        for label, values in attribute.values.items()
        for value in rng.sample(values, min(3, len(values)))
    }
    planted = {
        (label, value)
        for label, values in attribute.values.items()
        for value in values
        if {classes[each] for each in similar[label]} & set(belongs.get(value, ()))
    }
    report = filter_values(Writer(belongs=belongs, errs=0.05), task, attribute, votes=3).report
    assert report.asked == sum(map(len, attribute.values.values()))
    assert min(precision_and_recall(report, planted)) >= 0.95


def test_nothing_to_ask():
    with pytest.raises(ValueError, match="votes: expected at least 1, got 0"):
        filter_values(Writer(), TASK, TOPIC, votes=0)
    with pytest.raises(ValueError, match="most_drops: expected at least 0, got -1"):
        filter_values(Writer(), TASK, TOPIC, most_drops=-1)
    empty = ClassAttribute("topic", "subtopic")
    assert filter_values(Writer(), TASK, empty) == (empty, (0, {}, {}, {}, 0))


def test_ambiguous_values():
    values = {"a": ("AI in  healthcare", "x", OTHER), "b": ("ai in healthcare", OTHER), "c": ("y", "AI in healthcare")}
    assert ambiguous_values(ClassAttribute("t", "t", values)) == {"AI in  healthcare": ("a", "b", "c")}


def test_ambiguous_values_of_real_data(shared_data):
    read = read_attributes(shared_data / "attrprompt_attributes" / "attributes.parquet")
    attributes = {pair: ClassAttribute("t", "t", values) for pair, values in read.by_class.items()}
    found = {pair: ambiguous_values(attribute) for pair, attribute in attributes.items() if pair[1] != "similar"}
    counts = {pair: len(values) for pair, values in found.items() if values}
    assert counts == {
        ("amazon", "brands"): 13,
        ("arxiv", "subtopics"): 113,
        ("arxiv", "technique"): 43,
        ("nyt", "subtopics_filter"): 1,
        ("reddit", "experience"): 1,
    }
    assert set(found["amazon", "brands"]["Bosch"]) == {"automotive", "tools_hardware"}
    assert len(found["arxiv", "technique"]["Monte Carlo simulations"]) == 8
