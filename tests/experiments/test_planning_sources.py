"""Where experiments.planning gets its articles: records, KILT's and SciNews's layouts, and FreshWiki itself."""

import json

import pytest

from experiments.common import machines
from experiments.planning import __main__ as planning_run
from experiments.planning import sources
from experiments.planning.settings import Files
from jaxalign import data, planning


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def preset(name, *words):
    return machines.command_line(planning_run.PRESETS, [name, *map(str, words)])[0]


def test_records_keep_their_steps_and_other_columns_are_not_read(tmp_path):
    record = planning.from_row({"x": "Bees", "article": "# Life\nBees fly.", "outline": ["Life"], "id": "1"})
    path = tmp_path / "records.jsonl"
    sources.write_records(path, [record])
    assert sources.read(Files(data=path)).records == [record]
    write_rows(path, [{**planning.to_row(record), "url": "https://bees.example"}])
    assert sources.read(Files(data=path)).records == [record]


def test_scinews_and_kilt_are_read_in_their_own_layout(tmp_path):
    news = write_rows(tmp_path / "news.json", [{"Paper_Body": "We count bees.", "News_Body": "Bees were counted."}])
    (record,) = sources.read(preset("scinews", "--data", news).files).records
    assert (record.x, record.article) == ("We count bees.", "Bees were counted.")
    paragraphs = [
        "Bees\n",
        "Insects.\n",
        "Section::::Life.\n",
        "They fly.\n",
        "Section::::See also.\n",
        "BULLET::::- Ants",
    ]
    kilt = write_rows(tmp_path / "kilt.jsonl", [{"wikipedia_title": "Bees", "text": paragraphs, "kilt_id": "1"}])
    source = sources.read(preset("kilt-wiki", "--data", kilt).files)
    (record,) = source.records
    assert (record.x, record.summary, record.article) == ("Bees", "Insects.", "# Life\nThey fly.")
    assert record.known_parts == ("summary", "outline") and "1 sections that list things" in source.notes[0]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"x": "Bees"}, "row 1: article: expected a text"),
        ({"x": "Bees", "article": "They fly.", "outline": "Life"}, "row 1: outline: expected a list"),
    ],
)
def test_a_bad_row_is_named(row, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        sources.read(Files(data=write_rows(tmp_path / "a.jsonl", [row])))


def test_what_is_learnt_is_not_tested_on(tmp_path):
    rows = [{"x": f"subject {n}", "article": "They fly."} for n in range(10)]
    path = write_rows(tmp_path / "a.jsonl", rows)
    with pytest.raises(ValueError, match="10 articles are learnt from too"):
        sources.read(Files(data=path, test=path))
    source = sources.read(Files(data=path))
    train, test = source.split(0.2, 0)
    assert len(test) == 2 and {r.x for r in train} | {r.x for r in test} == {row["x"] for row in rows}
    assert source.split(0.2, 1)[1] != test
    with pytest.raises(ValueError, match="leaves nothing to learn from or to test on"):
        source.split(0.01, 0)


def test_freshwiki_as_its_preset_reads_it(shared_data):
    source = sources.read(preset("freshwiki", "--data", shared_data / "freshwiki").files)
    assert len(source.records) == 75 and len(source.notes) == 3
    whole, lacking = sources.complete(source.records, planning.PARTS)
    # Cited sentences are missing where the first sections have none.
    assert (len(whole), len(lacking)) == (61, 14)
    assert max(len(record.article.split()) for record in source.records) < 400
    assert all(record.outline == planning.article_headings(record.article) for record in source.records)


def test_real_requests_are_read(shared_data):
    requests = data.read_file(shared_data / "longbench_write" / "prompts.parquet", sources.read_request)[0]
    assert len(requests) == 168 and min(request.length for request in requests) >= 100
    with pytest.raises(ValueError, match="a length of at least 1, got 'x' and 0"):
        sources.read_request({"prompt": "x", "length": 0})
