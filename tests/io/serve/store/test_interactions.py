import pytest

from jaxalign.io.serve.store.rows import Told
from tests.io.serve.store import made


@pytest.fixture
def who(store):
    return store.identify("a", "u", "s")


def test_what_is_added_is_there(store, who):
    full = made.interaction(who, opponent="large", probes=(4, 5), examples=(4, 5, 6), owners=(who.user,) * 3)
    bare = made.interaction(who, "bare", request=None, response=None, created=1001.0)
    store.add_interactions([full, bare])
    assert store.interactions(pending=False, limit=9) == [bare, full]  # the latest first
    assert store.interactions(pending=False, limit=1) == [bare]


def test_one_that_is_there_is_passed_over(store, who):
    store.add_interactions([made.interaction(who)])
    store.add_interactions([made.interaction(who, response="other"), made.interaction(who, "j")])
    assert {each.id: each.response for each in store.interactions(pending=False, limit=9)} == dict.fromkeys(
        "ij", "answered"
    )


def test_pending_are_those_still_to_be_asked_the_oldest_first(store, who):
    rows = [
        made.interaction(who, "neither"),
        made.interaction(who, "probes", probes=(1,), created=1001.0),
        made.interaction(who, "opponent", opponent="large", created=999.0),
    ]
    store.add_interactions(rows)

    def pending(limit=9):
        return [each.id for each in store.interactions(pending=True, limit=limit)]

    assert pending() == ["opponent", "probes"] and pending(1) == ["opponent"]
    store.settle("opponent")
    store.settle("unknown")
    assert pending() == ["probes"]
    assert len(store.interactions(pending=False, limit=9)) == 3


def test_texts_that_not_every_store_keeps(store, who):
    store.add_interactions([made.interaction(who, request="\0", response="\udfff")])
    [found] = store.interactions(pending=False, limit=1)
    assert (found.request, found.response) == ("\ufffd", "\ufffd")


def test_one_of_a_deleted_user_or_shown_its_examples_is_not_added(store, who):
    """It was under way while the user was deleted."""
    other = store.identify("b", "u", "s")
    store.delete_user("a", "u")
    store.add_interactions(
        [
            made.interaction(who, "its own"),
            made.interaction(other, "shown", owners=(who.user,)),
            made.interaction(other, "free"),
        ]
    )
    assert [each.id for each in store.interactions(pending=False, limit=9)] == ["free"]


def test_feedback_may_come_before_its_interaction(store, who):
    feedback = made.rating(who, "late")
    store.add_feedback([feedback])
    assert store.untold(9) == []
    row = made.interaction(who, "late")
    store.add_interactions([row])
    [told] = store.untold(9)
    assert told == Told(told.seq, feedback, row)


def test_feedback_is_learnt_from_once(store, who):
    store.add_interactions([made.interaction(who)])
    rows = [made.rating(who), made.rating(who, kind="comparison", subject="large", outcome=0.25)]
    rows += [made.rating(who, kind="probe", subject=subject) for subject in ("4", "5")]
    store.add_feedback(rows)
    told = store.untold(9)
    assert [each.feedback for each in told] == rows and store.untold(2) == told[:2]
    store.mark_learnt([told[0].seq, told[2].seq])
    store.mark_learnt([])
    assert [each.feedback for each in store.untold(9)] == [rows[1], rows[3]]
    assert [each.feedback for each in store.latest_told(9)] == [rows[0], rows[2]]
    assert [each.feedback for each in store.latest_told(1)] == [rows[2]]


def test_the_same_again_replaces_feedback_and_is_learnt_anew(store, who):
    store.add_interactions([made.interaction(who)])
    store.add_feedback([made.rating(who, outcome=0.0)])
    [first] = store.untold(9)
    store.add_feedback([made.rating(who, outcome=1.0)])
    store.mark_learnt([first.seq])  # who had read the first
    [second] = store.untold(9)
    assert second.feedback.outcome == 1 and store.latest_told(9) == []
    store.mark_learnt([second.seq])
    store.add_feedback([made.rating(who, outcome=0.5)])
    assert [each.feedback.outcome for each in store.untold(9)] == [0.5]
    assert store.counts()["feedback"] == 1


def test_nobody_judges_what_another_tenant_was_answered(store, who):
    other = store.identify("b", "u", "s")
    store.add_interactions([made.interaction(who)])
    store.add_feedback([made.rating(who, outcome=1.0)])
    store.add_feedback([made.rating(other, outcome=0.0)])
    assert [each.feedback.outcome for each in store.untold(9)] == [1]


@pytest.mark.parametrize("name", ["x" * 600, "\0"])
def test_an_id_that_cannot_be_kept_is_refused(store, who, name):
    with pytest.raises(ValueError, match="expected a name"):
        store.add_interactions([made.interaction(who, name)])
    with pytest.raises(ValueError, match="expected a name"):
        store.add_feedback([made.rating(who, name)])
