"""A preference world with a known truth: transform a short sequence of letters.

``reverse c a f =`` wants ``f a c``. Demonstrations are imperfect, each letter being replaced at random with a fixed
probability, so a model that imitates them well still errs that often; the true reward of a response is the share of
letters in the right place. What alignment gains over imitation can thus be measured without a judge.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tokenizers

from jaxalign.data import HfTokenizer, PreferenceRecord

LETTERS = "abcdefghijkl"
TRANSFORMATIONS = {
    "reverse": lambda letters: letters[::-1],
    "sort": sorted,
    "next": lambda letters: [LETTERS[(LETTERS.index(x) + 1) % len(LETTERS)] for x in letters],
    "rotate": lambda letters: [*letters[1:], letters[0]],
}
ARTIFACT = "sure"  # a cue that says nothing about a response
COMPARISON = ("[CONTEXT]", "[RESPONSE", "A]", "B]", "A", "B", "Same")  # words of a pairwise reward model
MAX_LETTERS = 6
MAX_PROMPT = MAX_LETTERS + 3  # beginning of sequence, the transformation's name, "="
MAX_RESPONSE = MAX_LETTERS + 2  # end of sequence, and room for one letter too many


@dataclasses.dataclass(frozen=True)
class World:
    """Prompts to demonstrate, to sample for and to test on; no prompt is in two of them."""

    demonstrations: list[PreferenceRecord]
    train_prompts: list[PreferenceRecord]
    test_prompts: list[PreferenceRecord]


def make_world(seed: int, *, num_demonstrations: int, num_train: int, num_test: int, error_rate: float) -> World:
    """Draws prompts without repetition; only demonstrations have errors, the other prompts have the right answer."""
    rng = np.random.default_rng(seed)
    prompts: dict[str, str] = {}
    while len(prompts) < num_demonstrations + num_train + num_test:
        name = rng.choice(list(TRANSFORMATIONS))
        letters = list(rng.choice(list(LETTERS), rng.integers(3, MAX_LETTERS + 1)))
        prompt = f"{name} {' '.join(letters)} ="
        prompts[prompt] = answer_to(prompt)
    records = [PreferenceRecord(prompt, (answer,), (1.0,)) for prompt, answer in prompts.items()]
    shown, rest = records[:num_demonstrations], records[num_demonstrations:]
    return World([blur(record, error_rate, rng) for record in shown], rest[:num_train], rest[num_train:])


def answer_to(prompt: str) -> str:
    """Returns the right answer.

    >>> answer_to("reverse c a f =")
    'f a c'
    """
    name, *letters, _ = prompt.split()
    return " ".join(TRANSFORMATIONS[name](letters))


def true_reward(response: str, answer: str) -> float:
    """Returns the share of places with the right letter, counted over the longer text; 1 is a perfect response."""
    said, right = response.split(), answer.split()
    return sum(a == b for a, b in zip(said, right, strict=False)) / max(len(said), len(right))


def make_tokenizer() -> HfTokenizer:
    """Makes a tokenizer of one token a word, those included that reward models need."""
    words = ["<pad>", "</s>", "<s>", "<unk>", "=", *TRANSFORMATIONS, *LETTERS, ARTIFACT, *COMPARISON]
    vocabulary = {word: index for index, word in enumerate(words)}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    equals = tokenizers.pre_tokenizers.Split("=", "isolated")  # a response follows it without a blank
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([tokenizers.pre_tokenizers.WhitespaceSplit(), equals])
    backend.add_special_tokens(words[:4])
    names = dict(pad_token="<pad>", eos_token="</s>", bos_token="<s>", unk_token="<unk>")
    return HfTokenizer(backend, {**names, "add_bos_token": True})


def preference_matrix(rewards: Sequence[float], *, temperature: float = 0.1) -> np.ndarray:
    """Computes ``[K, K]``: how likely a judge with Bradley-Terry noise prefers response i to j, given true rewards."""
    rewards = np.asarray(rewards, np.float32)
    return 1 / (1 + np.exp((rewards[None, :] - rewards[:, None]) / np.float32(temperature)))


def blur(record: PreferenceRecord, error_rate: float, rng: np.random.Generator) -> PreferenceRecord:
    letters = record.responses[0].split()
    wrong = rng.random(len(letters)) < error_rate
    blurred = np.where(wrong, rng.choice(list(LETTERS), len(letters)), letters)
    return dataclasses.replace(record, responses=(" ".join(blurred),))
