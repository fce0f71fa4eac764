"""Texts to learn from, each in a file that a killed run continues: sampled from a policy, or asked of a server."""

import collections
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxtyping import Array

from experiments.common.llm import accounts
from experiments.common.llm.server import Server, open_service
from experiments.common.task import Policy, exactly
from experiments.plad.world import Texts
from jaxalign import data, sampling
from jaxalign.data import PreferenceRecord, Tokenizer
from jaxalign.io import line_file, llm
from jaxalign.io.jobs import completions
from jaxalign.io.jobs.completions import Prompt
from jaxalign.io.report import Estimate

TEMPERATURE = 0.7  # of the teacher's texts


class Written(NamedTuple):
    """A sample as text, and as the tokens that were written, the end included where there is one."""

    text: str
    tokens: Sequence[int]


Samples = Mapping[str, Sequence[Written]]
"""Samples by the id of their prompt."""


def sampled_texts(
    path: pathlib.Path,
    policy: Policy,
    tokenizer: Tokenizer,
    records: Sequence[PreferenceRecord],
    key: Array,
    *,
    num_samples: int,
    max_new_tokens: int,
    temperature: float = TEMPERATURE,
) -> Samples:
    """Draws samples of a teacher or of a student's snapshot, which the settings beside the file name by its hash."""
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
        rule=sampling.sample(sampling.temperature(temperature)),
        skip_long=True,
        settings={"model": data.fingerprint(policy.params), "temperature": temperature},
        num_slots=128,
    )
    samples = collections.defaultdict(dict)
    for row in line_file.read_rows(path):
        samples[row["id"]][row["sample"]] = Written(row["text"], row["tokens"])
    return {id: [by_number[number] for number in sorted(by_number)] for id, by_number in samples.items()}


def texts_of(samples: Samples) -> Texts:
    """Returns the samples as texts, for a reader with another tokenizer."""
    return {id: [sample.text for sample in of_prompt] for id, of_prompt in samples.items()}


def sampling_cost(paths: Sequence[pathlib.Path]) -> dict[str, Estimate]:
    """Counts tokens sampled, and seconds taken, for these files of :func:`sampled_texts`."""
    rows = [row for path in paths for row in line_file.read_rows(path)]
    return {
        "tokens sampled": exactly(sum(len(row["tokens"]) for row in rows)),
        "seconds of sampling": exactly(sum(row["seconds"] for row in rows)),
    }


def asked_cost(paths: Sequence[pathlib.Path]) -> str:
    """Says what these files of :func:`asked_texts` took of a server, over all starts of the run."""
    return accounts.cost(llm.usage_of(answer for path in paths for answer in llm.Cache(path).answers()))


def asked_texts(
    path: pathlib.Path,
    endpoint: str,
    model: str,
    records: Sequence[PreferenceRecord],
    *,
    max_new_tokens: int,
    server: Server = Server(),  # noqa: B008
) -> Texts:
    """Asks an OpenAI-compatible server for one answer to each prompt; paid once, whatever happens in between.

    An empty answer (a refusal, or nothing but thinking) is no text; how many there are is shown.
    """
    cache = llm.Cache(path)
    service = open_service(endpoint, model, server, cache)
    prompts = [record.prompt for record in records]
    answers = llm.service.make_generate(service)(prompts, temperature=TEMPERATURE, max_tokens=max_new_tokens)
    print(f"The teacher was {accounts.sentence(service.ledger, cache.answers())}", file=sys.stderr)
    return {record.id: [text for text in texts if text.strip()] for record, texts in zip(records, answers, strict=True)}
