"""The data sets of the paper, as far as attribute values alone do not say it.

Which attributes a data set has, which of them are filtered and whether prompts name similar classes is the paper's; the
words that prompts use for classes and attributes are ours. Tasks are made of it in
:mod:`experiments.attrprompt.dataset_tasks`.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

PER_CLASS = 500  # documents of a class, where the paper does not have fewer


class Chosen(NamedTuple):
    """An attribute of a file that a task has."""

    source: str  # its name in the file
    phrase: str  # what prompts call it
    name: str = ""  # its key in the task; "" for that of the file
    filtered: bool = True  # whether values that fit similar classes are taken out


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What the values alone do not say of a data set."""

    document: str
    attributes: tuple[Chosen, ...]
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)  # of labels that need more than blanks for "_"
    similar: bool = True  # prompts name the classes that are similar to a document's
    labels_from: str = ""  # the attribute whose values give several labels
    per_class: int = PER_CLASS


_STYLE = Chosen("style", "writing style")
_LOCATION = Chosen("location", "location")

DATASETS: Mapping[str, Dataset] = {
    "agnews": Dataset(
        "news article",
        (Chosen("subtopics", "subtopic"), _LOCATION, _STYLE),
        {"World": "world news", "Sports": "sports", "Business": "business", "Sci_Tech": "science and technology"},
        similar=False,
    ),
    "sst-2": Dataset(
        "movie review", (Chosen("subtopics", "subtopic"), Chosen("genre", "movie genre"), _STYLE), similar=False
    ),
    "yelp": Dataset(
        "restaurant review", (Chosen("subtopics", "subtopic"), Chosen("cuisine", "cuisine"), _STYLE), similar=False
    ),
    "nyt": Dataset(
        "news article",
        (Chosen("subtopics_filter", "subtopic", "subtopics"), _LOCATION, _STYLE),
        {"the_affordable_care_act": "the Affordable Care Act", "tv_show": "TV shows"},
        per_class=346,
    ),
    "amazon": Dataset(
        "product review",
        (
            Chosen("product_name", "product", "products"),
            Chosen("brands", "brand", filtered=False),
            Chosen("experience", "user experience"),
            _STYLE,
        ),
        {
            "camera_photo": "cameras and photo",
            "cell_phones_service": "cell phones and service",
            "computer_video_games": "computer and video games",
            "grocery_and_gourmet_food": "groceries and gourmet food",
            "tools_hardware": "tools and hardware",
            "music_album": "music albums",
            "toys_games": "toys and games",
            "sports_outdoors": "sports and outdoors",
            "musical_and_instruments": "musical instruments",
        },
    ),
    "reddit": Dataset(
        "post in an online community",
        (Chosen("experience", "experience", "experiences"), Chosen("resource", "resource", "resources"), _STYLE),
        {
            "fortnite_br": "Fortnite Battle Royale",
            "puppy101": "puppies",
            "samsung": "Samsung",
            "personal_finance_canada": "personal finance in Canada",
            "pokemongo_friends": "Pokemon Go friends",
            "nomans_sky_the_game": "No Man's Sky",
            "covid19_positive": "positive for COVID-19",
            "elite_dangerous": "Elite Dangerous",
            "the_division": "The Division",
            "ask_an_american": "questions to Americans",
            "ask_culinary": "culinary questions",
            "virtual_youtubers": "virtual YouTubers",
            "adhd": "ADHD",
            "buddy_crossing": "Animal Crossing friends",
            "amc_stock": "AMC stock",
            "minecraft_server": "Minecraft servers",
            "summon_sign": "summoning help in Souls games",
            "hoi4": "Hearts of Iron IV",
            "nba2k": "NBA 2K",
            "roblox": "Roblox",
            "mechmarket": "market of mechanical keyboards",
            "pittsburgh": "Pittsburgh",
            "techsupport": "tech support",
            "whats_that_book": "what's that book",
            "astrogaming": "Astro gaming headsets",
        },
    ),
    "stackexchange": Dataset(
        "question in an online forum",
        (Chosen("scenario", "scenario", "scenarios"), Chosen("depth", "technical depth"), _STYLE),
    ),
    # Several labels a document, and nothing is filtered.
    "arxiv": Dataset(
        "abstract of a scientific paper",
        (
            Chosen("subtopics", "subtopic", filtered=False),
            Chosen("technique", "technique", "techniques", filtered=False),
            _STYLE,
        ),
        labels_from="subtopics",
    ),
}
