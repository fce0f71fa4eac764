"""Controls by hand: what is masked and what stays, lengths that agree, and values that say nothing of the class."""

import collections
import dataclasses
import random

import pytest

from jaxalign.attributes import (
    change_alike,
    make_requests,
    mask_words,
    match_lengths,
    sample_assignments,
    shuffle_values,
)
from tests.attributes.tiny import TASK

NAMES = ("world news", "sports", "business", "science and technology", "TV shows", "No Man's Sky", "COVID-19 positive")


@pytest.mark.parametrize(
    "text, masked",
    [
        ("Science and Technology won.", "x won."),  # a whole name is one token
        ("science-and\ntechnologies", "x"),  # whatever separates its words
        ("technology, and science", "x, and x"),  # function words stay
        ("A sport. SPORTS! sporty transport", "A x. x! sporty transport"),
        ("businesses and busy business-people", "x and busy x-people"),
        ("a new world, old news", "a new x, old x"),  # "new" is no singular of "news"
        ("the world's news", "the x's x"),
        ("a TV_show on tv", "a x on x"),
        ("no man's sky, no man", "x, no x"),
        ("covid-19 Positive: 19 cases", "x: 19 cases"),  # a number alone stays
        ("  two  blanks\tstay ", "  two  blanks\tstay "),
        ("", ""),
    ],
)
def test_masks_by_hand(text, masked):
    assert mask_words(text, NAMES) == masked


def test_other_tokens_and_nothing_to_mask():
    assert mask_words("sports", ["sports"], r"\1[CLASS]") == r"\1[CLASS]"
    assert mask_words("sports", []) == mask_words("sports", ["of the", "", "++"]) == "sports"
    assert mask_words("C++ (of the)", ["of the", "C++"]) == "x++ (x)"


def test_a_function_word_is_no_singular():
    assert mask_words("whats new, what book, whats that book", ["whats that book"]) == "x new, what x, x"


def test_longer_names_come_first():
    assert mask_words("computer video games, computer games", ["computer", "computer video games"]) == "x, x x"


def test_masked_words_are_gone():
    rng = random.Random(0)
    words = "sport Sports technology SCIENCE worlds news goal of and ball".split()
    for _ in range(50):
        text = " ".join(rng.choices(words, k=12))
        left = {word.casefold() for word in mask_words(text, NAMES).split()}
        assert left <= {"x", "goal", "of", "and", "ball"}


def test_lengths_by_hand():
    texts = {
        "a": ["a b", "a b c d e", "a  b\nc d"],  # 5, 4, 2 words
        "b": ["a b c", "a b c", "a b c d e f"],  # 6, 3, 3
    }
    cut = match_lengths(texts)  # 5, 3, 2
    assert cut == {"a": ["a b", "a b c d e", "a  b\nc"], "b": ["a b c", "a b", "a b c d e"]}
    assert match_lengths(cut) == cut


def test_lengths_of_all_sets_agree():
    rng = random.Random(1)
    texts = {name: ["w " * rng.randrange(most) for _ in range(40)] for name, most in {"a": 20, "b": 9, "c": 30}.items()}
    cut = match_lengths(texts)
    lengths = {name: sorted(len(text.split()) for text in each) for name, each in cut.items()}
    assert lengths["a"] == lengths["b"] == lengths["c"]
    ranked = [sorted(len(text.split()) for text in each) for each in texts.values()]
    assert lengths["a"] == [min(each) for each in zip(*ranked, strict=True)]
    assert all(whole.startswith(part) for name in texts for whole, part in zip(texts[name], cut[name], strict=True))


def test_lengths_of_no_texts_and_of_unequal_counts():
    assert match_lengths({}) == {} and match_lengths({"a": [], "b": []}) == {"a": [], "b": []}
    assert match_lengths({"a": ["one"], "b": [""]}) == {"a": [""], "b": [""]}
    with pytest.raises(ValueError, match="equally many texts of each set, got {'a': 1, 'b': 0}; draw as many"):
        match_lengths({"a": ["one"], "b": []})


def test_shuffled_values_keep_counts_and_labels():
    drawn = sample_assignments(TASK, 200)
    shuffled = shuffle_values(TASK, drawn, seed=3)
    assert [(each.label, each.number) for each in shuffled] == [(each.label, each.number) for each in drawn]
    assert [[name for name, _ in each.values] for each in shuffled] == [[n for n, _ in each.values] for each in drawn]
    for name in ("style", "topic", "brand", "length"):
        before, after = ([dict(each.values)[name] for each in some] for some in (drawn, shuffled))
        assert before != after and collections.Counter(before) == collections.Counter(after)
    assert shuffle_values(TASK, drawn, seed=3) == shuffled != shuffle_values(TASK, drawn, seed=4)


def test_shuffled_values_say_nothing_of_the_class():
    """A brand tells the class before; after, each class has its share of every brand: a third, within 5 errors."""
    drawn = sample_assignments(TASK, 600)
    owner = {brand: label for label in TASK.classes for brand in TASK.attribute("brand").values_of(label)}
    own = [owner[dict(each.values)["brand"]] == each.label for each in drawn]
    shuffled = [owner[dict(each.values)["brand"]] == each.label for each in shuffle_values(TASK, drawn)]
    assert all(own) and abs(sum(shuffled) / 1800 - 1 / 3) < 5 * (2 / 9 / 1800) ** 0.5


def test_attributes_are_shuffled_apart():
    """Style and topic of a row come from different rows, else pairs of them would be as before."""
    tied = [
        each._replace(values=(("style", str(n)), ("topic", str(n))))
        for n, each in enumerate(sample_assignments(TASK, 40))
    ]
    same = [dict(each.values) for each in shuffle_values(TASK, tied)]
    assert sum(each["style"] == each["topic"] for each in same) < 10


def test_shuffled_requests_render_and_several_labels_are_refused():
    shuffled = shuffle_values(TASK, sample_assignments(TASK, 5))
    requests = make_requests(TASK, shuffled)
    assert [request.labels for request in requests] == [(each.label,) for each in shuffled]
    with pytest.raises(
        ValueError, match="expected a task with one label a document, got 'topic'.*leave labels_from out"
    ):
        shuffle_values(dataclasses.replace(TASK, labels_from="topic"), shuffled)
    assert shuffle_values(TASK, ()) == ()


def test_cleaning_one_side_leaves_a_shortcut_and_one_function_for_both_leaves_none():
    def clean(text):
        return text.replace(" #39;", "'").replace("\\", " ")

    def marks(texts):  # the share of texts that a rule "has a mark" would call real
        return sum("#39;" in text or "\\" in text for text in texts) / len(texts)

    texts = {"generated": ["It #39;s a goal", "a\\goal"], "gold": ["It #39;s late", "so\\late"]}
    one_side = {**texts, "generated": [clean(text) for text in texts["generated"]]}
    assert (marks(one_side["generated"]), marks(one_side["gold"])) == (0, 1)
    alike = change_alike(clean, texts)
    assert alike == {"generated": ["It's a goal", "a goal"], "gold": ["It's late", "so late"]}
    assert marks(alike["generated"]) == marks(alike["gold"])
