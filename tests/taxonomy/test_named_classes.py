"""What answers name: any spelling, lists, quotes and sentences; unknown names are listed, and refusals name nothing."""

import pytest

from jaxalign.prompting import Spellings
from jaxalign.taxonomy import Named, parse_named, without_and

DOGS, CATS, TOYS, HAIR, SKIN, FEEDING, BREASTFEEDING, WAR = range(8)
NAMES = Spellings(
    {
        DOGS: ["dogs"],
        CATS: ["cats"],
        TOYS: ["toys, games"],
        HAIR: ["hair care"],
        SKIN: ["skin care"],
        FEEDING: ["feeding"],
        BREASTFEEDING: ["breastfeeding"],
        WAR: ["this is war"],
    }
)


@pytest.mark.parametrize(
    "text, found",
    [
        # One name.
        ("dogs", (DOGS,)),
        ('"dogs"', (DOGS,)),
        ("“Dogs.”", (DOGS,)),
        ("**Hair Care**", (HAIR,)),
        ("hair_care.", (HAIR,)),
        ("`hair care`", (HAIR,)),
        ("breastfeeding", (BREASTFEEDING,)),  # holds the name of another class
        ("This is war", (WAR,)),
        ("the dogs category", (DOGS,)),
        ("dogs (for the puppy)", (DOGS,)),
        ("Dogs: the review is about cats", (DOGS,)),
        ("Category: dogs", (DOGS,)),
        # Several.
        ("dogs, cats", (DOGS, CATS)),
        ('"dogs", "cats"', (DOGS, CATS)),
        ("'dogs', 'cats'", (DOGS, CATS)),
        ("dogs; cats | hair care", (DOGS, CATS, HAIR)),
        ("dogs and cats", (DOGS, CATS)),
        ("dogs, cats, and hair care", (DOGS, CATS, HAIR)),
        ("dogs\ncats", (DOGS, CATS)),
        ("dogs, dogs, Dogs", (DOGS,)),
        ("Toys, Games", (TOYS,)),
        ("dogs, toys, games, hair care", (DOGS, TOYS, HAIR)),
        ("toys > games, cats", (TOYS, CATS)),
        ("cats > feeding", (CATS, FEEDING)),
        ("hair care - skin care", (HAIR, SKIN)),
        # Lists.
        ("1. dogs\n2. Cats.\n3) hair care", (DOGS, CATS, HAIR)),
        ("Sure! Here are the classes that fit:\n\n- **Dogs**\n- *cats*: as it says\n\nLet me know!", (DOGS, CATS)),
        ('["dogs", "toys, games"]', (DOGS, TOYS)),
        ('```json\n{"classes": ["dogs", "cats"]}\n```', (DOGS, CATS)),
        ('{"class": "hair care"}', (HAIR,)),
        # Sentences.
        ("The class is dogs.", (DOGS,)),
        ('The product type for the review of "Cat Tower, Large" would be "cats".', (CATS,)),
        ('This falls under the category of "toys, games."', (TOYS,)),
        ('This review falls under the categories "dogs" and "cats".', (DOGS, CATS)),
        ('This product, a shampoo for dogs, belongs to the class "hair care".', (HAIR,)),
        ('This review is related to "skin care" items.', (SKIN,)),
        ("The most specific categories are dogs, cats and hair care.", (DOGS, CATS, HAIR)),
        ("The classes are:\ndogs\ncats", (DOGS, CATS)),
        ("It is not dogs but cats.", (CATS,)),
        ("This belongs to cats rather than dogs.", (CATS,)),
        ("<think>dogs? It is cats.</think>hair care", (HAIR,)),
        (" \n\tdogs  \n\n  hair \t care\n", (DOGS, HAIR)),
    ],
)
def test_names(text, found):
    assert parse_named(text, NAMES) == Named(found, ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "None",
        "None of these classes fit.",
        "N/A",
        "I'm sorry, but I need the review of the dogs, cats or whatever it is. Please provide it.",
        "Could you please provide the text about dogs?",
        "My dogs love this food and you will love it.",  # the document, not an answer
        "It is not dogs.",
        "This doesn't belong to cats.",
        "<think>dogs",
    ],
)
def test_nothing(text):
    assert parse_named(text, NAMES) == ((), ())


@pytest.mark.parametrize(
    "text, found, unknown",
    [
        ("hamsters", (), ("hamsters",)),
        ('"Hamsters", dogs, hamsters', (DOGS,), ("hamsters",)),
        ("dogs or cats", (), ("dogs or cats",)),  # not decided
        ("dogs and hamsters", (), ("dogs and hamsters",)),  # may be one name
        ("1. dogs\n2. gold fish\n3. Gold Fish", (DOGS,), ("Gold Fish",)),
        ('The product type would be "bird cages".', (), ("bird cages",)),
        ('"cat tower" - cats', (CATS,), ("cat tower",)),
        ("feed", (), ("feed",)),  # only a part of a name
        ("dogs, because the author of the review has got one of them", (DOGS,), ()),
    ],
)
def test_unknown_names(text, found, unknown):
    assert parse_named(text, NAMES) == (found, unknown)


def test_names_that_several_share_are_unknown():
    shared = Spellings({1: ["toys", "dogs > toys"], 2: ["toys", "cats > toys"]})
    assert parse_named("toys", shared) == ((), ("toys",))
    assert parse_named("Cats > Toys", shared) == ((2,), ())
    assert parse_named("dogs > toys, cats > toys", shared) == ((1, 2), ())


def test_and_is_left_out_of_names():
    assert without_and("Toys & Games and Hands") == "Toys Games Hands"
    things = Spellings({1: ["toys games"], 2: ["toys"], 3: ["games"], 4: ["health and beauty", "health beauty"]})
    assert parse_named("The category is Toys and Games.", things).found == (1,)
    assert parse_named("Toys & Games", things).found == (1,)
    assert parse_named("health & beauty", things).found == (4,)
    assert parse_named("toys, games", things).found == (1,)


@pytest.mark.parametrize(
    "part", ["it is a, ", "x" + " " * 9000, "is not, but is ", '"a', "a - ", "\n\n", "type: ", "("]
)
def test_a_model_that_repeats_itself_is_read_in_time(part):
    """Each of these would take minutes where time grows with the square of the length, or worse."""
    assert parse_named(part * max(3, 3000 // len(part)), NAMES).found == ()
