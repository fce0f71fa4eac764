"""Where a run keeps its stages and documents: in files, which a killed run continues, or for an estimate in memory.

Both ask by stages: ``ask(stage)`` gives the generator that a stage asks. What a stage was answered, and what it has to
say of it, is kept beside its task, so that a run that continues knows the cost of what it finds.
"""

import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from experiments.common.llm.engine import Engine
from jaxalign import files
from jaxalign.attributes import Document, DocumentRequest, Failure, Task, parse_task, write_documents
from jaxalign.io import jobs
from jaxalign.io.llm import Usage
from jaxalign.io.llm.service import Ledger
from jaxalign.typing import GenerateFn

AskFn = Callable[[str], GenerateFn]
"""``ask(stage)``: the generator that a stage asks, by :data:`STAGES` or a method's name."""
NOTES = "stages.json"
INSTRUCTIONS = "instructions"
STAGES = ("dimensions", "similar", "values", "filtered", INSTRUCTIONS)


class Writer(NamedTuple):
    """A language model as the stages ask it, and what counts their tokens."""

    ask: AskFn
    ledger: Ledger
    count_tokens: Callable[[str], int]
    usage_fn: jobs.documents.UsageFn | None = None  # what the latest answer to a prompt's draw took


def writing(engine: Engine) -> Writer:
    """Returns a model as stages and methods ask it.

    A request of a method that fails is a row without a text; one of a stage ends the run, which goes on from there.
    """
    if engine.documents is None:
        raise ValueError(f"expected a model that writes documents, got {engine.name}")
    generate, usage_fn = engine.documents

    def generate_all(prompts: Sequence[str], **options: Any) -> list[list[str]]:
        texts = generate(prompts, **options)
        for prompt, each in zip(prompts, texts, strict=True):
            if failed := next((text for text in each if isinstance(text, Failure)), None):
                raise RuntimeError(
                    f"a request failed, and the same command asks it again: {failed.reason} ({prompt!r})"
                )
        return texts

    return Writer(
        lambda stage: generate_all if stage in STAGES else generate, engine.ledger, engine.count_tokens, usage_fn
    )


class Made(NamedTuple):
    """A task that a stage made, and what there is to say: what came out short, was dropped or could not be read."""

    task: Task
    notes: Sequence[str] = ()


MakeFn = Callable[[GenerateFn], Made]
"""``make(generate)``: makes the task of a stage with the generator that the stage asks."""


class Stage(NamedTuple):
    """A stage as it is kept: its task, its notes, what it was answered, and whether it was made just now."""

    task: Task
    notes: Sequence[str] = ()
    asked: Usage = Usage()
    new: bool = False


class Row(NamedTuple):
    """A document, and the tokens of its prompt and answer, of all attempts."""

    document: Document
    tokens: int
    cost: float | None = None  # US dollars, if the price is known


class Store(Protocol):
    """Keeps what stages and methods make."""

    def stage(self, name: str, before: Task, make: MakeFn, *, after: str = "") -> Stage:
        """Returns a stage, which is made if there is none yet.

        Args:
          name: of the stage.
          before: the task of the stage before.
          make: makes the task.
          after: the name of the stage before; "" for the task that the run was given.
        """

    def documents(self, method: str, requests: Sequence[DocumentRequest], *, part: str = "") -> list[Row]:
        """Returns the document of each request, which is asked for if it is not there yet.

        Args:
          method: what the requests belong to.
          requests: all that will ever be asked for under this name.
          part: tells further requests of the method from its first ones.
        """


class FileStore(NamedTuple):
    """Files of one run in two folders: that of the stages, which runs with other seeds may share, and its own."""

    stages: pathlib.Path
    folder: pathlib.Path
    writer: Writer
    settings: Mapping[str, Any]  # what else would change a stage or a document, for instance the model
    sampling: Mapping[str, Any]  # temperature, max_tokens, seed and chunk of documents
    retries: bool = False  # ask again for what has no text
    show: bool = True

    def stage(self, name: str, before: Task, make: MakeFn, *, after: str = "") -> Stage:
        """Keeps a stage in ``<name>.toml``, and what it took in ``stages.json``."""

        new = not (self.stages / f"{name}.toml").exists()

        def made() -> Task:
            begun = self.writer.ledger.asked
            task, notes = make(self.writer.ask(name))
            asked = self.writer.ledger.asked.minus(begun)
            self.stages.mkdir(parents=True, exist_ok=True)
            # Before the task: a stage that is there has its notes.
            files.write_json(self.stages / NOTES, {**self._noted(), name: {"notes": list(notes), "asked": asked}})
            return task

        task = jobs.kept_task(self.stages, name, before, made, settings=self.settings, after=after)
        noted = self._noted().get(name, {})
        return Stage(task, noted.get("notes", ()), Usage(*noted.get("asked", ())), new)

    def documents(self, method: str, requests: Sequence[DocumentRequest], *, part: str = "") -> list[Row]:
        """Keeps documents in ``<method>/documents.jsonl``; failed ones are asked for again if the run says so."""
        path = self.folder / method.replace(" ", "-") / f"documents{part}.jsonl"
        options = {"settings": self.settings, "usage_fn": self.writer.usage_fn, "show": self.show, **self.sampling}
        generate = self.writer.ask(method)
        report = jobs.write_document_file(path, generate, requests, **options)
        if self.retries and report.failed:
            jobs.retry_failed(path, generate, requests, **options)
        return [self._row(*each) for each in zip(requests, jobs.read_documents(path), strict=True)]

    def _noted(self) -> dict[str, Any]:
        path = self.stages / NOTES
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def _row(self, request: DocumentRequest, stored: jobs.StoredDocument) -> Row:
        attempts = [stored.usage, *stored.earlier]
        # An answer without a report of tokens counts what can be seen of it.
        seen = self.writer.count_tokens(request.prompt) + self.writer.count_tokens(stored.document.text or "")
        costs = [attempt.get("cost") for attempt in attempts]
        cost = None if None in costs else sum(costs)
        return Row(stored.document, sum(attempt.get("tokens", seen) for attempt in attempts), cost)


class MemoryStore(NamedTuple):
    """Nothing is kept, and what is in a folder of stages is taken from there, for nothing: for an estimate."""

    writer: Writer
    sampling: Mapping[str, Any]
    stages: pathlib.Path

    def stage(self, name: str, before: Task, make: MakeFn, *, after: str = "") -> Stage:
        """Makes the task, or reads it."""
        if (path := self.stages / f"{name}.toml").exists():
            return Stage(parse_task(path.read_text(encoding="utf-8")))
        begun = self.writer.ledger.asked
        task, notes = make(self.writer.ask(name))
        return Stage(task, notes, self.writer.ledger.asked.minus(begun))

    def documents(self, method: str, requests: Sequence[DocumentRequest], *, part: str = "") -> list[Row]:
        """Asks for the documents."""
        documents = write_documents(self.writer.ask(method), requests, **self.sampling)
        count = self.writer.count_tokens
        return [
            Row(document, count(request.prompt) + count(document.text or ""))
            for request, document in zip(requests, documents, strict=True)
        ]
