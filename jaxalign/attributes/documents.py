"""Documents: one request each, so that whatever becomes of one request, every other row keeps its own text.

A request is a rendered prompt, what it was rendered from, and the number of its draw among equal prompts. Text k of a
prompt is asked for with seed + k: the requests of SimPrompt are all alike, and must not get the same text.
"""

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from jaxalign.attributes.prompts import prompt_hash, render_document
from jaxalign.attributes.sampling import Assignment, labels_of
from jaxalign.attributes.task import Task
from jaxalign.prompting import parse_document
from jaxalign.prompting.options import check_counts, check_temperature
from jaxalign.typing import GenerateFn

NO_ANSWER = "no answer"


class Failure(str):
    """The empty text of a request that failed, which knows why: what a GenerateFn may give in the place of a text.

    Whoever does not know it sees an empty text; :func:`write_documents` puts its reason into the row.

    Attributes:
      reason: what went wrong, for instance a server's message.
    """

    reason: str

    def __new__(cls, reason: str):
        self = super().__new__(cls, "")
        self.reason = reason or NO_ANSWER
        return self


class DocumentRequest(NamedTuple):
    """What is asked of a model for one document.

    Attributes:
      assignment: its class, its number, and its values as texts.
      labels: all labels that the document will have.
      prompt: the rendered prompt.
      draw: how many earlier requests have the same prompt.
    """

    assignment: Assignment
    labels: tuple[str, ...]
    prompt: str
    draw: int = 0


class Document(NamedTuple):
    """A row of the generated data: its text, or the reason why there is none, and what it was made from.

    Attributes:
      assignment: its class, its number, and its values as texts.
      labels: all its labels.
      prompt_hash: the SHA-256 of the rendered prompt.
      draw: the number of its draw among equal prompts.
      text: the document; None if there is none.
      reason: why there is no text, for instance ``"refused"``; "" if there is one.
      preamble: a chat's sentence before the document, which was taken off; "" for none.
    """

    assignment: Assignment
    labels: tuple[str, ...]
    prompt_hash: str
    draw: int
    text: str | None
    reason: str = ""
    preamble: str = ""


class DocumentReport(NamedTuple):
    """What became of the requests of each class: refusals that are dropped unevenly would bias classes.

    Attributes:
      written: for each label of an assignment how many documents have a text.
      missing: for each label how many have none, by reason.
      preambles: how many texts had a chat's sentence taken off.
      repeated: how many texts equal an earlier one.
    """

    written: Mapping[str, int]
    missing: Mapping[str, Mapping[str, int]]
    preambles: int
    repeated: int


def make_requests(
    task: Task, assignments: Sequence[Assignment], render: Callable[[Task, Assignment], str] = render_document
) -> tuple[DocumentRequest, ...]:
    """Renders the request of each assignment.

    Args:
      task: what the assignments were made for.
      assignments: what the documents are asked to be.
      render: makes the prompt of an assignment; :func:`render_document` for AttrPrompt, :func:`render_simple_document`
        for SimPrompt, or a function of one's own, for instance around :func:`render_instructed_document`.

    Returns:
      The requests, in the order of the assignments.
    """
    draws: collections.Counter[str] = collections.Counter()
    requests = []
    for assignment in assignments:
        prompt = render(task, assignment)
        requests.append(DocumentRequest(assignment, labels_of(task, assignment), prompt, draws[prompt]))
        draws[prompt] += 1
    return tuple(requests)


def read_document(request: DocumentRequest, answer: str) -> Document:
    """Makes a row of a request and its answer.

    Args:
      request: what was asked.
      answer: what the model wrote, or a :class:`Failure`.
    """
    parsed = parse_document(answer)
    reason = answer.reason if isinstance(answer, Failure) else parsed.reason
    row = Document(request.assignment, request.labels, prompt_hash(request.prompt), request.draw, parsed.text)
    return row._replace(reason=reason, preamble=parsed.preamble)


def write_documents(
    generate: GenerateFn,
    requests: Sequence[DocumentRequest],
    *,
    chunk: int = 64,
    temperature: float = 1.0,
    max_tokens: int = 256,
    seed: int = 0,
) -> Iterator[Document]:
    """Asks for one document a request, and gives the rows in order, as soon as their chunk is answered.

    A refused or failed request is a row without text, and shifts no other. What ``generate`` raises ends the rows;
    those of earlier chunks have been given by then.

    Args:
      generate: continues prompts with texts, by a language model. A prompt with too few texts, or a :class:`Failure`
        among them, is a failed request.
      requests: from :func:`make_requests`; a part of them, such as those that failed, gets the same seeds.
      chunk: how many documents to ask for at once, at least 1.
      temperature: of the documents; the paper has 1.
      max_tokens: the longest document, at least 1.
      seed: of draw 0 of each prompt; draw k has ``seed + k``.

    Returns:
      The rows; nothing is asked before the first one is taken.

    Raises:
      ValueError: ``chunk`` or ``max_tokens`` is below 1, the temperature below 0, or ``generate`` did not answer as
        many prompts as it was asked.

    Source: AttrPrompt (arXiv 2306.15895): one document a request at temperature 1.
    """
    check_counts(chunk=chunk, max_tokens=max_tokens)
    check_temperature(temperature)
    options = {"temperature": temperature, "max_tokens": max_tokens}
    chunks = (requests[start : start + chunk] for start in range(0, len(requests), chunk))
    return itertools.chain.from_iterable(_write(generate, each, seed, options) for each in chunks)


def report_documents(documents: Iterable[Document]) -> DocumentReport:
    """Counts what became of the requests of each class.

    Args:
      documents: the rows.
    """
    written: collections.Counter[str] = collections.Counter()
    missing: dict[str, collections.Counter[str]] = {}
    preambles, texts = 0, []
    for row in documents:
        label = row.assignment.label
        if row.text is None:
            missing.setdefault(label, collections.Counter())[row.reason] += 1
        else:
            written[label] += 1
            texts.append(row.text)
            preambles += bool(row.preamble)
    return DocumentReport(
        dict(written), {k: dict(v) for k, v in missing.items()}, preambles, len(texts) - len({*texts})
    )


def _write(
    generate: GenerateFn, requests: Sequence[DocumentRequest], seed: int, options: Mapping[str, float]
) -> list[Document]:
    answers: dict[tuple[str, int], str] = {}
    for (first, n), prompts in _runs(requests).items():
        texts = generate(prompts, n=n, seed=seed + first, **options)
        if len(texts) != len(prompts) or max(map(len, texts)) > n:
            raise ValueError(
                f"expected {len(prompts)} lists of {n} texts at most, got {[len(each) for each in texts]} texts; the "
                "generator must answer every prompt in its place"
            )
        for prompt, each in zip(prompts, texts, strict=True):
            answers.update({(prompt, first + k): text for k, text in enumerate(each)})
    failure = Failure(NO_ANSWER)
    return [read_document(request, answers.get((request.prompt, request.draw), failure)) for request in requests]


def _runs(requests: Sequence[DocumentRequest]) -> dict[tuple[int, int], list[str]]:
    """Prompts by the first of their consecutive draws and how many these are."""
    draws: dict[str, set[int]] = {}
    for request in requests:
        draws.setdefault(request.prompt, set()).add(request.draw)
    runs: dict[tuple[int, int], list[str]] = {}
    for prompt, each in draws.items():
        for first in sorted(draw for draw in each if draw - 1 not in each):
            n = next(k for k in itertools.count(1) if first + k not in each)
            runs.setdefault((first, n), []).append(prompt)
    return runs
