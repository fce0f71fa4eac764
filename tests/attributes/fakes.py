"""A language model of known law that reads the rendered prompts and errs at known rates, deterministic by its seed.

It knows to which classes each value belongs. It proposes values, names similar classes, answers the questions of the
filter, and writes documents that say what was asked for; some answers are refusals, or begin as a chat does.
"""

import random
import re

REFUSAL = "I'm sorry, but I can't help with that."
PREAMBLE = "Sure! Here is the text:\n\n"


class Writer:
    """A GenerateFn that counts its calls and prompts.

    ``belongs`` has the names of all classes to which a value belongs, ``similar`` the names of the similar classes by
    the name of a class, and ``proposed`` the lines of a list by the quoted phrase and, if there is one, the class.
    """

    def __init__(self, *, belongs=None, similar=None, proposed=None, errs=0.0, refuses=0.0, chats=0.0, fails=0.0):
        self.belongs, self.similar, self.proposed = belongs or {}, similar or {}, proposed or {}
        self.errs, self.refuses, self.chats, self.fails = errs, refuses, chats, fails
        self.calls: list[dict] = []
        self.prompts: list[str] = []

    def __call__(self, prompts, *, n=1, temperature=1.0, max_tokens=256, seed=None, stop=()):
        self.calls.append({"n": n, "temperature": temperature, "max_tokens": max_tokens, "seed": seed})
        self.prompts.extend(prompts)
        # Sample k is drawn with seed + k, as from a server.
        answers = [[self.write(prompt, random.Random(f"{seed + k} {prompt}")) for k in range(n)] for prompt in prompts]
        return [[text for text in each if text is not None] for each in answers]

    def write(self, prompt, rng):
        if "belong to at least one" in prompt:
            return self.answer(prompt, rng)
        quoted = re.findall(r'"([^"\n]+)"', prompt)
        if "the most similar" in prompt:
            return number(self.similar[quoted[0]])
        if "different values of" in prompt:
            key = (quoted[0], quoted[1]) if " of the class " in prompt else quoted[0]
            return "As an AI, I have no taste. Here are some:\n" + number(self.proposed[key])
        if "attributes should" in prompt:
            return "\n".join(f"- {line}" for line in self.proposed["dimensions"])
        if "Write the instruction" in prompt:
            return f"Write about {quoted[0]} in many ways."
        return self.document(prompt, rng)

    def answer(self, prompt, rng):
        value = re.search(r"^[A-Z].*?: (.+)\n\nDoes", prompt, re.MULTILINE)[1]
        shown = re.findall(r"^- (.+)$", prompt, re.MULTILINE)
        truth = bool(set(shown) & set(self.belongs.get(value, ())))
        said = truth != (rng.random() < self.errs)
        forms = ("Yes", "Yes, it does.", "1") if said else ("No", "No, it fits none of the 5 classes.", "0")
        return rng.choice(forms)

    def document(self, prompt, rng):
        asked = re.findall(r"^\d+\. The .+? is: (.+)$", prompt, re.MULTILINE)
        if rng.random() < self.fails:
            return None
        if rng.random() < self.refuses:
            return REFUSAL
        text = f"{'; '.join(asked)} | {rng.randrange(10**6)}"
        return PREAMBLE + text if rng.random() < self.chats else text


def number(lines):
    return "\n".join(f"{n}. {line}" for n, line in enumerate(lines, 1))
