"""Stages of a run: made once, edited by a person, and refused where they were made from something else."""

import dataclasses
import json

import pytest

from jaxalign.attributes import parse_task, render_task
from jaxalign.io.jobs import kept_task
from tests.attributes.tiny import TASK
from tests.full_disk import limited

GIVEN = dataclasses.replace(TASK, attributes=())
STAGES = ("dimensions", "similar", "values", "filtered")
SETTINGS = {"model": "m", "temperature": 1.0}


def never():
    pytest.fail("made again")


def similar(task):
    return dataclasses.replace(task, similar={"world": ("sport",)})


def keep(folder, stage, before, make, after="", **settings):
    return kept_task(folder, stage, before, make, settings=SETTINGS | settings, after=after)


def run(folder, given=GIVEN, **settings):
    """All four stages, each of which adds a length to the task of the one before; also which were made."""
    made, task = [], given
    for number, stage in enumerate(STAGES):

        def make(task=task, stage=stage, number=number):
            made.append(stage)
            return dataclasses.replace(task, lengths=(*task.lengths, 1000 + number))

        task = keep(folder, stage, task, make, STAGES[number - 1] if number else "", **settings)
    return task, made


def edit(path, old="news article", new="short news article"):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_stage_is_made_once_and_its_file_is_a_complete_task(tmp_path):
    made = keep(tmp_path / "new", "similar", TASK, lambda: similar(TASK))
    assert made == similar(TASK) == keep(tmp_path / "new", "similar", TASK, never)
    assert parse_task((tmp_path / "new" / "similar.toml").read_text()) == made
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["similar.toml", "similar.toml.settings.json"]


def test_each_stage_has_what_the_one_before_has(tmp_path):
    task, made = run(tmp_path)
    assert task.lengths == (30, 100, 1000, 1001, 1002, 1003) and made == list(STAGES)
    assert run(tmp_path) == (task, [])


def test_an_edit_before_the_next_stage_counts(tmp_path):
    keep(tmp_path, "dimensions", GIVEN, lambda: TASK)
    edit(tmp_path / "dimensions.toml")
    read = keep(tmp_path, "dimensions", GIVEN, never)
    assert read == dataclasses.replace(TASK, document="short news article")
    made = keep(tmp_path, "similar", read, lambda: similar(read))
    assert made.document == "short news article"
    assert keep(tmp_path, "similar", read, never) == made


def test_an_edit_of_an_earlier_stage_makes_the_later_file_stale(tmp_path):
    run(tmp_path)
    before = (tmp_path / "values.toml").read_text()
    edit(tmp_path / "similar.toml")
    message = (
        r"values\.toml was made from another task than .*similar\.toml, .*Delete values\.toml .*undo the edit of simi"
    )
    with pytest.raises(ValueError, match=message):
        run(tmp_path)
    assert (tmp_path / "values.toml").read_text() == before
    (tmp_path / "values.toml").unlink()  # the first remedy, which leads to the next stale file
    with pytest.raises(ValueError, match=r"filtered\.toml was made from another task than .*values\.toml"):
        run(tmp_path)
    assert parse_task((tmp_path / "values.toml").read_text()).document == "short news article"
    (tmp_path / "filtered.toml").unlink()
    task, made = run(tmp_path)
    assert made == ["filtered"] and task.document == "short news article"


def test_an_edit_that_is_undone_and_one_of_comments_change_nothing(tmp_path):
    task, _ = run(tmp_path)
    edit(tmp_path / "dimensions.toml", "[classes]", "\n[classes] # those of the paper")
    edit(tmp_path / "dimensions.toml")
    edit(tmp_path / "dimensions.toml", "short news article", "news article")
    assert run(tmp_path) == (task, [])


def test_the_order_of_classes_counts(tmp_path):
    """Prompts list them in it."""
    turned = dataclasses.replace(TASK, classes=dict(reversed(TASK.classes.items())))
    assert turned == TASK
    keep(tmp_path, "similar", TASK, lambda: similar(TASK))
    with pytest.raises(ValueError, match="made from another task"):
        keep(tmp_path, "similar", turned, never)


