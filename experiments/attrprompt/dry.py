"""What a run would do next, without doing it: what is in its folder is read, the rest is asked of a stand-in."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from experiments.attrprompt.storage import FileStore, MakeFn, Row, Settings, Stage
from jaxalign.attributes import DocumentRequest, Task, write_documents
from jaxalign.io.jobs import ATTEMPT_SEEDS
from jaxalign.io.llm.service import Ledger
from jaxalign.typing import GenerateFn


class StandInWriter(Protocol):
    """What a run asks in the place of a model."""

    ledger: Ledger

    def ask(self, name: str) -> GenerateFn:
        """Returns the generator of a stage or method."""

    def took(self, name: str, prompt: str) -> int:
        """Returns the tokens of a prompt and of what was written to it."""


class DryStore(NamedTuple):
    """The store of a run that reads and never writes.

    Attributes:
      files: the folder of the run.
      writer: is asked for what is not there.
      made: the stages that it made, by name; runs that share their stages share it.
    """

    files: FileStore
    writer: StandInWriter
    made: dict[str, Stage]

    def stage(self, name: str, before: Task, make: MakeFn, *, settings: Settings, after: str = "") -> Stage:
        """Reads the task, as the run will, or has it made."""
        if (self.files.stages / f"{name}.toml").exists():
            return self.files.stage(name, before, make, settings=settings, after=after)
        if name in self.made:
            return self.made[name]
        begun = self.writer.ledger.asked
        task, notes = make(self.writer.ask(name))
        self.made[name] = Stage(task, notes, self.writer.ledger.asked.minus(begun))
        return self.made[name]._replace(new=True)

    def documents(self, method: str, requests: Sequence[DocumentRequest], *, part: str = "") -> list[Row]:
        """Reads the documents, has those made that are missing, and again those that the run will ask for again."""
        rows = self.files.rows(method, requests, part)
        rows += self._written(method, requests[len(rows) :], 0)
        if self.files.retries:
            failed = [place for place, row in enumerate(rows) if row.document.text is None]
            for attempt in sorted({rows[place].requests for place in failed}):
                places = [place for place in failed if rows[place].requests == attempt]
                again = self._written(method, [requests[place] for place in places], attempt)
                for place, row in zip(places, again, strict=True):
                    rows[place] = row._replace(tokens=rows[place].tokens + row.tokens, requests=attempt + 1)
        return rows

    def begun(self, method: str, part: str) -> int:
        """Reads it."""
        return self.files.begun(method, part)

    def _written(self, method: str, requests: Sequence[DocumentRequest], attempt: int) -> list[Row]:
        sampling: Mapping = self.files.sampling
        sampling = {**sampling, "seed": sampling["seed"] + attempt * ATTEMPT_SEEDS}
        documents = write_documents(self.writer.ask(method), requests, **sampling)
        return [
            Row(document, self.writer.took(method, request.prompt))
            for request, document in zip(requests, documents, strict=True)
        ]
