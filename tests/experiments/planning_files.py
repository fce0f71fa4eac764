"""Articles for experiments.planning, a server that writes steps of them, and a small model that judges."""

import json
import re

import jax

from experiments.common import sequences, stages
from jaxalign.io import hf
from tests.io.llm import chat_server

ANIMALS = "otter heron lynx raven badger beaver falcon weasel marten osprey".split()


def article(animal):
    return f"# Life\nThe {animal} lives near water. It eats fish.\n\n# Work\nThe {animal} builds nests in spring."


def write_articles(path, *, steps):
    """One article a line, with its own steps or without."""
    rows = [{"title": animal, "text": article(animal), "more": 1} for animal in ANIMALS]
    if steps:
        for row, animal in zip(rows, ANIMALS, strict=True):
            facts = [f"The {animal} lives near water.", f"The {animal} builds nests in spring."]
            row |= {"summary": f"The {animal} fishes.", "outline": ["Life", "Work"], "key_information": facts}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def chat(body):
    """What a teacher says: a refusal to every fourth candidate, and to all on the heron."""
    prompt = body["messages"][-1]["content"]
    animal = re.findall(r"The (\w+) lives", prompt)[-1]
    texts = {
        "Summary": f"The {animal} lives near water, eats fish and builds nests.",
        "Outline": "# Life\n# Work",
        "Key information": f"- The {animal} lives near water.\n- The {animal} builds nests in spring.",
    }
    step = re.findall(r"^(Summary|Outline|Key information):$", prompt, re.MULTILINE)[-1]
    refused = animal == "heron" or body.get("seed", 0) % 4 == 3
    text = "I'm sorry, but I can't help with that." if refused else texts[step]
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())}
    return chat_server.completion(body, choices=[{"message": {"content": text}, "finish_reason": "stop"}], usage=usage)


def write_judge(folder):
    """A decoder that has learnt nothing, with room for two articles."""
    tokenizer = sequences.make_tokenizer()
    policy = stages.new_policy((16, 1), tokenizer, 1024, jax.random.key(0))
    hf.save_pretrained(folder, policy.model.config, policy.params, tokenizer)
    return folder