def test_the_first_stage_depends_on_what_the_run_was_given(tmp_path):
    run(tmp_path)
    other = dataclasses.replace(GIVEN, document="review")
    with pytest.raises(ValueError, match=r"dimensions\.toml was made from another task than the one that this run is"):
        run(tmp_path, given=other)


def test_a_stage_that_was_left_out_is_not_blamed(tmp_path):
    keep(tmp_path, "dimensions", GIVEN, lambda: TASK)
    keep(tmp_path, "values", TASK, lambda: TASK, "dimensions")
    edit(tmp_path / "dimensions.toml")
    read = keep(tmp_path, "dimensions", GIVEN, never)
    with pytest.raises(ValueError, match=r"values\.toml was made from another task than .*dimensions\.toml"):
        keep(tmp_path, "values", read, never, "dimensions")


def test_other_settings_are_named(tmp_path):
    run(tmp_path)
    with pytest.raises(
        ValueError, match=r"dimensions\.toml was made with other settings: settings.model was 'm' and is"
    ):
        run(tmp_path, model="n")


def test_a_file_that_a_person_wrote_is_theirs(tmp_path):
    (tmp_path / "values.toml").write_text(render_task(TASK))
    for before, model in ((TASK, "m"), (GIVEN, "n")):
        assert keep(tmp_path, "values", before, never, model=model) == TASK
    assert [path.name for path in tmp_path.iterdir()] == ["values.toml"]
    keep(tmp_path, "filtered", TASK, lambda: TASK, "values")
    edit(tmp_path / "values.toml")  # what was made from theirs is stale after an edit, as after any
    with pytest.raises(ValueError, match=r"filtered\.toml was made from another task than .*values\.toml"):
        keep(tmp_path, "filtered", keep(tmp_path, "values", TASK, never), never, "values")


def test_a_file_whose_settings_were_deleted_is_a_persons_own(tmp_path):
    keep(tmp_path, "similar", TASK, lambda: similar(TASK))
    (tmp_path / "similar.toml.settings.json").unlink()
    assert keep(tmp_path, "similar", GIVEN, never, model="n") == similar(TASK)


def test_a_killed_stage_leaves_no_task(tmp_path):
    """Before, while and after the settings are written: the next call makes the task."""
    with pytest.raises(KeyboardInterrupt):
        keep(tmp_path, "similar", TASK, lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert list(tmp_path.iterdir()) == []
    keep(tmp_path, "similar", TASK, lambda: TASK, model="n")
    (tmp_path / "similar.toml").unlink()
    assert keep(tmp_path, "similar", TASK, lambda: similar(TASK)) == similar(TASK)
    assert keep(tmp_path, "similar", TASK, never) == similar(TASK)


def test_a_full_disk_leaves_no_half_task(tmp_path):
    with limited(400), pytest.raises(OSError, match=r"could not write .*similar\.toml: .*Free space"):
        keep(tmp_path, "similar", TASK, lambda: TASK)
    assert [path.name for path in tmp_path.iterdir()] == ["similar.toml.settings.json"]
    assert keep(tmp_path, "similar", TASK, lambda: TASK) == TASK


def test_a_file_that_holds_no_task_is_named(tmp_path):
    keep(tmp_path, "similar", TASK, lambda: TASK)
    edit(tmp_path / "similar.toml", "document =", "documents =")
    with pytest.raises(ValueError, match=r"similar\.toml: the task: unknown field 'documents'.* delete it"):
        keep(tmp_path, "similar", TASK, never)


@pytest.mark.parametrize("beside", ["{ruined", "[]", json.dumps({"format": 1})])
def test_ruined_settings_are_named(tmp_path, beside):
    keep(tmp_path, "similar", TASK, lambda: TASK)
    (tmp_path / "similar.toml.settings.json").write_text(beside)
    with pytest.raises(ValueError, match=r"similar\.toml\.settings\.json is not what .*delete"):
        keep(tmp_path, "similar", TASK, never)
