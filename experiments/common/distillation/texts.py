"""Texts to learn from, each in a file that a killed run continues: sampled from a policy, or asked of a server."""

import collections
import json
import pathlib
from collections.abc import Sequence

from jaxtyping import Array

from experiments.common.distillation.world import Texts
from experiments.common.task import Policy, exactly
from jaxalign import data, sampling
from jaxalign.data import PreferenceRecord, Tokenizer
from jaxalign.io import completions, llm
from jaxalign.io.completions import Prompt
from jaxalign.io.report import Estimate

TEMPERATURE = 0.7


def sampled_texts(
    path: pathlib.Path,
    policy: Policy,
    tokenizer: Tokenizer,
    records: Sequence[PreferenceRecord],
    key: Array,
    *,
    num_samples: int,
    max_new_tokens: int,
) -> Texts:
    """Samples of a teacher or of a student's snapshot, which the settings beside the file name by its hash."""
    prompts = [Prompt(record.id, data.encode_prompt(record, tokenizer)) for record in records]
    completions.write_completions(
        path,
        policy.model,
        policy.params,
        tokenizer,
        prompts,
        key,
        num_samples=num_samples,
        max_new_tokens=max_new_tokens,
        rule=sampling.sample(sampling.temperature(TEMPERATURE)),
        skip_long=True,
        settings={"model": data.fingerprint(policy.params), "temperature": TEMPERATURE},
        num_slots=128,
    )
    texts = collections.defaultdict(dict)
    for line in path.read_bytes().splitlines():  # of text, splitlines would break at more than the ends of lines
        row = json.loads(line)
        texts[row["id"]][row["sample"]] = row["text"]
    return {id: [by_number[number] for number in sorted(by_number)] for id, by_number in texts.items()}


def sampling_cost(paths: Sequence[pathlib.Path]) -> dict[str, Estimate]:
    """Tokens sampled, and seconds taken, for these files of :func:`sampled_texts`."""
    rows = [json.loads(line) for path in paths for line in path.read_bytes().splitlines()]
    return {
        "tokens sampled": exactly(sum(len(row["tokens"]) for row in rows)),
        "seconds of sampling": exactly(sum(row["seconds"] for row in rows)),
    }


def asked_texts(
    path: pathlib.Path, endpoint: str, model: str, records: Sequence[PreferenceRecord], *, max_new_tokens: int
) -> Texts:
    """One answer to each prompt from an OpenAI-compatible server; paid once, whatever happens in between."""
    generate = llm.generate.make_generate(llm.service.asking(llm.Client(endpoint, model), llm.Cache(path)))
    prompts = [record.prompt for record in records]
    answers = generate(prompts, temperature=TEMPERATURE, max_tokens=max_new_tokens)
    return {record.id: texts for record, texts in zip(records, answers, strict=True)}
