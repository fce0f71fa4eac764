import pytest

from jaxalign import ensemble
from jaxalign.data import Question
from jaxalign.ensemble import Explained, FewShot, prompts
from tests.ensemble import fakes

SHOWN = Question("Rain?", ("Yes", "No"), 1, ("It is\n dry.", "unused"))
ASKED = Question("Sun?", ("Yes", "No"), 0)
SHOTS = FewShot((SHOWN,), "Answer.")
START = "Answer.\n\nQuestion: Rain?\nOptions: Yes; No\n"


def test_prompts_by_hand():
    ending = "\n\nQuestion: Sun?\nOptions: Yes; No\n"
    explained_first = f"{START}Explanation: It is dry.\nAnswer: No{ending}"
    answered_first = f"{START}Answer: No\nExplanation: It is dry.{ending}"
    assert ensemble.render_answer(SHOTS, ASKED) == f"{START}Answer: No{ending}Answer:"
    assert ensemble.render_explanation(SHOTS, ASKED) == f"{explained_first}Explanation:"
    assert ensemble.render_explained_answer(SHOTS, ASKED, "Hot.") == f"{explained_first}Explanation: Hot.\nAnswer:"
    assert ensemble.render_first_answer(SHOTS, ASKED) == f"{answered_first}Answer:"
    assert ensemble.render_justification(SHOTS, ASKED, 1) == f"{answered_first}Answer: No\nExplanation:"


def test_answers_by_letter():
    shots = FewShot((SHOWN,), "Answer.", ensemble.BY_LETTER)
    assert ensemble.render_answer(shots, ASKED).endswith("Answer: B\n\nQuestion: Sun?\nA) Yes\nB) No\nAnswer:")
    assert shots.options(ASKED) == (" A", " B")


def test_options_that_begin_with_one_another_are_refused():
    question = Question("Where?", ("bank", "bank account"))
    with pytest.raises(ValueError, match="answer by letter"):
        SHOTS.options(question)
    assert FewShot((), style=ensemble.BY_LETTER).options(question) == (" A", " B")
    with pytest.raises(ValueError, match="at most 26 options, got 27; answer by text"):
        FewShot((), style=ensemble.BY_LETTER).options(Question("q", tuple(f"{n}." for n in range(27))))


def test_demonstrations_need_what_they_show():
    with pytest.raises(ValueError, match="a demonstration needs an answer"):
        ensemble.render_answer(FewShot((Question("q", ("a", "b")),)), ASKED)
    with pytest.raises(ValueError, match="a demonstration needs an explanation"):
        ensemble.render_explanation(FewShot((ASKED,)), SHOWN)


def test_as_many_demonstrations_as_fit():
    shots = FewShot(fakes.DEMONSTRATIONS, "Answer.")

    def words(text):
        return len(text.split())

    # The instruction has 1 word, a demonstration 3 + 4 + 3 + 2, the question 3 + 4 and the last line 1.
    assert words(ensemble.render_explanation(shots, fakes.QUESTIONS[0])) == 1 + 12 * 12 + 8
    fitting = ensemble.fit_demonstrations(shots, fakes.QUESTIONS, count_tokens=words, max_tokens=9 + 5 * 12 + 11)
    assert fitting.demonstrations == fakes.DEMONSTRATIONS[:5]
    with pytest.raises(ValueError, match="expected max_tokens of at least 9,"):
        ensemble.fit_demonstrations(shots, fakes.QUESTIONS, count_tokens=words, max_tokens=8)
    # The longest question is the one with the longest options: 4 words more, for which a demonstration makes room.
    wordy = Question("test?", ("Yes, it is so and so", "No"))
    fitting = ensemble.fit_demonstrations(shots, [*fakes.QUESTIONS, wordy], count_tokens=words, max_tokens=9 + 5 * 12)
    assert fitting.demonstrations == fakes.DEMONSTRATIONS[:4]


