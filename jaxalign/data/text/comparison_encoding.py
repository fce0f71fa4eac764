"""Records as token ids for a model that compares two responses; the text is that of
:mod:`jaxalign.data.text.comparisons`.

A comparison is the tokens of its parts, one after the other: a list's prompt and responses are encoded once, and any
two of the responses make a row. Responses have no end-of-sequence token of their own; one such token ends the row, as
it ends the input of a text-to-text model, and the verdict stands behind it.
"""

from collections.abc import Iterable, Sequence

from jaxalign.data.records.record import PreferenceRecord, answer_text
from jaxalign.data.text.comparisons import CONTEXT, Kind, escape_markers, render_context, response_markers
from jaxalign.data.text.encoding import EncodedLists, encode_parts
from jaxalign.data.text.tokenizer import Tokenizer
from jaxalign.data.text.turns import EncodedRecord, common_length
from jaxalign.typing import ComparisonFormat

VERDICTS = "A", "B", "Same"


def comparison_format(
    tokenizer: Tokenizer, *, kind: Kind = "RESPONSE", verdicts: Sequence[str] = VERDICTS
) -> ComparisonFormat:
    """Returns the ids of markers and verdicts, which every comparison of two responses has.

    Args:
      tokenizer: of the model that compares.
      kind: what markers call the responses, ``"RESPONSE"`` or ``"SUMMARY"``.
      verdicts: the words for: the first wins, the second wins, neither.

    Raises:
      ValueError: if a verdict is not one token of its own.
    """
    if len(verdicts) != 3:
        raise ValueError(f"expected three verdicts, for the first, the second and neither, got {tuple(verdicts)}")
    encoded = [tokenizer.encode(verdict) for verdict in verdicts]
    whole = [tokenizer.decode(ids).strip() == verdict.strip() for ids, verdict in zip(encoded, verdicts, strict=True)]
    if not all(whole) or any(len(ids) != 1 for ids in encoded) or len({ids[0] for ids in encoded}) != 3:
        pieces = ", ".join(f"{verdict!r} is {ids}" for verdict, ids in zip(verdicts, encoded, strict=True))
        raise ValueError(
            f"expected verdicts that this tokenizer writes with one token each, of three different ones, but {pieces}; "
            f"choose other words, for instance verdicts=('A', 'B', 'C')"
        )
    first, second = response_markers(kind)
    start = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    return ComparisonFormat(
        context=(*start, *tokenizer.encode(CONTEXT)),
        first=tuple(_behind_a_bracket(f" {first}", tokenizer)),
        second=tuple(_behind_a_bracket(f" {second}", tokenizer)),
        end=(tokenizer.eos_id,),
        verdicts=tuple(ids[0] for ids in encoded),
    )


def encode_comparison_lists(
    records: Iterable[PreferenceRecord],
    tokenizer: Tokenizer,
    form: ComparisonFormat,
    *,
    max_prompt: int,
    max_response: int,
) -> EncodedLists:
    """Encodes lists whose prompts start with ``form.context`` and whose responses can stand behind either marker.

    As by :func:`~jaxalign.data.encode_lists`, a long prompt keeps its end, here behind ``form.context``, and a long
    response its beginning, and both are counted. So markers and the place of the verdict are never cut: a row has at
    most :func:`comparison_length` tokens, which the model's context must hold.

    Args:
      records: lists of texts with labels.
      tokenizer: of the model that compares.
      form: from :func:`comparison_format`.
      max_prompt: the most tokens of a prompt, ``form.context`` included.
      max_response: the most tokens of a response.

    Returns:
      The token ids, in the order of the records.

    Raises:
      ValueError: if there is no record, or no room for a prompt.
    """
    if max_prompt <= len(form.context):
        raise ValueError(
            f"expected max_prompt above the {len(form.context)} tokens of {CONTEXT}, got {max_prompt}; enlarge it"
        )

    def part(text: str) -> list[int]:
        return _behind_a_bracket(f" {escape_markers(text)}", tokenizer)

    def encode_fn(record: PreferenceRecord):
        responses = [part(answer_text(answer)) for answer in record.responses]
        return form.context, EncodedRecord(part(render_context(record.prompt)), responses)

    return encode_parts(records, encode_fn, pad_id=tokenizer.pad_id, limits=(max_prompt, max_response))


def comparison_length(lists: EncodedLists, form: ComparisonFormat) -> int:
    """Returns the most tokens that two responses of a list can take with prompt and markers, the verdict not counted.

    Args:
      lists: from :func:`encode_comparison_lists`.
      form: the ids of markers and verdicts.
    """
    return lists.limits[0] + 2 * lists.limits[1] + len(form.first + form.second + form.end)


def _behind_a_bracket(text: str, tokenizer: Tokenizer) -> list[int]:
    """The ids of a text that stands behind a marker: without the space that some tokenizers put where a text begins."""
    bracket = tokenizer.encode("]")
    joint = tokenizer.encode(f"]{text}")
    return joint[len(bracket) :] if common_length(bracket, joint) == len(bracket) else tokenizer.encode(text)
