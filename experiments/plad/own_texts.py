"""What a student writes beside what its teacher wrote: pseudo-preference pairs, judged pairs, or the better text."""

import json
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import jax

from experiments.common.task import Policy
from experiments.plad.figures import rouge_l
from experiments.plad.texts import Samples, sampled_texts
from experiments.plad.world import Texts, World
from jaxalign import data
from jaxalign.data import Outputs, PreferenceRecord
from jaxalign.data.labelling.teacher_pairs import QualityFn
from jaxalign.io import keys
from jaxalign.io.jobs import records


class Snapshot(NamedTuple):
    """A student as it is when it writes to these prompts, and where its texts are kept."""

    policy: Policy
    step: int  # steps that it has learnt for
    prompts: Sequence[PreferenceRecord]
    directory: pathlib.Path  # that of the seed: methods share the texts of one snapshot
    max_response: int  # tokens of a text
    temperature: float

    @property
    def name(self) -> str:
        """A name that no other has: another config with the same weights, and other prompts, make other texts."""
        model = data.fingerprint((self.policy.model.config, self.policy.params))
        return f"{model[:12]}-{keys.digest([record.id for record in self.prompts])[:6]}"

    @property
    def samples_file(self) -> pathlib.Path:
        """Says where its texts are."""
        return self.directory / f"student-{self.name}.jsonl"

    def write(self, world: World) -> Samples:
        """Returns what it writes to its prompts: one draw, whichever method asks first."""
        key = jax.random.key(int(data.fingerprint(self.policy.params)[:8], 16) >> 1)
        options = {"num_samples": 1, "max_new_tokens": self.max_response, "temperature": self.temperature}
        return sampled_texts(self.samples_file, self.policy, world.tokenizer, self.prompts, key, **options)


def make_pairs(world: World, snapshot: Snapshot) -> list[PreferenceRecord]:
    """Makes pseudo-preference pairs of a snapshot of the student, a file that methods share; perhaps there are none."""
    outputs = outputs_of(world.texts, snapshot.prompts, snapshot.write(world))
    path = snapshot.directory / f"pairs-{snapshot.name}.jsonl"
    provenance = {
        "student": data.fingerprint(snapshot.policy.params),
        "step": snapshot.step,
        "samples": json.loads(keys.settings_file(snapshot.samples_file).read_text(encoding="utf-8")),
        "teacher": keys.digest(world.texts),
        "prompts": keys.digest([[record.id, record.prompt] for record in snapshot.prompts]),
        "max_response": snapshot.max_response,
        "similarity": "ROUGE-L",
    }
    if path.exists():
        return records.stored_records(path, provenance, list)
    pairs, report = data.pseudo_pairs(
        outputs,
        world.tokenizer,
        max_response=snapshot.max_response,
        similarity_fn=lambda teacher, student: float(rouge_l([student], [teacher])[0]),
    )
    print(
        f"pairs after {snapshot.step} steps: {report.pairs} of {report.prompts} prompts, {report.identical} identical, "
        f"{report.unanswered} unanswered{truth(pairs, world.quality_fn)}"
    )
    return records.stored_records(path, provenance, lambda: pairs) if pairs else []


def truth(pairs: Sequence[PreferenceRecord], quality_fn: QualityFn | None) -> str:
    """Says in how many pairs the teacher's text is the better one, where quality is known."""
    if quality_fn is None or not pairs:
        return ""
    _, report = data.order_by_quality(pairs, quality_fn)
    right, wrong, tied = (count / len(pairs) for count in report)
    return f"; the teacher's text is truly better in {right:.1%}, as good in {tied:.1%}, worse in {wrong:.1%}"


def better_texts(outputs: Sequence[Outputs], quality_fn: QualityFn) -> list[PreferenceRecord]:
    """Returns, for each prompt that both answered, the text of the higher quality; the teacher's where they tie."""
    records, own = [], 0
    for each in outputs:
        if not (each.teacher and each.student):
            continue
        taught, written = quality_fn(each.prompt, [each.teacher[0], each.student[0]])
        own += written > taught
        text, tokens = (each.student[0], each.student_tokens[0]) if written > taught else (each.teacher[0], None)
        records.append(PreferenceRecord(each.prompt, (text,), (1.0,), id=each.id, tokens=(tokens,)))
    print(f"better texts: the student's to {own} of {len(records)} prompts, else the teacher's")
    return records


def outputs_of(taught: Texts, prompts: Sequence[PreferenceRecord], written: Samples) -> list[Outputs]:
    """Returns what teacher and student wrote to each prompt."""
    return [
        Outputs(
            record.prompt,
            taught.get(record.id, ()),
            [sample.text for sample in written.get(record.id, ())],
            record.id,
            [sample.tokens for sample in written.get(record.id, ())],
        )
        for record in prompts
    ]
