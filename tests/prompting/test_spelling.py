"""Names in any spelling: the nearest one wins, and what several things are called alike means none of them."""

import pytest

from jaxalign.prompting import Spellings, letters

NAMES = Spellings(
    {
        "hair": ["hair care"],
        "toys": ["toys_games", "Toys & Games"],
        "c": ["C"],
        "cpp": ["C++"],
        "cafe": ["café"],
        "ss": ["Straße"],
        "cats": ["Other"],
        "dogs": ["other"],
        "dots": [".."],
    }
)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("hair care", "hair"),
        ("Hair-Care.", "hair"),
        ("haircare", "hair"),
        ('"hair care"', "hair"),
        ("toys games", "toys"),
        ("TOYS & GAMES", "toys"),
        ("c", "c"),
        ("C++", "cpp"),
        ("(C)", None),  # both are spelt like it
        ("cafe", "cafe"),
        ("CAFÉ", "cafe"),
        ("cafe\u0301", "cafe"),
        ("STRASSE", "ss"),
        ("Other", "cats"),
        ("other", "dogs"),
        ("OTHER", None),
        ("..", "dots"),
        ("...", None),
        ("", None),
        ("hair", None),
        ("é", None),
    ],
)
def test_find(name, expected):
    assert NAMES.find(name) == expected


def test_letters():
    assert letters("Women's 2-in-1 (ÉTÉ)_") == "womens2in1été"
    assert letters("& ,") == ""
