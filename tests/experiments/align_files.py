"""Preference files of every layout, with the same contents, and a tiny chat model to align on them."""

import csv
import json

import pyarrow
import pyarrow.parquet

from tests.io.serve.engine import tiny_chat

QUESTIONS = [f"{word} {number}" for number in range(12) for word in ("over", "there")]
GOOD, BAD = "the water", "end"
SYSTEM = {"role": "system", "content": "the world"}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def answers(question):
    """A better and a worse one, of several lengths."""
    return f"{GOOD} {question}", f"{BAD}{question[-1]}"


def pairs():
    for question in QUESTIONS:
        yield (question, *answers(question))


def conversational():
    for question, good, bad in pairs():
        yield {"prompt": [user(question)], "chosen": [assistant(good)], "rejected": [assistant(bad)]}


def implicit():
    for question, good, bad in pairs():
        begin = [SYSTEM, user(question)]
        yield {"chosen": [*begin, assistant(good)], "rejected": [*begin, assistant(bad)]}


def unpaired():
    for number, (question, good, bad) in enumerate(pairs()):
        is_good = number % 2 == 0
        yield {"prompt": [user(question)], "completion": [assistant(good if is_good else bad)], "label": is_good}


def lists(column, values):
    for question, good, bad in pairs():
        yield {"prompt": [user(question)], "responses": [bad, good, "there"], column: values}


def scored():
    for question, good, bad in pairs():
        completions = [{"response": bad, "overall_score": 2.0}, {"response": good, "overall_score": 9.0}]
        yield {"instruction": question, "completions": completions}


def transcripts():
    for question, good, bad in pairs():
        begin = f"\n\nHuman: {question}\n\nAssistant:"
        yield {"chosen": f"{begin} {good}", "rejected": f"{begin} {bad}"}


def demonstrations():
    for question, good, _ in pairs():
        yield {"messages": [user("the end"), assistant("there"), user(question), assistant(good)]}


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path, rows):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    return path


def write_csv(path):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("question", "chosen", "rejected"), *pairs()])
    return path


def write_all(folder):
    """Eight files by the name of their layout."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "pairs": write_csv(folder / "pairs.csv"),
        "conversational pairs": write_jsonl(folder / "conversational.jsonl", conversational()),
        "implicit-prompt pairs": write_parquet(folder / "implicit.parquet", implicit()),
        "unpaired": write_jsonl(folder / "unpaired.jsonl", unpaired()),
        "labelled lists": write_jsonl(folder / "labels.jsonl", lists("labels", [0.1, 0.9, 0.3])),
        "ranked lists": write_jsonl(folder / "ranks.jsonl", lists("ranks", [3, 1, 2])),
        "scored lists": write_parquet(folder / "scored.parquet", scored()),
        "transcripts": write_jsonl(folder / "transcripts.jsonl", transcripts()),
        "conversations": write_jsonl(folder / "conversations.jsonl", demonstrations()),
    }


def save_model(folder):
    tiny_chat.save(folder)
    return str(folder)
