"""Programs that tests lower share contexts of MLIR, and come out as they would in contexts of their own."""

import threading

import jax
import jax.numpy as jnp
from jax._src.interpreters import mlir

from tests import contexts


def lowered(number):
    return jax.jit(lambda x: jnp.sin(x) + number).lower(1.0)


def context_of(program):
    return program.compiler_ir().context


def test_programs_share_one_context_until_another_takes_its_place(monkeypatch):
    monkeypatch.setattr(contexts, "_here", threading.local())
    monkeypatch.setattr(contexts, "PROGRAMS", 2)
    first, second, third = map(lowered, range(3))
    assert context_of(first) == context_of(second) != context_of(third)


def test_a_thread_has_a_context_of_its_own():
    programs = []
    thread = threading.Thread(target=lambda: programs.append(lowered(0)))
    thread.start()
    thread.join()
    assert context_of(programs[0]) != context_of(lowered(0))


def test_programs_are_the_same_in_contexts_of_their_own(monkeypatch):
    shared = lowered(0).as_text()
    monkeypatch.setattr(contexts, "_shared", mlir.make_ir_context)
    assert lowered(0).as_text() == shared
