"""Plans of others, bare plans, and plans out of order."""

import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxalign import planning
from jaxalign.planning import PARTS, Fact, Heading, PlannedArticle


def record(number):
    return PlannedArticle(
        f"x{number}",
        f"y{number}",
        summary=f"s{number}",
        outline=(Heading(f"a{number}"), Heading("below a", 2), Heading("b"), Heading("below b", 2), Heading("c")),
        key_information=tuple(Fact(f"{number} {letter}") for letter in "abcdef"),
        scores={"summary": 0.5, "outline": 0.25, "outline length": 0.5, "key_information": 1.0},
        provenance={part: f"maker {number}" for part in PARTS} | {"article": "file"},
        id=str(number),
    )


@given(st.integers(2, 9), st.integers(0, 1000))
def test_everyone_gets_the_plan_of_another(count, seed):
    records = [record(number) for number in range(count)]
    shuffled = planning.shuffle_plans(records, seed=seed)
    assert [(each.x, each.article, each.id) for each in shuffled] == [(e.x, e.article, e.id) for e in records]
    sources = [int(each.summary[1:]) for each in shuffled]
    assert sorted(sources) == list(range(count)) and all(place != source for place, source in enumerate(sources))
    for each, source in zip(shuffled, sources, strict=True):
        assert (each.outline, each.key_information) == (records[source].outline, records[source].key_information)
        own = {part: f"maker {source}" for part in PARTS}
        assert each.provenance == own | {"article": "file", "plan": f"of {source}"} and each.scores == {}
    assert planning.shuffle_plans(records, seed=seed) == shuffled


def test_one_plan_cannot_be_another_ones():
    assert planning.shuffle_plans([]) == ()
    with pytest.raises(ValueError, match="two records or more"):
        planning.shuffle_plans([record(0)])


def test_headings_only():
    (bare,) = planning.headings_only([record(1)])
    assert bare.known_parts == ("outline",) and bare.outline == record(1).outline
    assert bare.scores == {"outline": 0.25, "outline length": 0.5}
    assert bare.provenance == {"outline": "maker 1", "article": "file"}
    with pytest.raises(ValueError, match=r"got none in \['x'\]"):
        planning.headings_only([record(1), PlannedArticle("x", "y")])


def test_another_order_keeps_sections_together():
    records = [record(number) for number in range(20)]
    changed = planning.shuffle_order(records, seed=3)
    orders = collections.Counter()
    for old, new in zip(records, changed, strict=True):
        assert collections.Counter(new.key_information) == collections.Counter(old.key_information)
        titles = [heading.title for heading in new.outline]
        assert sorted(titles) == sorted(heading.title for heading in old.outline)
        for letter in "ab":
            (place,) = [place for place, title in enumerate(titles) if title[0] == letter and "below" not in title]
            assert titles[place + 1] == f"below {letter}"
        orders["".join(title[0] for title in titles if "below" not in title)] += 1
        assert new.scores == {"summary": 0.5} and new.summary == old.summary
    assert len(orders) > 3
    assert sum(old.key_information == new.key_information for old, new in zip(records, changed, strict=True)) < 3
    assert planning.shuffle_order([PlannedArticle("x", "y")])[0] == PlannedArticle("x", "y")
