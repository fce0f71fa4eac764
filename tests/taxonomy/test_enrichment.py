"""What is asked for a class, and what is read of answers in the forms that models use."""

import pytest

from jaxalign.taxonomy import Taxonomy, join_terms, parse_terms, propose_terms, render_enrichment

NAMES = ("pets", "dogs", "cats", "food", "toys", "gifts")
PETS = Taxonomy(NAMES, ((), (0,), (0,), (1, 2), (2,), ()))


class Writer:
    """A GenerateFn that answers with a list for each class, by the class that the prompt begins with."""

    def __init__(self, answers):
        self.answers, self.calls = answers, []

    def __call__(self, prompts, *, n=1, temperature=1.0, max_tokens=256, seed=None, stop=()):
        self.calls.append((list(prompts), temperature))
        answers = [self.answers.get(prompt.split('"')[1]) for prompt in prompts]
        return [[] if answer is None else [answer] for answer in answers]


def test_one_call_for_all_classes_at_temperature_0():
    writer = Writer(
        {
            "pets": "- vet\n- leash\n- Vet",
            "dogs": "1. bone\n2. Dogs\n3. kennel\n4. walk",
            "cats": "I cannot do that.",
            "food": 'Key terms: "bowl", dry food, wet food, treats',
            "toys": "<think>- mouse\n- ball",
        }
    )
    found = propose_terms(writer, PETS, count=3)
    assert found.terms == (
        ("vet", "leash"),
        ("bone", "kennel", "walk"),  # not its own name
        (),
        ("bowl", "dry food", "wet food"),
        (),
        (),
    )
    assert found.short == {0: 2, 2: 0, 4: 0, 5: 0}
    assert found.unread == {2: "I cannot do that.", 4: "<think>- mouse\n- ball", 5: ""}
    assert len(writer.calls) == 1 and writer.calls[0][1] == 0


def test_the_prompt_has_parents_and_the_siblings_of_each_family():
    prompt = render_enrichment(PETS, 3, document="product review", count=7)
    assert prompt.startswith('"food" is a class in a taxonomy of texts, each a product review, below the classes ')
    assert '"pets > dogs", "pets > cats".' in prompt and "Name 7 key terms" in prompt
    assert "irrelevant to these classes:\n- toys\n\n" in prompt and "- dogs" not in prompt
    assert "irrelevant to these classes:\n- gifts" in render_enrichment(PETS, 0)
    only = render_enrichment(Taxonomy(("a", "b"), ((), (0,))), 1)
    assert "irrelevant" not in only and "other than its name.\n" in only


@pytest.mark.parametrize(
    "text, terms",
    [
        ("* A\n* b\n* a", ("A", "b")),
        ('["sea_food", "clams"]', ("sea food", "clams")),
        (
            "Key terms:\n1. beef\n2. 3D printing",
            ("beef", "3D printing"),
        ),  # the published parser makes one term of these
        ("**Key terms:** beef, turkey, elk.", ("beef", "turkey", "elk")),
        ("beef, turkey, elk", ("beef", "turkey", "elk")),
        ("Well, I am not sure.", ()),
        ("", ()),
    ],
)
def test_forms_of_answers(text, terms):
    assert parse_terms(text) == terms


def test_all_terms_in_one_list():
    texts, classes = join_terms(PETS, (("vet", "Pets"), ("bone",), (), (), (), ()))
    assert texts == ("pets", "vet", "dogs", "bone", "cats", "food", "toys", "gifts")
    assert classes.tolist() == [0, 0, 1, 1, 2, 3, 4, 5]
    assert join_terms(PETS).texts == NAMES
    with pytest.raises(ValueError, match="a list for each of 6 classes, got 1"):
        join_terms(PETS, [()])


def test_counts_are_checked():
    with pytest.raises(ValueError, match="count: expected at least 1, got 0"):
        propose_terms(Writer({}), PETS, count=0)
    with pytest.raises(ValueError, match="temperature"):
        propose_terms(Writer({}), PETS, temperature=-1.0)