@pytest.mark.parametrize(
    "text, expected",
    [
        (" It rains.\nAnswer: No", ("It rains.", 1)),
        (" It rains. So the answer is Yes.", ("It rains.", 0)),
        (" Wet. Therefore, the correct answer must be No, I think.\nAnswer: No.", ("Wet.", 1)),
        (" It rains.\nAnswer: perhaps", ("It rains.", None)),
        (" It rains.", ("It rains.", None)),
        ("Explanation: It rains.\nAnswer: No", ("It rains.", 1)),
        ("Answer: Yes\nExplanation: late", ("", 0)),
        ("", ("", None)),
        (" Yes is short.\nAnswer: No\nAnswer: Yes", ("Yes is short.", 0)),
        (" It rains.\n**Answer**: No", ("It rains.", 1)),
        (" It rains.\n**Answer:** **Yes**", ("It rains.", 0)),
        (" It rains.\nFinal answer: Yes", ("It rains.", 0)),
        ("<think>Dry? Answer: No</think>It rains.\nAnswer: Yes", ("It rains.", 0)),
        ("Dry? Answer: No</think> **Explanation:** It rains.\nAnswer: Yes", ("It rains.", 0)),
        ("<think>It rains.\nAnswer: Yes", ("", None)),
        (" It rains.\nAnswer: Yes or No", ("It rains.", None)),
        (" It rains. The answer is not Yes.", ("It rains.", None)),
        (" It rains.\nAnswer: No\n\nQuestion: Snow?\nExplanation: cold.\nAnswer: Yes", ("It rains.", 1)),
        (" It rains.\nAnswer: No\nWait, wet.\nAnswer: Yes", ("It rains.", 0)),
        (" Her conclusion is No, she says.", ("Her conclusion is No, she says.", None)),
    ],
)
def test_the_answer_is_taken_off_the_explanation(text, expected):
    assert ensemble.parse_explained_answer(text, (" Yes", " No")) == expected


def test_the_answer_may_have_a_decimal_dot():
    text = " Seven halves. So the answer is 3.5. Easy.\nAnswer: 3.5"
    assert ensemble.parse_explained_answer(text, (" 3.5", " 3")) == ("Seven halves. Easy.", 0)


def test_labels_are_masked():
    question = Question("Where?", ("bank", "bank account", "New York"), 1)
    masked = ensemble.mask_labels(Explained(question, "A Bank account, not a bank; bankers of new york know.", 1))
    assert masked == Explained(question, "A ..., not a ...; bankers of ... know.", None)


@pytest.mark.parametrize(
    ("explanation", "expected"),
    [
        ("Option A rains, (B) and C) do not.", "... rains, ... and ... do not."),
        ("A cloud; vitamin C helps; choice B is dry (answer C).", "A cloud; vitamin C helps; ... is dry (...)."),
    ],
)
def test_letters_of_options_are_masked(explanation, expected):
    question = Question("Where?", ("here", "there", "elsewhere"), 1)
    assert ensemble.mask_labels(Explained(question, explanation, 1)).explanation == expected


def test_both_templates_of_the_scorer():
    shots = [ensemble.Shot(Explained(SHOWN, "It is dry.", 1), True), ensemble.Shot(Explained(SHOWN, "Wet.", 0), False)]
    asked = Explained(ASKED, "Hot.", 0)
    helpful = ensemble.render_scorer(asked, shots)
    assert helpful.count("used to help the model answer the question?\nGood explanation:") == 3
    assert "Explanation: It is dry.\nCan" in helpful and "Good explanation: Yes\n\n" in helpful
    assert "Good explanation: No\n\n" in helpful and helpful.endswith("Good explanation:")
    coherent = ensemble.render_scorer(asked, template=ensemble.COHERENT, verbalizer=ensemble.NONSENSE)
    assert "Explanation: Hot.\nPredicted answer: Yes\nIs this explanation coherent" in coherent
    assert "Predicted answer: unknown" in ensemble.render_scorer(
        asked._replace(answer=None), template=ensemble.COHERENT
    )


def test_no_prompt_shows_the_answer_to_the_question():
    for answer in (0, 1):
        question = Question("Sun?", ("Yes", "No"), answer, ("secret",))
        assert ensemble.render_explanation(SHOTS, question) == ensemble.render_explanation(SHOTS, ASKED)
        assert prompts.render_question(question, SHOTS.style) == prompts.render_question(ASKED, SHOTS.style)
