"""The text of a compiled program (HLO), as far as plans read it: computations, instructions, sizes, loops."""

import math
import re
from typing import NamedTuple

HEADER = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{$")
INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.-]+) = (.*)$")
CALLED = re.compile(r"\b(calls|to_apply|body|condition|\w+_computations?)=(\{[^}]*\}|%?[\w.-]+)")
SHAPE = re.compile(r"\b([a-z]\w*)\[([\d,<=]*)\]")
NAME = re.compile(r"%([\w.-]+)")
TRIP_COUNT = re.compile(r'"known_trip_count":\s*\{"n":\s*"(\d+)"')
WIDTH = re.compile(r"^(?:bf|f|s|u|c)(\d+)")
# The first counter for which "counter compared with limit" is false lies so far from the limit.
BEYOND = {"LT": 0, "LE": 1, "NE": 0}


class Instruction(NamedTuple):
    """One line: ``name = type opcode(operands), attributes``."""

    name: str
    type: str
    opcode: str
    operands: tuple[str, ...]
    arguments: str  # what stands between the parentheses, as text: a constant's value, a parameter's number
    attributes: str

    def called(self, *roles: str) -> list[str]:
        """The computations that it names as one of ``roles``, such as ``"body"``."""
        found = (names for role, names in CALLED.findall(self.attributes) if role in roles)
        return [name for names in found for name in re.findall(r"[\w.-]+", names)]


class Computation(NamedTuple):
    """Instructions by name, and the one whose value is the result."""

    instructions: dict[str, Instruction]
    root: Instruction


class Module(NamedTuple):
    """A program."""

    computations: dict[str, Computation]
    entry: str


def parse_module(text: str) -> Module:
    """The program that ``jax.stages.Compiled.as_text`` prints.

    Raises:
      ValueError: there is no entry computation.
    """
    computations, entry, lines = {}, None, iter(text.splitlines())
    for line in lines:
        if header := HEADER.match(line):
            name = header[2]
            entry = name if header[1] else entry
            computations[name] = _parse_computation(lines)
    if entry is None:
        raise ValueError("no ENTRY computation in this text; pass what Compiled.as_text() of a whole program returns")
    return Module(computations, entry)


def type_bytes(type_: str) -> int:
    """Bytes of an array or of all arrays of a tuple, layouts' padding left out.

    >>> type_bytes("(bf16[4,8]{1,0:T(8,128)}, pred[], u32[2])")
    73
    """
    return sum(_width(dtype) * math.prod(_dimensions(shape)) for dtype, shape in SHAPE.findall(type_)) // 8


def tuple_elements(type_: str) -> list[str]:
    """The types in a tuple's type; an array is its only element."""
    if not type_.startswith("("):
        return [type_]
    elements, depth, start = [], 0, 1
    for place, character in enumerate(type_):
        depth += (character in "([{") - (character in ")]}")
        if (depth, character) == (1, ",") or depth == 0:
            elements.append(type_[start:place].strip())
            start = place + 1
    return [re.sub(r"/\*.*?\*/", "", element).strip() for element in elements if element]


def trip_count(module: Module, computation: Computation, loop: Instruction) -> int | None:
    """How often the body of a ``while`` runs: as its attributes say, or from constants in its condition and body.

    Read are loops whose state has a counter that starts at a constant, that the body adds a constant to, and that the
    condition compares with a constant. None: the loop is another.
    """
    if known := TRIP_COUNT.search(loop.attributes):
        return int(known[1])
    condition, body = (module.computations[loop.called(role)[0]] for role in ("condition", "body"))
    compare, operands = _inlined(module, condition, condition.root)
    direction = re.search(r"direction=(\w+)", compare.attributes)
    if compare.opcode != "compare" or direction[1] not in BEYOND or operands[0].opcode != "get-tuple-element":
        return None
    place = int(re.search(r"index=(\d+)", operands[0].attributes)[1])
    state = computation.instructions.get(loop.operands[0])
    start = _constant(computation, state, place)
    limit = int(operands[1].arguments) if operands[1].opcode == "constant" else None
    step = _step(module, body, place)
    if None in (start, limit, step) or step < 1:
        return None
    return max(-((start - limit - BEYOND[direction[1]]) // step), 0)


def _inlined(module, computation, instruction) -> tuple[Instruction, list[Instruction]]:
    """An instruction and its operands; of a fusion, those of its result, the fusion's arguments put in."""
    if instruction.opcode != "fusion":
        return instruction, [computation.instructions[name] for name in instruction.operands]
    fused = module.computations[instruction.called("calls")[0]]
    given = [computation.instructions[name] for name in instruction.operands]
    operands = [fused.instructions[name] for name in fused.root.operands]
    return fused.root, [given[int(i.arguments)] if i.opcode == "parameter" else i for i in operands]


def _constant(computation, state: Instruction | None, place: int) -> int | None:
    """The integer at ``place`` of a tuple, if it is constant."""
    if state is None or state.opcode != "tuple":
        return None
    value = _uncopied(computation, state.operands[place])
    return int(value.arguments) if value.opcode == "constant" else None


def _step(module, body: Computation, place: int) -> int | None:
    """What one run of ``body`` adds to the counter at ``place`` of its state."""
    if body.root.opcode != "tuple":
        return None
    value, operands = _inlined(module, body, _uncopied(body, body.root.operands[place]))
    constants = [operand for operand in operands if operand.opcode == "constant"]
    return int(constants[0].arguments) if value.opcode == "add" and len(constants) == 1 else None


def _uncopied(computation, name: str) -> Instruction:
    value = computation.instructions[name]
    while value.opcode in ("copy", "bitcast"):
        value = computation.instructions[value.operands[0]]
    return value


def _parse_computation(lines) -> Computation:
    instructions, root = {}, None
    for line in lines:
        if line.startswith("}"):
            break
        if found := INSTRUCTION.match(line):
            instruction = _parse_instruction(found[2], found[3])
            instructions[instruction.name] = instruction
            root = instruction if found[1] or root is None else root
    return Computation(instructions, root)


def _parse_instruction(name: str, text: str) -> Instruction:
    end = _closing(text, 0) if text.startswith("(") else text.index(" ")
    type_, rest = text[:end], text[end:].lstrip()
    opening = rest.index("(")
    closing = _closing(rest, opening)
    arguments = rest[opening + 1 : closing - 1]
    return Instruction(name, type_, rest[:opening], tuple(NAME.findall(arguments)), arguments, rest[closing:])


def _closing(text: str, start: int) -> int:
    """The place behind the parenthesis that closes the one at ``start``."""
    depth = 0
    for place in re.finditer(r"[()]", text[start:]):
        depth += 1 if place[0] == "(" else -1
        if depth == 0:
            return start + place.end()
    raise ValueError(f"unbalanced parentheses in {text[:200]!r}")


def _width(dtype: str) -> int:
    """Bits of an element, 0 of what is no number (tokens)."""
    width = WIDTH.match(dtype)
    return int(width[1]) if width else 8 if dtype == "pred" else 0


def _dimensions(shape: str) -> list[int]:
    return [int(size.removeprefix("<=")) for size in shape.split(",") if size]
