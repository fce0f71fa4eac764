"""The compiler flags of the tests: an unknown one would abort every process that names it."""

import pytest

from tests import processes


@pytest.mark.parametrize(
    ("wanted", "known"),
    [
        (["--xla_no_such_flag=1", "--xla_backend_optimization_level=0"], ["--xla_backend_optimization_level=0"]),
        (["--xla_backend_optimization_level=0", "--xla_gone=true", "--xla_gone_too=1"], None),
        (["--xla_no_such_flag=1"], []),
        ([], []),
    ],
)
def test_only_flags_that_this_library_knows_are_passed(wanted, known):
    assert processes.known_flags(wanted) == (wanted[:1] if known is None else known)


def test_tests_run_with_flags_that_are_known():
    flags = processes.FAST_COMPILATION.split()
    assert set(flags) <= set(processes.WANTED) and "--xla_backend_optimization_level=0" in flags
