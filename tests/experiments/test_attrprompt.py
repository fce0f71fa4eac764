"""experiments.attrprompt in its made world: what a toy run writes and shows, and that it goes on after anything."""

import contextlib
import functools
import io
import itertools
import json
import shutil
from typing import NamedTuple

import pytest

from experiments.attrprompt import __main__ as attrprompt
from experiments.attrprompt import comparison, figures, methods, worlds
from experiments.attrprompt.methods import ATTRPROMPT, METAPROMPT, METHODS, SHUFFLED, SIMPROMPT, UNFILTERED
from experiments.attrprompt.simulated_writer import SimulatedWriter
from experiments.attrprompt.storage import STAGES
from experiments.common.fields import replace
from jaxalign import attributes
from jaxalign.attributes import OTHER, parse_task
from jaxalign.io import jobs, report
from jaxalign.io.jobs.document_rows import check_prompts
from jaxalign.io.llm import Usage
from jaxalign.io.llm.service import Ledger
from tests.io.report.test_pages import browse, measure

TOY = replace(attrprompt.DEFAULT, num_documents=20, num_simple=0, seeds=2, num_gold=(120, 240))


class Toy(NamedTuple):
    """A run, what was expected before it, and what it was answered."""

    config: attrprompt.Config
    expected: dict[str, Usage]
    ledger: Ledger
    grounds: list[worlds.Ground]
    written: list[dict[str, methods.Written]]
    tables: dict[str, float]
    page: str
    files: dict[str, bytes]


def write(config):
    """Writes without any classifier; what was expected, asked and written."""
    ledger = Ledger()
    grounds = worlds.make_grounds(config.task, config.attributes, config.texts, config.seeds)
    engines = worlds.open_writers(config.llm, config.output, ledger, grounds)
    expected = attrprompt.expect(config, grounds, engines)
    assert ledger.asked.requests == 0
    written, pauses = attrprompt.write(config, grounds, engines)
    assert not pauses
    return expected, ledger, grounds, written


def contents(folder):
    """Stages and documents."""
    paths = [path for path in folder.rglob("*") if path.suffix in (".toml", ".jsonl") or path.name == "stages.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(paths)}


def quietly(config):
    with contextlib.redirect_stdout(io.StringIO()):
        return attrprompt.main(config)


@pytest.fixture(scope="module", autouse=True)
def few_subsamples():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "SUBSAMPLES", 2)
        yield


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    config = replace(TOY, output=tmp_path_factory.mktemp("attrprompt"))
    expected, ledger, grounds, written = write(config)
    before = contents(config.output)
    tables = quietly(config)
    assert contents(config.output) == before  # which asked nothing
    page = (config.output / "report.html").read_text()
    return Toy(config, expected, ledger, grounds, written, tables, page, before)


def of(tables, title, row, name="accuracy"):
    return tables[f"{title}/{row}/{name}"]


def test_all_tables_are_there(toy):
    for title in (comparison.EQUAL_TOKENS, comparison.EQUAL_DOCUMENTS, figures.DIVERSITY):
        rows = {key.split("/")[1] for key in toy.tables if key.startswith(f"{title}/")}
        assert rows == {*METHODS, comparison.GOLD}
    assert len({key.split("/")[1] for key in toy.tables if key.startswith(f"{comparison.CONTROLS}/")}) == 5
    assert of(toy.tables, comparison.BY_COST, comparison.AGAINST_BEST) == pytest.approx(
        of(toy.tables, comparison.BY_COST, "AttrPrompt, 3 of 3")
        - of(toy.tables, comparison.BY_COST, "SimPrompt, 2 of 2"),
        abs=0.05,
    )


def test_attributes_help_and_shuffled_ones_do_not(toy):
    gain = functools.partial(of, toy.tables, comparison.CONTROLS)
    assert gain(comparison.EQUAL_TOKENS) > 0.1 and gain(comparison.EQUAL_DOCUMENTS) > 0.1
    assert gain("names of classes masked, at equal tokens") > 0.1
    assert gain("lengths matched, at equal documents") > 0.1
    assert gain("values shuffled across rows, at equal tokens") <= 0.02


def test_no_method_takes_more_tokens_than_attrprompt(toy):
    for written in toy.written:
        most = methods.total_tokens(written[ATTRPROMPT])
        for method, each in written.items():
            kept = methods.within(each, most)
            took = methods.total_tokens(each._replace(rows=kept))
            rounds = sum(row.tokens for row in each.rows[:12]) / 2
            assert most - rounds < took <= most, method
            assert len(each.rows) % 6 == 0 and len(each.rows) >= 120


