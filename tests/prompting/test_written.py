"""What models write: lists keep their digits, and refusals go by their form."""

import pytest

from jaxalign.prompting import is_refusal, parse_document, parse_values

VALUES = ("3D printing", "2K Games", '"1984" by George Orwell', "100", "Drama: a 2 hour fight")


@pytest.mark.parametrize(
    "form",
    [
        "Sure! Here are five values:\n\n1. {}\n2. {}\n3. {}\n4. {}\n5. {}\n\nLet me know if you need more.",
        "- {}\n- {}\n- {}\n- {}\n- {}",
        "1) **{}**\n2) **{}**\n3) {}\n4) __{}__\n5) {}",
        "As an AI language model, I have no favourites. However, the following are five:\n* {}\n* {}\n* {}\n* {}\n* {}",
        '1. "{}"\n2. “{}”\n3. {}\n4. "{}"\n5. \'{}\'',
        "<think>1. 7up</think>1. {}\n2. {}\n3. {}\n4. {}\n5. {}",
    ],
)
def test_values_keep_their_digits_and_the_preamble_is_none(form):
    assert parse_values(form.format(*VALUES)) == VALUES


def test_values_are_distinct_and_no_list_has_none():
    assert parse_values("1. Chess\n2. chess\n3. **CHESS**\n4. go") == ("Chess", "go")
    assert parse_values('"3D printing", "2K Games"') == ("3D printing", "2K Games")
    assert parse_values("I like chess.") == parse_values("I'm sorry, but I can't.") == ()


REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, I cannot assist with this request.",
    "Sorry, but I cannot write this review. Is there anything else I can do for you?",
    "I apologize, but I cannot fulfill this request. It would be inappropriate.",
    "As an AI language model, I cannot generate content that promotes hate.",
    "As an AI language model, I don't have personal experiences. Please provide more details.",
    "Unfortunately, I am unable to provide a news article on this topic. However, I can suggest another one.",
    "I cannot create this content.",
    "I'm not able to help with that.",
    "I must decline to write this text.",
    "Sorry, I can't do that.",
    "I cannot generate fake reviews. It is against my guidelines. Instead, I can help you with something else.",
    "\"I'm sorry, but I can't help with that.\"",
]
DOCUMENTS = [
    "Sorry, but this film is dull.",
    "I'm sorry, but I cannot recommend this film. The plot is thin.",
    "I'm sorry to say it, but I can't help but feel cheated by the last act.",
    "I can't help but love it.",
    "The minister said he was sorry and that he cannot help with this.",
    "I cannot write enough about how good she is.",
    "I could not put it down. I'm sorry it is over.",
    "'I'm sorry, I can't help you,' the clerk told her. The strike had begun that morning.",
    "Unfortunately, I can't give it more than two stars.",
    "I apologize for the delay; the parcel arrived late and broken.",
    "As an AI language model was shown in Paris, shares of its maker rose by 4 percent.",
    "I can't do this film justice.",
    "I can't help that it made me cry.",
    "I won't continue this series.",
    "I cannot write this one off as a failure.",
    "I cannot help you understand how bad the acting is. The camera shakes for two hours.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals(text):
    assert is_refusal(text) and parse_document(text) == (None, "refused", "")


@pytest.mark.parametrize("text", DOCUMENTS)
def test_documents_with_words_of_refusals(text):
    assert not is_refusal(text) and parse_document(text).text == text


@pytest.mark.parametrize(
    "text, expected",
    [
        ("A goal.", ("A goal.", "", "")),
        (
            "Sure! Here is a news article:\n\nA goal.\n\nA second one.",
            ("A goal.\n\nA second one.", "", "Sure! Here is a news article:"),
        ),
        ("Here's one:\nA goal.", ("A goal.", "", "Here's one:")),
        ('Certainly!\n\n"A goal."', ("A goal.", "", "Certainly!")),
        ('"Gone" is a hit, "Sand" is none.', ('"Gone" is a hit, "Sand" is none.', "", "")),
        ("Breaking news:\nA goal.", ("Breaking news:\nA goal.", "", "")),
        ("Here is what matters: a goal.", ("Here is what matters: a goal.", "", "")),
        ("Here is a news article:", (None, "empty", "Here is a news article:")),
        (" \n", (None, "empty", "")),
        ("<think>Well,", (None, "unfinished thinking", "")),
        ("<think>Well,</think>A goal.", ("A goal.", "", "")),
    ],
)
def test_documents(text, expected):
    assert parse_document(text) == expected
