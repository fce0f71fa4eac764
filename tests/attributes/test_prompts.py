"""Every prompt, letter by letter for one task, and by its parts."""

import dataclasses

import pytest

from jaxalign.attributes import (
    OTHER,
    Assignment,
    ClassAttribute,
    SharedAttribute,
    prompt_hash,
    prompts,
    sample_assignments,
)
from tests.attributes.tiny import BRAND, STYLE, TASK, TOPIC

VALUES = (("style", "interview"), ("topic", "3D printing"), ("brand", "Acme"), ("length", "30 to 80"))


def test_a_document():
    assert prompts.render_document(TASK, Assignment("tech", 0, VALUES)) == (
        'Write one news article of the class "science and technology". Answer with the text alone, which meets these '
        "requirements:\n"
        "1. The writing style is: interview\n"
        "2. The subtopic is: 3D printing\n"
        "3. The brand is: Acme\n"
        "4. The length is 30 to 80 words.\n"
        '5. The text is relevant to the class "science and technology" and irrelevant to the classes "sports" and '
        '"world news".'
    )


def test_a_class_without_similar_ones_has_no_such_line():
    prompt = prompts.render_document(TASK, Assignment("world", 0, VALUES))
    assert prompt.endswith("4. The length is 30 to 80 words.") and "irrelevant" not in prompt
    bare = prompts.render_document(TASK, Assignment("world", 0))
    assert bare == 'Write one news article of the class "world news". Answer with the text alone.'


def test_requirements_are_one_attribute_each_and_its_value_stands_in_it_as_text():
    for assignment in sample_assignments(TASK, 20):
        lines = prompts.render_document(TASK, assignment).splitlines()[1:]
        similar = assignment.label in TASK.similar
        assert len(lines) == 4 + similar
        for number, (line, (_, value)) in enumerate(zip(lines, assignment.values, strict=False), 1):
            assert line.startswith(f"{number}. The ") and value in line


def test_the_readable_name_of_attributes_stands_in_prompts_and_their_key_does_not():
    attribute = ClassAttribute("subtopics_filter", "subtopic", {"sport": ("chess",)})
    task = dataclasses.replace(TASK, attributes=(attribute,), lengths=())
    (assignment,) = sample_assignments(task, {"sport": 1})
    shown = [prompts.render_document(task, assignment), prompts.render_class_values(task, attribute, "sport", 3)]
    shown.append(prompts.render_filter(task, attribute, "sport", "chess"))
    for prompt in shown:
        assert "subtopic" in prompt and "subtopics_filter" not in prompt and '"sport"' not in prompt
    with pytest.raises(ValueError, match="got 'place'; the task has subtopics_filter"):
        prompts.render_document(task, Assignment("sport", 0, (("place", "Bern"),)))


def test_other_leaves_the_choice():
    prompt = prompts.render_document(TASK, Assignment("tech", 0, (("topic", OTHER),)))
    assert "1. The subtopic is an unusual one, of your own choice, that fits the class." in prompt


def test_several_labels_are_all_named_and_none_of_them_is_to_be_avoided():
    several = dataclasses.replace(TASK, labels_from="topic")
    prompt = prompts.render_document(several, Assignment("tech", 0, (("topic", "chess"),)))
    assert prompt.startswith('Write one news article of the classes "science and technology" and "sports".')
    assert prompt.endswith(
        '2. The text is relevant to the classes "science and technology" and "sports" and irrelevant to the class '
        '"world news".'
    )


def test_questions_about_attributes_and_classes():
    dimensions = prompts.render_dimensions(TASK, 5)
    assert "- sports\n- science and technology\n- world news\n" in dimensions and "which 5 attributes" in dimensions
    similar = prompts.render_similar_classes(TASK, "tech", 2)
    assert '"science and technology"' in similar and "\n- sports\n- world news\n" in similar
    assert "- science" not in similar and "Which 2 of" in similar


def test_requests_for_values():
    shared = prompts.render_shared_values(TASK, STYLE, 10)
    assert shared.startswith('Name 10 different values of the attribute "writing style"') and "class" not in shared
    topics = prompts.render_class_values(TASK, TOPIC, "tech", 10)
    assert 'of the class "science and technology". Name none that also fits the classes "sports" and "world' in topics
    assert "none that" not in prompts.render_class_values(TASK, TOPIC, "world", 10)


def test_one_question_of_the_filter_names_all_similar_classes():
    assert prompts.render_filter(TASK, TOPIC, "tech", '"1984" by George Orwell') == (
        "Classes of texts, each a news article:\n- sports\n- world news\n\n"
        'Subtopic: "1984" by George Orwell\n\n'
        "Does this subtopic belong to at least one of these classes? Answer with Yes or No."
    )
    with pytest.raises(ValueError, match="similar classes, got 'world'; there is nothing to ask"):
        prompts.render_filter(TASK, BRAND, "world", "UN")


def test_baselines_say_the_class_alone():
    assignment = Assignment("sport", 3, VALUES)
    simple = prompts.render_simple_document(TASK, assignment)
    assert "You are a writer" in simple and 'the class "sports"' in simple and "example" not in simple
    assert prompts.render_simple_document(TASK, assignment, " A goal. ").endswith("another text:\nA goal.")
    asked = prompts.render_instruction(TASK, "sport")
    meta = prompts.render_instructed_document(TASK, assignment, " Be varied.\n")
    assert 'the class "sports"' in asked and meta.startswith("Be varied.\n\nFollow") and '"sports"' in meta
    assert not any(value in simple + meta for _, value in VALUES)
    with pytest.raises(ValueError, match="instruction for class 'sport', got a blank text; ask"):
        prompts.render_instructed_document(TASK, assignment, " ")


def test_hashes():
    # printf abc | sha256sum
    assert prompt_hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    hashes = {prompt_hash(prompts.render_document(TASK, each)) for each in sample_assignments(TASK, 1)}
    assert len(hashes) == 3
    renamed = TASK.with_attribute(SharedAttribute("style", "tone", STYLE.values))
    (one, *_), (other, *_) = sample_assignments(TASK, 1), sample_assignments(renamed, 1)
    assert one == other
    assert prompts.render_document(TASK, one) != prompts.render_document(renamed, other)


def test_names_with_quotes_stay_whole():
    """A name that holds quotes stands in quotes of another form; values stand in none."""
    task = dataclasses.replace(TASK, classes={**TASK.classes, "tech": 'the "new" tech', "world": "the world's news"})
    values = (("topic", '"1984": a 12" model'), ("length", "30 to 80"))
    assert prompts.render_document(task, Assignment("tech", 0, values)).splitlines() == [
        'Write one news article of the class “the "new" tech”. Answer with the text alone, which meets these '
        "requirements:",
        '1. The subtopic is: "1984": a 12" model',
        "2. The length is 30 to 80 words.",
        '3. The text is relevant to the class “the "new" tech” and irrelevant to the classes "sports" and '
        '"the world\'s news".',
    ]
    attribute = ClassAttribute("topic", 'what is "new"')
    assert 'the class “the "new" tech”, so' in prompts.render_similar_classes(task, "tech", 2)
    asked = prompts.render_class_values(task, attribute, "tech", 3)
    assert 'the attribute “what is "new"” for texts' in asked and 'of the class “the "new" tech”. Name none' in asked
    shared = prompts.render_shared_values(task, SharedAttribute("a", 'what is "new"'), 3)
    assert 'the attribute “what is "new"” for texts' in shared
