"""Written-out answers with what a person reads in them: none is read as another one, and the clear ones are read."""

import re

import pytest

from jaxalign import data
from jaxalign.prompting import parse_verdict

A, B, TIE, NONE = 1.0, 0.0, 0.5, None

# What a person reads of a judge that was asked for "Answer: A", "Answer: B" or "Answer: tie".
CLEAR_VERDICTS = [
    ("Answer: A", A),
    ("Answer: B", B),
    ("Answer: tie", TIE),
    ("Both have merits.\nAnswer: B.", B),
    ("**Answer**: B", B),
    ("**Answer: A**", A),
    ("Answer: **(B)**", B),
    ("### Answer\nB", B),
    ("Final Answer: A", A),
    ("final verdict: b", B),
    ("Answer:\n\nB", B),
    ("Answer : A", A),
    ("Answer：Ｂ", B),
    ("Answer: “A”", A),
    ("Answer: ‘B’.", B),
    ("My answer: `B`", B),
    ("[[A]]", A),
    ("Both are fine, but B is more precise. [[B]]", B),
    ("My verdict is [[B]].", B),
    ("\\boxed{A}", A),
    ("The final answer is $\\boxed{\\text{B}}$.", B),
    ("<answer>B</answer>", B),
    ("<verdict> A </verdict>", A),
    ('{"answer": "A"}', A),
    ('{"winner": "B", "reason": "A is longer, and the answer is not A"}', B),
    ('```json\n{"reason": "B is wrong.", "verdict": "A"}\n```', A),
    ('Here it is:\n{"verdict": "tie"}', TIE),
    ("The answer is a tie.", TIE),
    ("The answer is A.", A),
    ("The answer is: Response B.", B),
    ("So the correct answer is (a).", A),
    ("The winner is B.", B),
    ("The better response is A.", A),
    ("Better response: Assistant B", B),
    ("Verdict: Option A", A),
    ("Answer: A and B are equally good", TIE),
    ("Answer: both are equally good", TIE),
    ("Answer: it is a tie between A and B.", TIE),
    ("Answer: a draw", TIE),
    ("Answer: neither", TIE),
    ("Answer: A>B", A),
    ("[[B>>A]]", B),
    ("[[A=B]]", TIE),
    ("Answer: A is better than B", A),
    ("Answer: B is the better response because A ignores the question.", B),
    ("Answer: A, because it is shorter.", A),
    ("Answer: A (more precise)", A),
    ("Answer: B - it follows the instruction.", B),
    ("Answer: B over A", B),
    ("Answer: A, not B", A),
    ("Answer: the first response", A),
    ("Answer: The second one.", B),
    ("Answer: A\nB is longer, but says less.", A),
    ("Answer: A\n\nExplanation: B misses the point.", A),
    ("Answer: A\nOn reflection:\nAnswer: B", B),
    ("Answer: A. Wait, no. Answer: B", B),
    ("Answer: A. Actually, B.", B),
    ("Answer: A? No. Answer: **B**.", B),
    ("At first I thought the answer is A. Answer: B", B),
    ("A's answer is a concise summary. B's answer is long. Answer: A", A),
    ("Overall, B is better than A.", B),
    ("A rhymes. I prefer A over B.", A),
    ("A and B are equally good.", TIE),
    ("It is a tie.", TIE),
    ("In conclusion, Response A is clearly the better one.", A),
    ("Answer: A\nFinal: B", B),
    ("Answer: A. Scratch that: tie.", TIE),
    ("Answer: A. Sorry, I meant B.", B),
    ("Answer: A -- no, B is better", B),
    ("Answer: A\nActually, let me reconsider. B is better. Answer: B", B),
    ("Answer: I think A is better", A),
    ("Answer: definitely B!", B),
    ("Answer: model_b", B),
    ("Answer is A", A),
    ("Winner: Response B (by a small margin)", B),
    ("Preference: B < A", A),
    ("Neither response is better.", TIE),
    ("Answer: no clear winner", TIE),
    ("I'd go with B.", B),
    ("Answer: I prefer B", B),
    ("{'answer': 'A'}", A),
    ('{"reason": "the answer is B if short", "answer": "A"', A),
    ("<think>A? The answer is A. Hmm.</think>\n\nAnswer: B", B),
    ("A seems fine, answer: A?</think>Answer: B", B),
    ("<thinking>Answer: B</thinking>Answer: tie", TIE),
    ("[THINK]B it is.[/THINK]Answer: A", A),
    ("<|channel|>analysis<|message|>Answer: A?<|end|><|start|>assistant<|channel|>final<|message|>Answer: B", B),
    ("analysisThe user wants a verdict. Answer: A?assistantfinalAnswer: B", B),
    ("◁think▷Answer: A◁/think▷Answer: B", B),
    ("<|begin_of_thought|>Answer: A<|end_of_thought|><|begin_of_solution|>Answer: B<|end_of_solution|>", B),
]