def test_the_filter_drops_planted_values_and_few_others(toy):
    for ground, written in zip(toy.grounds, toy.written, strict=True):
        before, after = (written[method].task.attribute("subtopic").values for method in (UNFILTERED, ATTRPROMPT))
        dropped = {(label, value) for label in before for value in {*before[label]} - {*after[label]}}
        planted = {(label, value) for label, each in ground.world.ambiguous.items() for value in each}
        assert len(dropped & planted) >= 0.95 * len(planted) and len(dropped - planted) <= 0.05 * 48
        assert all(values[-1] == OTHER for values in after.values())
        notes = " ".join(note for stage in written[ATTRPROMPT].stages for note in stage.notes)
        assert all(value in notes for _, value in dropped) and "something else" in notes


def asked_by_part(toy):
    """What was really asked for, by stage and method, a stage once."""
    parts = {}
    for written in toy.written:
        stages = {stage.path: stage for each in written.values() for stage in each.stages}
        for path, stage in stages.items():
            parts[path.stem] = parts.get(path.stem, 0) + stage.asked.tokens
        for method, each in written.items():
            parts[method] = parts.get(method, 0) + sum(row.tokens for row in each.rows)
    return parts


def test_written_totals_are_those_of_the_ledger(toy):
    assert sum(asked_by_part(toy).values()) == toy.ledger.asked.tokens
    requests = sum(row.requests for written in toy.written for each in written.values() for row in each.rows)
    stages = {stage.path: stage.asked for written in toy.written for each in written.values() for stage in each.stages}
    assert requests + sum(asked.requests for asked in stages.values()) == toy.ledger.asked.requests
    assert stages.keys() == {
        toy.config.output / f"seed-{seed}" / f"{name}.toml"
        for seed in (0, 1)
        for name in STAGES
        if name != "dimensions"
    }
    written = toy.written[0]
    assert [stage.path.stem for stage in written[UNFILTERED].stages] == ["similar", "values"]
    for title in (comparison.EQUAL_TOKENS, comparison.EQUAL_DOCUMENTS):  # stages are paid in every comparison
        mean = sum(methods.total_tokens(each[ATTRPROMPT]) for each in toy.written) / 2
        assert of(toy.tables, title, ATTRPROMPT, "tokens") == mean
        assert of(toy.tables, title, ATTRPROMPT, "requests") == 120 + 6 + 8 + 198
    assert not any(key.endswith(comparison.DOLLARS) for key in toy.tables)


def test_the_estimate_is_what_was_asked(toy):
    assert sum(usage.tokens for usage in toy.expected.values()) == pytest.approx(toy.ledger.asked.tokens, rel=0.1)
    parts = asked_by_part(toy)
    assert parts.keys() == toy.expected.keys()
    for name in (*METHODS, "filtered"):
        assert toy.expected[name].tokens == pytest.approx(parts[name], rel=0.1), name
    for name in ("similar", "values"):  # of few tokens; how long a model's instructions are is anybody's guess
        assert toy.expected[name].tokens == pytest.approx(parts[name], rel=0.25), name
    for name in {*METHODS} - {METAPROMPT}:
        requests = sum(len(written[name].rows) for written in toy.written)
        assert toy.expected[name].requests == pytest.approx(requests, rel=0.1), name
    assert toy.expected["filtered"].requests == 2 * 6 * 11 * 3


def test_what_is_there_is_not_expected_again(toy, tmp_path):
    config = copied(toy, tmp_path)
    assert expected(config) == {}
    for path in (config.output / "seed-1").glob("SimPrompt/*"):
        path.unlink()
    cut(config.output / "seed-0" / ATTRPROMPT / "documents.jsonl", 0.5)
    rest = expected(config)
    assert rest.keys() == {ATTRPROMPT, SIMPROMPT} and rest[ATTRPROMPT].requests == 60
    simple = toy.written[1][SIMPROMPT].rows
    assert rest[SIMPROMPT].requests == pytest.approx(len(simple), rel=0.1)
    assert contents(config.output).keys() < toy.files.keys()


def copied(toy, folder, **fields):
    shutil.copytree(toy.config.output, folder, dirs_exist_ok=True)
    return replace(toy.config, output=folder, **fields)


def expected(config):
    grounds = worlds.make_grounds(config.task, config.attributes, config.texts, config.seeds)
    return attrprompt.expect(config, grounds, worlds.open_writers(config.llm, config.output, Ledger(), grounds))


