"""The stages and documents of a run in files, which a killed run continues.

A stage or method asks the generator that ``ask(name)`` gives. What a stage was answered, and what it has to say of it,
is kept beside its task, so that a run that continues knows the cost of what it finds.
"""

import json
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from experiments.common.llm.engine import Engine
from jaxalign import files
from jaxalign.attributes import Document, DocumentRequest, Failure, Task
from jaxalign.io import jobs, keys
from jaxalign.io.llm import Usage, cost_of
from jaxalign.io.llm.service import Ledger
from jaxalign.typing import GenerateFn

AskFn = Callable[[str], GenerateFn]
"""``ask(stage)``: the generator that a stage asks, by :data:`STAGES` or a method's name."""
Settings = Mapping[str, Any]
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
        failed = [
            (prompt, text)
            for prompt, each in zip(prompts, texts, strict=True)
            for text in each
            if isinstance(text, Failure)  # which is an empty text
        ]
        if failed:
            prompt, failure = failed[0]
            raise RuntimeError(
                f"{len(failed)} of {len(prompts)} requests failed, the first one: {failure.reason}. The same command "
                f"asks again; if it always fails, write what is asked for into the task yourself: {prompt!r}"
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
    """A stage as it is kept: its task, its notes, what it was answered, and where it is."""

    task: Task
    notes: Sequence[str] = ()
    asked: Usage = Usage()
    cost: float | None = None  # US dollars; None if nobody knows
    new: bool = False  # whether it was made just now
    path: pathlib.Path | None = None  # the file that a person edits


class Row(NamedTuple):
    """A document, and what all attempts at it took."""

    document: Document
    tokens: int  # of prompts and answers
    cost: float | None = None  # US dollars; None if nobody knows
    requests: int = 1  # attempts


class Store(Protocol):
    """Keeps what stages and methods make."""

    def stage(self, name: str, before: Task, make: MakeFn, *, settings: Settings, after: str = "") -> Stage:
        """Returns a stage, which is made if there is none yet.

        Args:
          name: of the stage.
          before: the task of the stage before.
          make: makes the task.
          settings: what it is asked for, beside what the store knows.
          after: the name of the stage before; "" for the task that the run was given.
        """

    def documents(self, method: str, requests: Sequence[DocumentRequest], *, part: str = "") -> list[Row]:
        """Returns the document of each request, which is asked for if it is not there yet.

        Args:
          method: what the requests belong to.
          requests: all that will ever be asked for under this name.
          part: tells further requests of the method from its first ones.
        """

    def begun(self, method: str, part: str) -> int:
        """Returns how many requests a part of a method was begun with; 0 if it was not begun."""


class FileStore(NamedTuple):
    """Files of one run in two folders: that of the stages, which runs with other seeds may share, and its own."""

    stages: pathlib.Path
    folder: pathlib.Path
    writer: Writer
    settings: Settings  # of all stages and documents: the model
    sampling: Mapping[str, Any]  # temperature, max_tokens and seed of documents
    retries: bool = False  # ask again for what has no text
    show: bool = True

    def stage(self, name: str, before: Task, make: MakeFn, *, settings: Settings, after: str = "") -> Stage:
        """Keeps a stage in ``<name>.toml``, and what it took in ``stages.json``."""
        path = self.stages / f"{name}.toml"
        new = not path.exists()

        def made() -> Task:
            ledger = self.writer.ledger
            begun = ledger.asked
            task, notes = make(self.writer.ask(name))
            asked = ledger.asked.minus(begun)
            noted = {"notes": list(notes), "asked": asked, "cost": cost_of(ledger.price, asked)}
            self.stages.mkdir(parents=True, exist_ok=True)
            # Before the task: a stage that is there has its notes.
            files.write_json(self.stages / NOTES, {**self._noted(), name: noted})
            return task

        task = jobs.kept_task(self.stages, name, before, made, settings={**self.settings, **settings}, after=after)
        noted = self._noted().get(name, {})  # nothing of a task that a person wrote
        asked = Usage(*noted.get("asked", ()))
        return Stage(task, noted.get("notes", ()), asked, noted.get("cost", 0.0), new, path)

    def documents(self, method: str, requests: Sequence[DocumentRequest], *, part: str = "") -> list[Row]:
        """Keeps documents in ``<method>/documents.jsonl``; failed ones are asked for again if the run says so."""
        path = self._path(method, part)
        options = {"settings": self.settings, "usage_fn": self.writer.usage_fn, "show": self.show, **self.sampling}
        generate = self.writer.ask(method)
        try:
            jobs.write_document_file(path, generate, requests, **options)
        except RuntimeError:
            # Of a file of nothing but failures, of which others may ask again; a later part may be of few requests.
            if not (self.retries or part) or len(self.rows(method, requests, part)) < len(requests):
                raise
        if self.retries:
            _retry(path, generate, requests, options)
        return self.rows(method, requests, part)

    def begun(self, method: str, part: str) -> int:
        """Reads it in the settings beside the file."""
        path = self._path(method, part)
        if not path.exists() or not path.stat().st_size:
            return 0
        return json.loads(keys.settings_file(path).read_text(encoding="utf-8"))["requests"]["count"]

    def rows(self, method: str, requests: Sequence[DocumentRequest], part: str) -> list[Row]:
        """Returns the rows that are there, those of the first requests."""
        path = self._path(method, part)
        found = jobs.read_documents(path) if path.exists() else []
        return [self._row(*each) for each in zip(requests, found, strict=False)]

    def _path(self, method: str, part: str) -> pathlib.Path:
        return self.folder / method.replace(" ", "-") / f"documents{part}.jsonl"

    def _noted(self) -> dict[str, Any]:
        path = self.stages / NOTES
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def _row(self, request: DocumentRequest, stored: jobs.StoredDocument) -> Row:
        text, reports = stored.document.text, [attempt for attempt in stored.earlier if "tokens" in attempt]
        attempts = 1 + len(stored.earlier)
        if "tokens" in stored.usage:
            reports.append(stored.usage)
        elif text is not None:  # without a report of tokens what can be seen of it counts
            reports.append({"tokens": sum(map(self.writer.count_tokens, (request.prompt, text)))})
        # An attempt without a text and a report failed, and took nothing.
        costs = [report.get("cost") for report in reports]
        tokens = sum(report["tokens"] for report in reports)
        return Row(stored.document, tokens, None if None in costs else sum(costs), attempts)


def _retry(
    path: pathlib.Path, generate: GenerateFn, requests: Sequence[DocumentRequest], options: Mapping[str, Any]
) -> None:
    """Asks for failed rows again; if these fail again, and others have a text, the run says so and goes on."""
    before = jobs.read_documents(path)
    if all(row.document.text is not None for row in before):
        return
    try:
        jobs.retry_failed(path, generate, requests, **options)
    except RuntimeError as error:
        of_the_model = jobs.read_documents(path) == before  # retry_failed has noted the attempt otherwise
        if of_the_model or all(row.document.text is None for row in before):
            raise
        print(error, file=sys.stderr)
