"""Core-class annotation: what is asked, what is read of real answers, and what is counted."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxalign.taxonomy import (
    Annotation,
    Taxonomy,
    annotate_documents,
    class_names,
    class_spellings,
    parse_named,
    read_annotation,
    read_taxonomy,
    render_annotation,
    report_annotations,
)

# Two classes are called "toys", each below its own animal; "food" is below both of them.
PETS = Taxonomy(
    ("pets", "dogs", "cats", "toys", "toys", "food"),
    ((), (0,), (0,), (1,), (2,), (1, 2)),
    ("pets", "dogs", "cats", "dog_toys", "cat_toys", "1"),
)


def answering(*answers):
    """A model that gives these answers, and what it was asked."""
    asked = []

    def generate(prompts, **options):
        asked.append((list(prompts), options))
        return [[answer] for answer in answers[: len(prompts)]]

    return generate, asked


def test_question():
    prompt = render_annotation(" I love it.\n", ("dogs", "cats"), kind="product review")
    assert "\n- dogs\n- cats\n" in prompt and "\n\nI love it.\n\n" in prompt and "following product review" in prompt
    with pytest.raises(ValueError, match="expected one candidate or more, got none"):
        render_annotation("I love it.", ())


def test_names_tell_candidates_apart():
    assert class_names(PETS, (3, 1)) == ("toys", "dogs")
    assert class_names(PETS, (1, 3, 4)) == ("dogs", "pets > dogs > toys", "pets > cats > toys")
    both = class_spellings(PETS, (3, 4))
    assert parse_named("pets > cats > toys", both).found == (4,)
    assert parse_named("toys", both) == ((), ("toys",))
    assert parse_named("toys", class_spellings(PETS, (1, 4))).found == (4,)
    assert parse_named("1", class_spellings(PETS)) == ((), ("1",))  # ids are no names


def test_documents_are_annotated_and_counted():
    generate, asked = answering('"Dogs", pets', "cats, hamsters", "Sorry, I cannot read this.", "1. Hamsters")
    documents = ["a", "b", "c", "d"]
    found = annotate_documents(generate, PETS, documents, [(0, 1), (1, 5), (1,), (5, 2)], kind="post", seed=3)
    assert found == [
        Annotation((1, 0), (), (), '"Dogs", pets'),
        Annotation((), (2,), ("hamsters",), "cats, hamsters"),
        Annotation((), (), (), "Sorry, I cannot read this."),
        Annotation((), (), ("Hamsters",), "1. Hamsters"),
    ]
    ((prompts, options),) = asked
    assert options == {"n": 1, "temperature": 0.0, "max_tokens": 128, "seed": 3}
    assert prompts[3] == render_annotation("d", ("food", "cats"), kind="post")
    assert report_annotations(found) == (4, 3, 1, {2: 1}, {"hamsters": 2})
    assert report_annotations([]) == (0, 0, 0, {}, {})


def test_no_documents_and_other_numbers_of_candidates():
    generate, asked = answering()
    assert annotate_documents(generate, PETS, [], []) == [] and asked == []
    with pytest.raises(ValueError, match="expected candidates for each document, got 1 and 2"):
        annotate_documents(generate, PETS, ["a"], [(0,), (1,)])
    with pytest.raises(ValueError, match="max_tokens"):
        annotate_documents(generate, PETS, ["a"], [(0,)], max_tokens=0)


def published_parser(answer, taxonomy):
    """What the authors' parser does: a piece between ", " is the name of a class, letter by letter, or nothing."""
    return tuple(taxonomy.names.index(piece) for piece in answer.split(", ") if piece in taxonomy.names)


def closure_f1(picked, gold, taxonomy):
    f1 = []
    for classes, labels in zip(picked, gold, strict=True):
        closed = set(np.flatnonzero(taxonomy.ancestors[list(classes)].any(axis=0)))
        f1.append(2 * len(closed & set(labels)) / (len(closed) + len(labels)))
    return np.mean(f1)


def test_real_answers(shared_data):
    """F1 .656 and .9 % without a class; the published parser gives .312 and 54 %, and one name for an answer .639."""
    folder = shared_data / "teleclass"
    taxonomy = read_taxonomy(folder / "amazon531_classes.parquet")
    table = pq.read_table(folder / "amazon531_train.parquet", columns=["gold", "llm_response"])
    answers, gold = table["llm_response"].to_pylist(), table["gold"].to_pylist()
    assert len(answers) == 23_590

    every = class_spellings(taxonomy)
    found = {answer: read_annotation(answer, every, every) for answer in dict.fromkeys(answers)}
    ours = [found[answer] for answer in answers]
    report = report_annotations(ours)
    assert report.without_class <= 0.01 * len(answers) and report.silent <= 20
    assert closure_f1([each.classes for each in ours], gold, taxonomy) >= 0.65
    assert list(report.unknown)[:2] == ["nursery décor", "nutrition bars"] and len(report.unknown) < 120
    assert report.outside == {}

    read = {answer: published_parser(answer, taxonomy) for answer in found}
    theirs = [read[answer] for answer in answers]
    np.testing.assert_allclose(np.mean([not each for each in theirs]), 0.54, atol=0.005)
    np.testing.assert_allclose(closure_f1(theirs, gold, taxonomy), 0.31, atol=0.005)