def cut(path, share):
    """Leaves a share of the lines, and half of the next one."""
    lines = path.read_bytes().splitlines(keepends=True)
    kept = int(share * len(lines))
    path.write_bytes(b"".join(lines[:kept]) + lines[kept][: len(lines[kept]) // 2])


class KilledError(Exception):
    """Stands for what ends a run at any place."""


def test_a_run_that_was_ended_anywhere_goes_on(toy, tmp_path, monkeypatch):
    """Runs that end before their n-th call of the writer, and one whose last line was cut."""
    generate, config = SimulatedWriter.generate, replace(toy.config, seeds=1, output=tmp_path, until="documents")
    whole = {name: text for name, text in toy.files.items() if name.startswith("seed-0")}
    for calls in (1, 2, 4, 6, 1, 4):
        left = itertools.count(calls, -1)

        def ending(self, prompts, left=left, **options):
            if not next(left):
                raise KilledError
            return generate(self, prompts, **options)

        monkeypatch.setattr(SimulatedWriter, "generate", ending)
        with pytest.raises(KilledError):
            quietly(config)
        assert contents(tmp_path) != whole
    cut(tmp_path / "seed-0" / ATTRPROMPT / "documents.jsonl", 0.4)
    monkeypatch.setattr(SimulatedWriter, "generate", generate)
    quietly(config)
    assert contents(tmp_path) == whole


def test_the_same_command_asks_nothing_and_has_the_same_figures(toy, monkeypatch):
    monkeypatch.setattr(SimulatedWriter, "generate", None)
    again = quietly(replace(toy.config, methods=(SIMPROMPT,)))
    same = {key: again[key] for key in again if not key.startswith(figures.DIVERSITY)}  # whose count is that of all
    assert same.items() <= toy.tables.items() and len(same) > 40
    assert contents(toy.config.output) == toy.files


def test_every_prompt_rendered_again_has_its_hash(toy):
    rows = 0
    for seed, written in enumerate(toy.written):
        folder = toy.config.output / f"seed-{seed}"
        said = parse_task((folder / "instructions.toml").read_text()).attribute("instructions").values
        renders = dict.fromkeys((ATTRPROMPT, UNFILTERED, SHUFFLED), attributes.render_document)
        renders[SIMPROMPT] = attributes.render_simple_document
        renders[METAPROMPT] = lambda task, assignment, said=said: attributes.render_instructed_document(
            task, assignment, said[assignment.label][0]
        )
        for method, render in renders.items():
            for path in sorted((folder / method.replace(" ", "-")).glob("documents*.jsonl")):
                rows += check_prompts(path, written[method].task, render)
    assert rows == sum(len(each.rows) for written in toy.written for each in written.values())


def test_failed_rows_are_asked_again_and_no_other(toy, tmp_path):
    config = copied(toy, tmp_path, retry_failed=True, seeds=1)
    files = {name: text for name, text in toy.files.items() if name.startswith("seed-0")}
    failed = sum(json.loads(line)["text"] is None for text in files.values() for line in lines(text))
    assert failed > 20 and sum(usage.requests for usage in expected(config).values()) >= failed
    _, ledger, _, written = write(config)
    again, other = 0, 0
    for name, text in contents(tmp_path / "seed-0").items():
        name = f"seed-0/{name}"
        if not name.endswith(".jsonl"):
            assert text == toy.files[name]
        for number, line in enumerate(lines(text)):
            row = json.loads(line)
            if name not in toy.files:
                other += 1 + row["attempt"]  # SimPrompt goes on to the tokens that AttrPrompt takes now
            elif row["attempt"]:
                old = json.loads(lines(toy.files[name])[number])
                assert old["text"] is None and row["earlier"] == [{"reason": "refused", **usage(old)}]
                again += 1
            else:
                assert line == lines(toy.files[name])[number]
    assert again == failed and again + other == ledger.asked.requests
    before, after = (sum(map(methods.total_tokens, run[0].values())) for run in (toy.written, written))
    assert after - before == ledger.asked.tokens  # costs of all attempts
    for run in written:
        for each in run.values():
            assert methods.total_tokens(each) > methods.total_tokens(run[ATTRPROMPT]) * 0.98
    retried = [row for row in written[0][ATTRPROMPT].rows if row.requests == 2]
    assert retried and any(row.document.text for row in retried)


def lines(text):
    return text.splitlines() if text[:9] == b'{"label":' else []


def usage(row):
    return {name: row[name] for name in ("model", "prompt_tokens", "completion_tokens", "tokens")}


def test_a_preview_prints_prompts_and_asks_nothing(tmp_path, capsys, monkeypatch):
    asked = []
    generate = SimulatedWriter.generate

    def counting(self, prompts, **options):
        asked.extend(prompts)
        return generate(self, prompts, **options)

    monkeypatch.setattr(SimulatedWriter, "generate", counting)
    config = replace(TOY, output=tmp_path, seeds=1, preview=5)
    assert attrprompt.main(config) == {}
    out = capsys.readouterr().out
    assert out.startswith("similar: 5 of the 6 prompts that come next") and out.count("--- prompt ") == 5
    assert "Which 2 of these classes" in out and asked == [] and contents(tmp_path) == {}
    attrprompt.main(replace(config, preview_answers=True))
    out = capsys.readouterr().out
    assert out.count("--- answer ") == 5 == len(asked) and "Sure! Here are some:" in out and contents(tmp_path) == {}
    asked.clear()
    quietly(replace(config, preview=0, until="filtered"))
    stages = contents(tmp_path)
    capsys.readouterr()
    asked.clear()
    attrprompt.main(config)
    out = capsys.readouterr().out
    assert out.startswith(f"{ATTRPROMPT}: 5 of the 64 prompts") and "1. The subtopic is: " in out and asked == []
    attrprompt.main(replace(config, preview_answers=True))
    assert len(asked) == 5 and capsys.readouterr().out.count("--- answer ") == 5
    assert contents(tmp_path) == stages
    with pytest.raises(ValueError, match="--preview-answers: expected --preview N with it"):
        attrprompt.main(replace(config, preview=0, preview_answers=True))


def test_a_preview_of_a_complete_run(toy, capsys):
    assert attrprompt.main(replace(toy.config, preview=3)) == {}
    assert capsys.readouterr().out.startswith("Everything is written already")


def test_edited_values_count_until_something_was_made_of_them(tmp_path, capsys):
    config = replace(TOY, output=tmp_path, num_documents=6, seeds=2, methods=())
    attrprompt.main(replace(config, until="values"))
    said = capsys.readouterr().out
    assert all(f"{tmp_path / f'seed-{seed}' / 'values.toml'} is there; edit it" in said for seed in (0, 1))
    path = tmp_path / "seed-0" / "values.toml"
    task = parse_task(path.read_text())
    value = task.attribute("region").values[0]
    path.write_text(path.read_text().replace(f'"{value}"', '"an island of mine"'))
    attrprompt.main(replace(config, until="documents"))
    assert "The documents are there" in capsys.readouterr().out
    rows = jobs.read_documents(tmp_path / "seed-0" / ATTRPROMPT / "documents.jsonl")
    regions = {dict(row.document.assignment.values)["region"] for row in rows}
    assert "an island of mine" in regions and value not in regions
    path.write_text(path.read_text().replace("an island of mine", "another island"))
    with pytest.raises(ValueError, match=r"filtered.toml was made from another task than .*Delete filtered.toml to"):
        attrprompt.main(config)
    path.write_text(path.read_text().replace("another island", "an island of mine"))
    with pytest.raises(ValueError, match="values.toml was made with other settings: settings.values was 11 and is 9"):
        attrprompt.main(replace(config, num_values=9))


def test_a_task_with_attributes_has_no_dimensions_to_ask_for(tmp_path, capsys):
    assert attrprompt.main(replace(TOY, output=tmp_path, until="dimensions")) == {}
    assert capsys.readouterr().out.startswith("the task has its attributes already; go on without --until")
    assert contents(tmp_path) == {}


def test_the_report(toy, tmp_path):
    text, page = toy.page, tmp_path / "report.html"
    page.write_text(text)
    for title in (comparison.EQUAL_TOKENS, comparison.CONTROLS, comparison.BY_COST, figures.DIVERSITY):
        assert f">{title}</h2>" in text
    for title in ("Accuracy by cost", "What became of the requests", "What the stages have to say"):
        assert f">{title}</h2>" in text
    for phrase in ("subtopic", "writing style", "region"):
        assert f">Attribute: {phrase}</h2>" in text
    assert "refused" in text and "most of a class" in text
    assert "distance to real texts" in text and "What the model was asked for" in text
    assert text.count("<details") == 2 * 6 and "The list of values depends on the class." in text
    first = toy.written[0][ATTRPROMPT].rows[0].document
    assert f"subtopic: {dict(first.assignment.values)['subtopic']}; writing style: " in text and first.text in text
    _, console = browse(page, "--dump-dom")
    assert console == []
    page.write_text(text.replace("<details", "<details open"))
    widths = (400, 1100)
    for found, width in zip(measure(page, widths), widths, strict=True):
        assert found["cut"] == [] and not found["wider"] and found["width"] == width


def test_texts_of_models_are_escaped(toy, tmp_path):
    attack = "<script>document.title = 'broken'</script>"
    rows = toy.written[0][ATTRPROMPT].rows[:6]
    values = (("subtopic", attack), ("length", "20 to 40"))
    rows = [
        row._replace(
            document=row.document._replace(text=attack, assignment=row.document.assignment._replace(values=values))
        )
        for row in rows
    ]
    written = {ATTRPROMPT: toy.written[0][ATTRPROMPT]._replace(rows=rows)}
    shown = figures.sections({}, written, toy.grounds[0]._replace(truth=None), 6)
    path = report.write_report(tmp_path / "a.html", "t", summary={}, sections=shown)
    assert attack not in path.read_text() and path.read_text().count("&lt;script&gt;") > 6
    page, console = browse(path, "--dump-dom")
    assert console == [] and "<title>t</title>" in page
