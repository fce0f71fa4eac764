"""A server that reads the prompts of experiments.attrprompt, and writes notes of known words for them."""

import json
import random
import re

from tests.io.llm import chat_server

SUBTOPICS = {
    "pets": ("kitten", "parrot", "beagle"),
    "cars": ("engine", "tyre", "garage"),
    "food": ("soup", "bread", "salt"),
}
STYLES = ("plain", "fancy")
TASK = """
document = "note"
lengths = [6]
room = 4
[classes]
pets = "pets"
cars = "cars"
food = "food"
[[attributes]]
name = "subtopic"
phrase = "subtopic"
kind = "class"
[[attributes]]
name = "style"
phrase = "writing style"
kind = "shared"
"""
BROKEN = "turned down"


def write_files(folder, count=24):
    """A task, and real notes about all subtopics."""
    (folder / "task.toml").write_text(TASK)
    rows = [
        {"text": note_about(label, value, f"real {n}"), "label": label}
        for n in range(count)
        for label, value in pairs()
    ]
    (folder / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "prices.toml").write_text('["m"]\nprompt = 1.0\ncompletion = 10.0\n')


def pairs():
    return [(label, value) for label, values in SUBTOPICS.items() for value in values]


def note_about(label, value, seed):
    rng = random.Random(f"{label} {value} {seed}")
    return " ".join([value, *rng.choices("the a of and with by on in".split(), k=5), str(rng.randrange(10**6))])


class Writer:
    """Answers prompts; those that hold ``broken`` with status 400, and documents after so many with an empty text."""

    def __init__(self):
        self.broken = None

    def __call__(self, handler, body):
        prompt = body["messages"][-1]["content"]
        if self.broken is not None and self.broken(prompt):
            return handler.answer(400, json.dumps({"error": {"message": BROKEN}}))
        text = answer(prompt, body.get("seed"))
        choice = {"message": {"content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())}
        return handler.answer(200, json.dumps(chat_server.completion(body, choices=[choice], usage=usage)))


def answer(prompt, seed):
    quoted = re.findall(r'"([^"\n]+)"', prompt)
    if prompt.startswith("A collection of texts"):
        return listed(["Subtopic", "Length", "Writing style"])
    if prompt.startswith("Which "):
        return listed([label for label in SUBTOPICS if label != quoted[0]])
    if prompt.startswith("Name "):
        return listed(SUBTOPICS.get(quoted[1], STYLES))
    if prompt.startswith("Classes of texts"):
        return "No."
    asked = re.search(r"The subtopic is: (.+)$", prompt, re.MULTILINE)
    return note_about(quoted[0], asked[1] if asked else SUBTOPICS[quoted[0]][0], seed)


def listed(items):
    return "Here you go:\n" + "\n".join(f"- {item}" for item in items)
