"""Where thinking ends, and that nothing else is read of it."""

import pytest

from jaxalign import prompting


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Answer: A", "Answer: A"),
        ("<think>a</think>b", "b"),
        ("a</think>b", "b"),
        ("<think>a</think>b<think>c</think>d", "d"),
        ("<THINK>a</THINK> b", " b"),
        ("<thinking>a</thinking>b", "b"),
        ("<seed:think>a</seed:think>b", "b"),
        ("<thought>a</thought>b", "b"),
        ("<reasoning effort='low'>a</reasoning>b", "b"),
        ("[THINK]a[/THINK]b", "b"),
        ("◁think▷a◁/think▷b", "b"),
        ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>", "b"),
        ("<unused94>thought a<unused95>b", "b"),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>", "b"),
        ("analysisA long thought.assistantfinalb", "b"),
        ("The analysis of both texts", "The analysis of both texts"),
        ("I think <b>so</b>", "I think <b>so</b>"),
        ("<think>a", None),
        ("<think>a</think>b<think>c", None),
        ("<thinking>a", None),
        ("[THINK]a", None),
        ("◁think▷a", None),
        ("<unused94>thought a", None),
        ("<|channel|>analysis<|message|>a", None),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>b", None),
        ("analysisA long thought", None),
    ],
)
def test_what_is_left_of_a_text(text, expected):
    assert prompting.final_text(text) == expected
