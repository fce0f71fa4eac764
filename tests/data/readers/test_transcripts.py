"""Transcripts of HH-RLHF: what is read, and what is refused."""

import pytest

from jaxalign import data

H, A = "\n\nHuman: ", "\n\nAssistant: "
SHARED = f"{H}Who was Curie?{A}A physicist.{H}And a chemist?"


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


CHAT = (user("Who was Curie?"), assistant("A physicist."), user("And a chemist?"))


def read(chosen, rejected=f"{SHARED}{A}No.", **columns):
    row = {"chosen": chosen, "rejected": rejected, "name": 7}
    return data.read_rows([row], data.TranscriptColumns(**columns)).records[0]


def test_what_both_share_is_the_prompt():
    expected = data.PreferenceRecord.from_pair(CHAT, "Both.", "No.", id="7")
    assert read(f"{SHARED}{A}Both.", id="name") == expected


GOOD = {
    "one turn": (f"{H}Hi{A}Hello", f"{H}Hi{A}Go away", (user("Hi"),), "Hello"),
    "no blank lines before": (f"Human: Hi{A}Hello", f"{H}Hi{A}Go away", (user("Hi"),), "Hello"),
    "no blank after the name": ("\n\nHuman:Hi\n\nAssistant:Hello", f"{H}Hi{A}Go away", (user("Hi"),), "Hello"),
    "blanks at the end": (f"{H}Hi \n{A} Hello\n\n", f"{H}Hi{A}Go away", (user("Hi"),), "Hello"),
    "paragraphs": (f"{H}Hi\n\nthere{A}Hello\n\nyou", f"{H}Hi\n\nthere{A}Go", (user("Hi\n\nthere"),), "Hello\n\nyou"),
    "the words as words": (
        f"{H}Is a Human an Assistant?{A}Human or not: yes",
        f"{H}Is a Human an Assistant?{A}No",
        (user("Is a Human an Assistant?"),),
        "Human or not: yes",
    ),
}


@pytest.mark.parametrize("kind", GOOD)
def test_forms_that_are_read(kind):
    chosen, rejected, prompt, best = GOOD[kind]
    record = read(chosen, rejected)
    assert record.prompt == prompt and record.best().responses == (best,)


BAD = {
    "no human": (f"{A}Hello", "chosen: expected a transcript that begins with 'Human:'"),
    "no speaker": ("Hello", "chosen: expected a transcript that begins with 'Human:', got 'Hello'"),
    "text before": (f"Note.{SHARED}{A}Both.", "chosen: expected a transcript that begins with 'Human:', got 'Note."),
    "another role first": (f"\n\nSystem: Be kind.{SHARED}{A}Both.", "chosen: expected a transcript that begins with"),
    "another role later": (f"{SHARED}\n\nSystem: Be kind.{A}Both.", "turn 3 of 4 has 'System:' within its text"),
    "a human twice": (f"{H}Hi{H}Ho{A}Both.", "chosen: expected Human and Assistant in turns, and turn 2 is Human's ag"),
    "an assistant twice": (f"{SHARED}{A}a{A}b", "in turns, and turn 5 is Assistant's again"),
    "a human last": (SHARED, "chosen: expected a transcript that ends with an answer, and its last turn is a human's"),
    "an empty answer": (f"{SHARED}{A}", "chosen: turn 4 of 4, Assistant's, is empty"),
    "an empty turn": (f"{H} {A}a{H}b{A}Both.", "chosen: turn 1 of 4, Human's, is empty"),
    "a name within": (f"{SHARED}{A}She said Human: no.", "turn 4 of 4 has 'Human:' within its text"),
    "a name on a line": (f"{SHARED}{A}Yes.\nAssistant: no.", "turn 4 of 4 has 'Assistant:' within its text"),
    "another turn": (f"{H}Who was Curie?{A}Nobody.{H}And a chemist?{A}Both.", "and they differ in turn 2"),
    "more turns": (f"{SHARED}{A}Both.{H}Why?{A}So.", "and they differ in length, 6 and 4 turns"),
    "not a text": ([user("Hi")], "chosen: expected a transcript, which is a text, got"),
    "nothing": (None, "chosen: the row has no value here"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_refused(kind):
    chosen, words = BAD[kind]
    with pytest.raises(ValueError, match="row 1: ") as caught:
        read(chosen)
    assert words in str(caught.value)


def test_refused_rows_can_be_skipped_and_are_counted():
    rows = [{"chosen": BAD[kind][0], "rejected": f"{SHARED}{A}No."} for kind in BAD]
    rows.insert(3, {"chosen": f"{SHARED}{A}Both.", "rejected": f"{SHARED}{A}No."})
    records, report = data.read_rows(rows, data.TranscriptColumns(), skip_bad_rows=True)
    assert len(records) == 1 and (report.rows, report.skipped) == (len(rows), len(BAD))


def test_a_rejected_side_is_judged_by_the_same_rules():
    with pytest.raises(ValueError, match="rejected: turn 4 of 4, Assistant's, is empty"):
        read(f"{SHARED}{A}Both.", f"{SHARED}{A}")


def test_a_prompt_of_its_own():
    row = {"prompt": f"{SHARED}\n\nAssistant:", "chosen": "Both. ", "rejected": "No."}
    columns = data.TranscriptColumns(prompt="prompt")
    expected = data.PreferenceRecord.from_pair(CHAT, "Both.", "No.")
    assert data.read_rows([row], columns).records == [expected]
    for change, words in [
        ({"prompt": SHARED}, "prompt: expected a transcript that ends with 'Assistant:'"),
        ({"prompt": f"{H}a{A}b\n\nAssistant:"}, "prompt: expected Human and Assistant in turns, and the last two"),
        ({"prompt": "\n\nAssistant:"}, "prompt: expected a transcript that begins with 'Human:'"),
        ({"chosen": " "}, "chosen: the answer is empty"),
        ({"rejected": f"No.{H}Why?"}, "rejected has 'Human:' within its text"),
    ]:
        with pytest.raises(ValueError, match="row 1: ") as caught:
            data.read_rows([row | change], columns)
        assert words in str(caught.value)


def test_real_transcripts(shared_data):
    """Its README tells of 4 rows in both files with an empty chosen text, and of 32 with a name inside a response."""
    columns = data.TranscriptColumns(prompt="prompt", id="id")
    path = shared_data / "hh_harmless" / "validation.parquet"
    separate = data.read_parquet(path, columns, skip_bad_rows=True)
    assert separate.report.rows == 559 and len(separate.records) + separate.report.skipped == 559
    rows = [
        {name: row["prompt"] + " " + row[name] for name in ("chosen", "rejected")} | {"id": row["id"]}
        for row in rows_of(path)
    ]
    whole = data.read_rows(rows, data.TranscriptColumns(id="id"), skip_bad_rows=True)
    assert whole.records == separate.records and whole.report.skipped == separate.report.skipped < 60


def rows_of(path):
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path).to_pylist()