# In these a person reads no vote, or one that is in doubt.
DOUBTFUL_VERDICTS = [
    "A's answer is a concise",
    "A's answer is a concise summary of what the user",
    "A is worse",
    "Answer: A is worse",
    "Answer: A is worse than B",
    "B is not better than A",
    "Answer: B is not better than A.",
    "The answer is not A",
    "The answer is not B.",
    "Answer: not A",
    "I don't think the answer is A.",
    "I doubt that the answer is B",
    "It is unclear whether the answer is A",
    "Answer: A or B",
    "Answer: A/B",
    "Answer: A, B",
    "Answer: A and B",
    "Answer: A?",
    "Is the answer A?",
    "Answer: A if the user wants brevity, otherwise B",
    "Answer: A, unless length matters",
    "Answer: Apples",
    "Answer: A.I. helps here",
    "Answer: A-level work",
    "Answer: A concise text wins",
    "Answer: a concise one",
    "Answer: A good question",
    "Answer: almost a tie",
    "Answer: not a tie",
    "Answer: a tie goes to A",
    "Answer: tie-breaker needed",
    "The answer is a",
    "The answer is a close call, but",
    "Answer:",
    "Answer: I cannot say",
    "Answer: C",
    "[[C]]",
    "The judge writes [[A]], [[B]] or [[C]]",
    'I will end with "Answer: A", "Answer: B" or "Answer: tie".',
    "Answer: A, but B is better overall",
    "Answer: A\nThough I would go with B.",
    "Answer: A\nOn second thought, both have the same flaws",
    "Answer: A. B.",
    "Answer: A (or B)",
    "Answer: A 60 %, B 40 %",
    "Answer: B > C",
    "Answer: ~~A~~ B",
    "Answer: vitamin A",
    "Answer: First, consider the tone",
    "A is better in tone. B is better in facts.",
    "A is better. B is better.",
    "If brevity matters, the answer is A.",
    "I would answer A",
    "Is A better?",
    "A is not better.",
    "Neither was what I would",
    '{"A": 7, "B": 9}',
    '{"answer": null}',
    '{"answer": "A", "winner": "B"}',
    '{"answer": "A or B"}',
    "<think>The answer is A",
    "<think>A</think><think>Answer: A",
    "<thinking>\nAnswer: B",
    "[THINK]Answer: A",
    "<|channel|>analysis<|message|>The answer is A",
    "analysisThe answer is A. Answer: A",
    "<unused94>thought\nAnswer: B",
    "The answer is not A but B.",
    "A is no better than B.",
    "A loses to B.",
    "Loser: A",
    "Worse answer: B",
    "The worse answer is A.",
    "The wrong answer is B",
    "Answer: anything but A",
    "Answer: definitely not A",
    "Answer: A is incorrect",
    "Answer: A, B is incorrect",
    "Answer: A > B > C",
    "Answer: Both are bad, but A is less bad.",
    "Answer: A (tie)",
    "Answer: A...",
    "Answer: A; B",
    "Answer: A B",
    "Answer: AB",
    "Answer: A-",
    "Answer: The first response is worse",
    "Answer A: good. Answer B: bad.",
    "Answer A: 8/10\nAnswer B: 6/10",
    "Student answer: A",
    "A's answer: B",
    "The reference answer is B.",
    "Their answer is B.",
    "Which answer is better: A or B?",
    "[[A]] or [[B]]",
    "[[A]] [[B]]",
    "\\boxed{A, B}",
    "\\boxed{}",
    "<answer>A or B</answer>",
    "<answer>A</answer> <answer>B</answer>",
    '{"answer": "B is worse"}',
    '{"answer": ["A"]}',
    "I would not choose A.",
    "Answer: A as good as B",
    "Answer: A is as good as B",
    "Answer: A for tone, B for facts",
    "Answer: A for tone. B for facts.",
    "Answer: A given brevity; B otherwise",
    "Answer: A. B if length matters.",
    "Answer: A is better than B in tone but B is better overall",
    "Answer: A is better than B, though I would still choose B",
    "Answer: tie, leaning A",
    "Answer: neither, but A is slightly better",
    "Answer: both, A more so",
    "Answer: As good as B",
    "The answer would be A if it were shorter.",
    "When in doubt the answer is A",
    "Answer: \u0410",  # a Cyrillic letter
    "A: concise. B: long-winded.",
    "",
    "...",
    "As a language model I take no sides.",
]

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
    return data.parse_option(text, LETTERS)


def read_text(text):
    return data.parse_option(text, TEXTS)


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
    return data.parse_option(text, NUMBERS)


TABLES = [
    (read_number, CLEAR_NUMBERS, DOUBTFUL_NUMBERS),
    (parse_verdict, CLEAR_VERDICTS, DOUBTFUL_VERDICTS),
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


def exchanged(text):
    """The same said of A as of B, and of the first as of the second."""
    names = {"A": "B", "B": "A", "a": "b", "b": "a", "first": "second", "second": "first"}
    letters = re.sub(r"(?<![^\W_])([AB])(?!\w)|(?<=_)([ab])\b|(?<=\()([ab])(?=\))", lambda m: names[m[0]], text)
    ordinals = re.sub(r"\b(first|second)(?= response| one)", lambda m: names[m[0]], letters)
    return ordinals.translate(str.maketrans({"\uff22": "\uff21"}))  # of full width


@pytest.mark.parametrize("text, person", [*CLEAR_VERDICTS, *((text, NONE) for text in DOUBTFUL_VERDICTS)])
def test_both_letters_are_read_alike(text, person):
    """A is an article as well, and B is none: where a person reads either, the exchanged text is read the other way."""
    if text != "final verdict: b":
        assert parse_verdict(exchanged(text)) == (None if person is None else 1 - person)


def test_the_tables_are_long_enough():
    assert len(CLEAR) > 100 and len(DOUBTFUL) > 100
