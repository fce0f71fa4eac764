"""Reading HLO text: sizes and loops, by hand."""

import pytest

from tools.planning import hlo

LOOP = """HloModule loop

%body (state: (s32[], f32[4])) -> (s32[], f32[4]) {{
  %state = (s32[], f32[4]) parameter(0)
  %i = s32[] get-tuple-element(%state), index=0
  %y = f32[4]{{0}} get-tuple-element(%state), index=1
  %step = s32[] constant({step})
  %next = s32[] {counter}
  ROOT %after = (s32[], f32[4]) tuple(%next, %y)
}}

%plus (c: s32[], d: s32[]) -> s32[] {{
  %c = s32[] parameter(0)
  %d = s32[] parameter(1)
  ROOT %sum = s32[] add(%c, %d)
}}

%less (a: s32[], b: s32[]) -> pred[] {{
  %b = s32[] parameter(1)
  %a = s32[] parameter(0)
  ROOT %compare.1 = pred[] compare(%a, %b), direction={direction}
}}

%condition (state.1: (s32[], f32[4])) -> pred[] {{
  %limit = s32[]{{:T(128)}} constant({limit})
  %state.1 = (s32[], f32[4]) parameter(0)
  %counter = s32[] get-tuple-element(%state.1), index=0
  ROOT %last = pred[] {condition}
}}

ENTRY %main (x: f32[4]) -> (s32[], f32[4]) {{
  %x = f32[4]{{0}} parameter(0)
  %first = s32[] constant({start})
  %copied = s32[] copy(%first)
  %start = (s32[], f32[4]) tuple(%copied, %x)
  ROOT %while.1 = (s32[], f32[4]) while(%start), condition=%condition, body=%body{attributes}
}}
"""
DIRECT, FUSED = "compare(%counter, %limit), direction=LT", "fusion(%counter, %limit), kind=kLoop, calls=%less"


def trips(condition=DIRECT, counter="add(%i, %step)", start=0, step=1, limit=5, direction="LT", attributes=""):
    values = {"condition": condition, "counter": counter, "start": start, "step": step, "limit": limit}
    module = hlo.parse_module(LOOP.format(**values, direction=direction, attributes=attributes))
    entry = module.computations[module.entry]
    return hlo.trip_count(module, entry, entry.root)


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("f32[]", 4),
        ("bf16[4,1536,8,256]{3,1,2,0:T(8,128)(2,1)S(1)}", 2 * 4 * 1536 * 8 * 256),
        ("(f32[2,3]{1,0}, /*index=1*/(s8[5], pred[7]), token[])", 24 + 5 + 7),
        ("(s4[6], c64[2], f8e4m3fn[3], s32[<=8])", 3 + 16 + 3 + 32),
    ],
)
def test_bytes_of_types(type_, expected):
    assert hlo.type_bytes(type_) == expected


def test_elements_of_a_tuple():
    assert hlo.tuple_elements("((f32[2,3]{1,0:T(8,128)}, u8[]), /*index=1*/bf16[4]{0})") == [
        "(f32[2,3]{1,0:T(8,128)}, u8[])",
        "bf16[4]{0}",
    ]
    assert hlo.tuple_elements("f32[2,3]") == ["f32[2,3]"]


def test_an_instruction():
    text = (
        "ENTRY %main.1 (x: f32[8]) -> f32[2] {\n  ROOT %r.1 = f32[2]{0} reduce-scatter(f32[8]{0} %x), to_apply=%add\n}"
    )
    root = hlo.parse_module(text).computations["main.1"].root
    assert (root.name, root.type, root.opcode, root.operands) == ("r.1", "f32[2]{0}", "reduce-scatter", ("x",))
    assert root.called("to_apply") == ["add"] and root.called("body") == []


def test_several_called_computations():
    text = (
        "ENTRY %m () -> f32[] {\n  ROOT %c = f32[] conditional(%i, %a, %b), branch_computations={%first.1, %second}\n}"
    )
    assert hlo.parse_module(text).computations["m"].root.called("branch_computations") == ["first.1", "second"]


@pytest.mark.parametrize("condition", [DIRECT, FUSED])
def test_trips_from_the_condition(condition):
    assert trips(condition) == 5
    assert trips(condition, start=2) == 3
    assert trips(condition, start=7) == 0


@pytest.mark.parametrize("counter", ["add(%i, %step)", "fusion(%i, %step), kind=kLoop, calls=%plus"])
def test_trips_of_longer_steps(counter):
    """Counters 0, 2, 4 are below 5, and 0, 2 below 4."""
    assert trips(counter=counter, step=2) == 3
    assert trips(counter=counter, step=2, limit=4) == 2
    assert trips(counter="multiply(%i, %step)", step=2) is None


def test_trips_of_other_comparisons():
    assert trips(FUSED, direction="LE") == 6
    assert trips(FUSED, direction="NE") == 5
    assert trips(FUSED, direction="GT") is None
    assert trips("parameter(0)") is None


def test_the_compiler_s_own_count_comes_first():
    assert trips(attributes=', backend_config={"known_trip_count":{"n":"9"},"x":{}}') == 9


def test_text_without_a_program():
    with pytest.raises(ValueError, match="no ENTRY computation"):
        hlo.parse_module("HloModule empty")
