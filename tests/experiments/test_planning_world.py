"""The made world of planned articles: plans follow from subjects, figures by hand, texts survive the tokenizer."""

import numpy as np
import pytest

from experiments.planning import world, world_figures
from jaxalign import planning
from jaxalign.planning import WrittenArticle

SIZES = {"num_train": 60, "num_test": 30}


@pytest.fixture(scope="module")
def made():
    return world.make_world(0, **SIZES)


def written(article, reason=""):
    return WrittenArticle(article, {}, reason, not reason, 1, 0, 0)


def values(article, record, reason=""):
    figures = world_figures.evaluate([written(article, reason)], [record])
    return {name: (float(each.numerator[0]), float(each.denominator[0])) for name, each in figures.items()}


def hand_tables():
    """Each word goes to that of the sum of both numbers, and sections follow in the order of the alphabet."""
    sums = np.add.outer(np.arange(world.NUM_WORDS), np.arange(world.NUM_WORDS)) % world.NUM_WORDS
    circle = np.tile((np.arange(world.NUM_WORDS) + 1) % world.NUM_WORDS, (world.NUM_WORDS, 1))
    return world.Tables(sums, sums, sums, circle, sums, np.arange(world.NUM_WORDS) == 3, sums)


def test_an_article_by_hand():
    """Mood 0 + 1 = 1, theme 1 + 1 = 2, first section 2 + 4 = 1 of five; claims 2 + 1, 2 + 2, 2 + 3; detail 3 + 3."""
    record = world.write_article(hand_tables(), [0, 1, 1, 4, 3])
    assert record.x == "otter march iron forest red"
    assert record.summary == "otter march bold iron trade forest"
    assert planning.render_part(record, "outline") == "# habits\n# meals\n# voices"
    assert planning.render_part(record, "key_information") == "- habits wool red fog\n- meals honey\n- voices salt"
    assert record.article.splitlines() == [
        "# habits",
        "the habits of the otter are known for wool .",
        "in march they also bring red fog .",
        "# meals",
        "the meals of the otter are known for honey .",
        "# voices",
        "the voices of the otter are known for salt .",
    ]


def test_worlds_repeat_and_share_no_subject(made):
    again = world.make_world(0, **SIZES)
    assert (again.train, again.test) == (made.train, made.test)
    assert world.make_world(1, **SIZES).train != made.train
    assert len({record.x for record in made.train + made.test}) == 90
    with pytest.raises(ValueError, match="at most 3125 articles"):
        world.make_world(0, num_train=3000, num_test=200)


def test_each_step_of_a_plan_is_one_look_up(made):
    """What stands before a step decides it: the same two words lead to the same third in all articles."""
    found = {}
    for record in made.train + made.test:
        animal, month, metal, place, colour = record.x.split()
        mood, theme = record.summary.split()[2], record.summary.split()[4]
        sections = [heading.title for heading in record.outline]
        steps = [("mood", animal, month, mood), ("theme", mood, metal, theme), ("start", theme, place, sections[0])]
        steps += [("next", theme, *pair) for pair in zip(sections, sections[1:], strict=False)]
        for fact in record.key_information:
            section, claim, *more = fact.text.split()
            steps.append(("claim", theme, section, claim))
            steps += [("detail", claim, colour, more[1])] if more else []
        for *given, result in steps:
            assert found.setdefault(tuple(given), result) == result
    assert len({key for key in found if key[0] == "theme"}) == world.NUM_WORDS**2


def test_articles_keep_moods_and_themes_unsaid(made):
    words = [word for words in world.WORDS.values() for word in words]
    assert len(set(words)) == len(words)
    unsaid = {*world.WORDS["mood"], *world.WORDS["theme"]}
    assert not any(unsaid & set(record.article.split()) for record in made.train)


def test_texts_survive_the_tokenizer(made):
    unknown = made.tokenizer.vocabulary["<unk>"]
    longest = [0, 0]
    for record in made.train:
        for formatter in planning.FORMATTERS.values():
            task = formatter(record, wording=made.wording)
            for place, text in enumerate((task.prompt, task.responses[0])):
                ids = made.tokenizer.encode(text)
                assert unknown not in ids
                assert made.tokenizer.decode([*ids, made.tokenizer.eos_id]) == text
                longest[place] = max(longest[place], len(ids) + 1)  # the beginning, or the end, of the sequence
    assert longest[0] <= made.limits[0] and longest[1] <= made.limits[1]


def test_readers_read_what_was_decoded(made):
    record, tokenizer = made.test[0], made.tokenizer
    text = planning.render_plan(record) + planning.render_article(record)
    read = planning.parse_output(tokenizer.decode(tokenizer.encode(text)), planning.PARTS)
    assert (read.article, read.reason, read.finished) == (record.article, "", True)
    assert planning.parse_outline(read.plan["outline"]) == record.outline == planning.article_headings(read.article)


def test_budgets_hold_true_plans_and_articles(made):
    for record in made.train + made.test:
        plan, article = planning.render_plan(record), planning.render_article(record)
        opened = made.tokenizer.encode(plan + planning.OPENING)
        assert len(opened) <= made.budget.plan
        assert len(made.tokenizer.encode(plan + article)) + 1 - len(opened) < made.budget.article


def test_gold_is_all_right(made):
    figures = world_figures.evaluate([written(record.article) for record in made.test], made.test)
    for name, ratio in figures.items():
        np.testing.assert_array_equal(ratio.numerator, 0 if name == "no article" else ratio.denominator)
        assert ratio.numerator.shape == (30,)


def test_figures_of_damaged_articles_by_hand():
    record = world.write_article(hand_tables(), [0, 1, 1, 4, 3])
    habits, meals, voices = (f"# {part}" for part in record.article.split("# ")[1:])
    swapped = values(f"{meals.strip()}\n{habits}{voices}", record)
    assert swapped["section order"] == (2, 3)  # meals before habits
    assert swapped["fact recall"] == (4, 4) and swapped["section lengths"] == (3, 3) and swapped["exact"] == (0, 1)

    missing = values(habits + meals, record)
    assert missing["section order"] == (1, 3) and missing["section lengths"] == (2, 3)
    assert missing["fact recall"] == (3, 4) and missing["fact precision"] == (3, 3)

    short = values(record.article.replace("in march they also bring red fog .\n", ""), record)
    assert short["section lengths"] == (2, 3) and short["fact recall"] == (3, 4)

    wrong = values(record.article.replace("wool", "clay"), record)
    assert wrong["fact recall"] == (3, 4) and wrong["fact precision"] == (3, 4)

    elsewhere = values(record.article.replace("wool", "?").replace("honey", "wool").replace("?", "honey"), record)
    assert elsewhere["fact recall"] == (2, 4)  # both words are there, each in the section of the other

    renamed = values(record.article.replace("# habits", "# nests"), record)
    assert renamed["section order"] == (1, 3) and renamed["fact recall"] == (2, 4)
    assert renamed["fact precision"] == (2, 4) and renamed["section lengths"] == (2, 3)


def test_no_article_has_nothing_right(made):
    record = made.test[0]
    figures = values("", record, "cut off in the plan")
    assert figures.pop("no article") == (1, 1)
    assert figures.pop("fact precision") == (0, 0)
    assert all(numerator == 0 < denominator for numerator, denominator in figures.values())
