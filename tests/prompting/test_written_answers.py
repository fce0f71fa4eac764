"""Written-out answers with what a person reads in them: none is read as another one, and the clear ones are read."""

import pytest

from jaxalign import prompting

LETTERS = (" A", " B", " C", " D")
CLEAR_LETTERS = [
    ("A", 0),
    (" (b)", 1),
    ("C.", 2),
    ("d", 3),
    ("**B**", 1),
    ("Option (b)", 1),
    ("option C", 2),
    ("Answer: A", 0),
    ("**Answer**: D", 3),
    ("[[A]]", 0),
    ("\\boxed{B}", 1),
    ("$\\boxed{\\mathrm{C}}$", 2),
    ("B) Paris", 1),
    ("(C) a river", 2),
    ("D: none of these", 3),
    ("b because it is longer", 1),
    ("The answer is C, since A is false.", 2),
    ("The correct option is (D).", 3),
    ("A is correct.", 0),
    ("B is right because water is wet", 1),
    ("‘C’", 2),
    ("A. Wait, no, B.", 1),
    ("Answer: A\nCorrection: C", 2),
    ('{"answer": "B"}', 1),
    ("<think>It may be A.</think>B", 1),
    ("First choice: A? No.\nFinal answer: C", 2),
]
DOUBTFUL_LETTERS = [
    "A and B are equally good",
    "A is worse",
    "A's answer is a concise",
    "B is not better than A",
    "A or C",
    "A, B",
    "A, B and C",
    "A/D",
    "Both A and B",
    "neither A nor B",
    "not A",
    "a tie",
    "a river",
    "A river",
    "A?",
    "All of them",
    "B, unless it rains",
    "A but also B",
    "B vs. C",
    "(A) and (B)",
    "(A) is wrong",
    "B isn't right",
    "Aspects differ",
    "E",
    "I think",
    "<think>B",
    "A. Hmm, let me think",
    "A) Paris\nB) Rome\nC) Oslo\nD) Bern",
    "(A) Paris (B) Rome",
    "A: concise. B: long-winded.",
    "A: 7\nB: 9",
    "A\nB",
    "A (tie)",
    "A, I guess, or B",
    "a concise answer",
    "Any of A to D",
    "A-level",
    "A.D. 1066",
    "C++",
    "D'accord",
    "answer A or B",
    "The answer is A\nThe answer is B or C",
    "",
]

TEXTS = (" Yes", " Maybe", " No", " bank", " bank account", " 3", " 3.5", " New York")
CLEAR_TEXTS = [
    ("Yes", 0),
    ("no.", 2),
    ("No, there is no doubt.", 2),
    ("“Maybe”", 1),
    ("Yes, because no rain falls", 0),
    ("bank account.", 4),
    ("bank.", 3),
    ("3.5", 6),
    ("3.", 5),
    ("New  York!", 7),
    ("The answer is New York.", 7),
    ("It is wet. Answer: **no**", 2),
    ("Answer: Yes\nAnswer: No", 2),
    ("<think>Yes? Yes.</think> Maybe", 1),
    ("Yes. No, wait: Maybe.", 1),
    ("The answer must be 3.5, not 3.", 6),
]
DOUBTFUL_TEXTS = [
    "Yes and no",
    "yes or no",
    "No doubt, yes",
    "No one knows",
    "No idea",
    "Yes?",
    "Yes. No.",
    "Maybe not",
    "Not Yes",
    "bankers",
    "bank robbery",
    "3,000",
    "3-5",
    "3.25",
    "35",
    "New Yorkers",
    "Yes, or maybe",
    "Yes, unless it rains",
    "yes/no",
    "The answer is not Yes.",
    "I don't think the answer is yes.",
    "York",
    "no wonder",
    "No, yes",
    "Maybe yes",
    "Yes!? No.",
    "The answer could be yes",
    "Is it yes",
    "It is not the case that the answer is yes",
    "3 or 3.5",
    "3 bank accounts",
    "<think>Yes",
]


def read_letter(text):
    return prompting.parse_option(text, LETTERS)


def read_text(text):
    return prompting.parse_option(text, TEXTS)


NUMBERS = (" 1", " 2")
CLEAR_NUMBERS = [
    ("1", 0),
    ("2.", 1),
    ("Comparison 2", 1),
    ("2 is better", 1),
    ("(1) because it is true", 0),
    ("[2]", 1),
]
DOUBTFUL_NUMBERS = [
    "1 and 2", "1/2", "1 of 2", "2 points", "1st", "12", "1.5", "1. Comparison 2 is better", "1, 2", "not 1", "1 vs 2",
    "3", "2 over 1?",
]  # fmt: skip


def read_number(text):
    return prompting.parse_option(text, NUMBERS)


TABLES = [
    (read_number, CLEAR_NUMBERS, DOUBTFUL_NUMBERS),
    (read_letter, CLEAR_LETTERS, DOUBTFUL_LETTERS),
    (read_text, CLEAR_TEXTS, DOUBTFUL_TEXTS),
]
CLEAR = [(read, text, person) for read, clear, _ in TABLES for text, person in clear]
DOUBTFUL = [(read, text) for read, _, doubtful in TABLES for text in doubtful]


@pytest.mark.parametrize("read, text, person", CLEAR)
def test_what_is_clear_is_read_as_a_person_reads_it(read, text, person):
    assert read(text) == person


@pytest.mark.parametrize("read, text", DOUBTFUL)
def test_what_is_in_doubt_is_no_vote(read, text):
    assert read(text) is None


def test_the_tables_are_long_enough():
    assert len(CLEAR) > 40 and len(DOUBTFUL) > 80
