"""What tests cost: a table by directory at the end, a limit for one test, and the tier of ``--fast``.

Costs are CPU seconds of the worker and of its child processes that have ended: they change little on a machine that
does other work too, as seconds on the clock do. What a module or session shares is counted for each test that uses it,
since each would have to make it when run alone.
"""

import collections
import pathlib
import resource

import jax
import pytest

LIMIT = 30.0  # of one test, or of one thing that tests share: more is two tests, or proves what another has proven
SLOW = 0.3  # what costs more is left out by --fast
RECORD = pathlib.Path(__file__).with_name("slow.tsv")
# JAX tells of each program that it asks XLA for, and then of those that it had kept.
ASKED, KEPT = "/jax/core/compile/backend_compile_duration", "/jax/compilation_cache/cache_hits"

events = collections.Counter()  # of JAX, in the test that runs
shared = {}  # fixture of a module or session: CPU seconds of its last set-up
made = []  # those of them that the test that runs had made
costs = {}  # in the process that reports: what each test cost


def pytest_addoption(parser):
    group = parser.getgroup("costs")
    group.addoption("--fast", action="store_true", help=f"leave out tests recorded at over {SLOW} s of CPU")
    group.addoption("--limit", type=float, default=LIMIT, metavar="SECONDS", help="of CPU that one test may take")
    group.addoption("--record-slow", action="store_true", help=f"record the tests over {SLOW} s in tests/{RECORD.name}")


def pytest_configure(config):
    config.addinivalue_line("markers", f"slow: recorded at over {SLOW} CPU seconds in tests/{RECORD.name}")
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: events.update([event]))
    jax.monitoring.register_event_listener(lambda event, **_: events.update([event]))


def recorded():
    """CPU seconds of the slow tests, by their ids."""
    if not RECORD.exists():
        return {}
    lines = RECORD.read_text().splitlines()
    return {test: float(seconds) for seconds, test in (line.split("\t") for line in lines)}


def record(costs):
    """Replace what is recorded of the tests that ran, and forget those whose function is gone."""
    kept = {test: seconds for test, seconds in recorded().items() if test not in costs and still_there(test)}
    kept |= {test: seconds for test, seconds in costs.items() if seconds > SLOW}
    RECORD.write_text("".join(f"{seconds:.1f}\t{test}\n" for test, seconds in sorted(kept.items())))


def still_there(test):
    file, *_, name = test.partition("[")[0].split("::")
    path = RECORD.parents[1] / file
    return path.exists() and f"def {name}(" in path.read_text()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    slow = recorded()
    for item in items:
        if item.nodeid in slow:
            item.add_marker("slow")
    if config.getoption("fast"):
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in slow])
        items[:] = [item for item in items if item.nodeid not in slow]
    if hasattr(config, "workerinput"):  # workers take file after file: the longest first, so that none waits at the end
        files = collections.Counter()
        for item in items:
            files[item.path] += 0.05 + slow.get(item.nodeid, 0)
        items.sort(key=lambda item: -files[item.path])


def cpu_seconds():
    usages = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    events.clear()
    made.clear()
    item.started = cpu_seconds()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef):
    before = cpu_seconds()
    try:
        return (yield)
    finally:
        if fixturedef.scope != "function":
            shared[fixturedef.argname] = cpu_seconds() - before
            made.append(fixturedef.argname)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "teardown":
        spent = cpu_seconds() - item.started
        alone = spent + sum(shared.get(name, 0) for name in item.fixturenames if name not in made)
        report.user_properties.append(("costs", (spent, alone, events[ASKED] - events[KEPT])))
        parts = {name: shared[name] for name in made}
        parts[item.name] = spent - sum(parts.values())  # the same whichever test comes first
        dearest, limit = max(parts, key=parts.get), item.config.getoption("limit")
        if parts[dearest] > limit and report.passed:
            report.outcome = "failed"
            report.longrepr = (
                f"{dearest}: expected at most {limit:.0f} s of CPU, took {parts[dearest]:.1f}. Share, shrink or split "
                f"it, or, where this machine is slow, pass --limit"
            )
    return report


def pytest_runtest_logreport(report):
    if report.when == "teardown":
        costs[report.nodeid] = dict(report.user_properties)["costs"]


def pytest_terminal_summary(terminalreporter, config):
    if not costs:
        return
    if config.getoption("record_slow"):
        record({test: alone for test, (_, alone, _) in costs.items()})
    rows = collections.defaultdict(lambda: [0, 0.0, 0])
    for test, (spent, _, programs) in costs.items():
        for key in pathlib.PurePath(test.partition("::")[0]).parent.as_posix(), "all":
            rows[key] = [total + one for total, one in zip(rows[key], (1, spent, programs), strict=True)]
    terminalreporter.section("CPU seconds, tests and compiled programs by directory")
    for name, (count, spent, programs) in sorted(rows.items(), key=lambda row: row[1][1]):
        terminalreporter.line(f"{spent:8.1f} s {count:6} tests {programs:6} programs  {name}")
    terminalreporter.section("the ten dearest")
    dearest = sorted(costs.items(), key=lambda cost: -cost[1][0])
    for test, (spent, _, _) in dearest[:10]:
        terminalreporter.line(f"{spent:8.1f} s  {test}")
    if getattr(config, "cache", None) is not None:
        file = config.cache.mkdir("costs") / "tests.tsv"
        file.write_text("".join(f"{spent:.3f}\t{programs}\t{test}\n" for test, (spent, _, programs) in dearest))
        terminalreporter.line(f"all of them: {file}")
