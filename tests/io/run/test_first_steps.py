"""What the first steps say of a run, from rows written by hand."""

import pytest

from jaxalign.io.run.first_steps import FirstSteps, judge_first_steps


def rows(losses, **others):
    columns = {"loss": losses, "grad_norm": [1.0] * len(losses), **others}
    return [{"step": n, **{name: values[n - 1] for name, values in columns.items()}} for n in range(1, len(losses) + 1)]


def test_a_loss_that_rises_twice_running():
    (said,) = judge_first_steps(rows([2.98, 3.2, 3.45, 3.61]), 100)  # 3.427 is 1.15 times the first
    assert said.startswith("loss rises: 2.98 in step 1, 3.45 and 3.61 in steps 3 and 4. The learning rate is too high")
    assert judge_first_steps(rows([2.98, 3.5, 2.9, 3.5, 2.9]), 100) == []  # noise goes up and down
    (said,) = judge_first_steps(rows([-1.0, -0.8, -0.7]), 100)
    assert said.startswith("loss rises: -1 in step 1")


def test_a_policy_that_flies_off():
    (said,) = judge_first_steps(rows([0.7, 0.6], log_ratio=[0.0, -81.0]), 100)
    assert said.startswith("policy is -81 nats a response away from its reference after 2 steps")
    assert judge_first_steps(rows([0.7, 0.6], log_ratio=[0.0, -8.0]), 100) == []


@pytest.mark.parametrize("pace,still", [(1e-6, True), (1e-3, False)])
def test_rewards_that_will_not_have_moved_by_the_end(pace, still):
    """The last half of 20 steps has a mean margin of 15.5 paces, and 100 steps have 100 / 15 times that."""
    first = rows([0.69] * 20, margin=[pace * step for step in range(1, 21)])
    assert judge_first_steps(first[:19], 100) == []  # too early to say
    said = judge_first_steps(first, 100)
    assert len(said) == still
    assert all(f"the margin between better and worse responses is {15.5 * pace:.2g} after 20" in each for each in said)
    assert all(f"about {15.5 * pace * 100 / 15:.2g} after 100" in each for each in said)


def test_gradients_of_nothing():
    first = rows([0.69] * 20, margin=[0.0] * 20)
    for row in first:
        row["grad_norm"] = 0.0
    (said,) = judge_first_steps(first, 100)
    assert said.startswith("gradients are exactly 0 in all of the first 20 steps")


def test_each_is_said_once_and_early(capsys):
    watch = FirstSteps("dpo", 100)
    for row in rows([1.0, 2.0, 3.0, 4.0, 5.0], log_ratio=[0.0, 60.0, 70.0, 80.0, 90.0]):
        watch(row["step"], row)
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[2][:20] for line in said] == [" WARNING: policy is ", " WARNING: loss rises"]
    later = FirstSteps("dpo", 100)  # a run that goes on from step 8
    later(9, {"loss": 1.0, "log_ratio": 99.0})
    assert capsys.readouterr().err == ""
