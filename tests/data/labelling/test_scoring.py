import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import data, losses

OPTIONS = dict(batch_size=2, list_size=2)


def make_lists():
    prompts = [[2, 7], [2, 8, 9], [2]]
    responses = [[[5, 1], [6, 6, 1], [1]], [[4, 1]], [[3, 3, 3, 1], [9, 1]]]
    return data.lists_from_tokens(prompts, responses, [[0.5] * len(of) for of in responses], pad_id=0, limits=(3, 4))


def count(batch):
    """Stands in for a model: minus the sum of a response's tokens, and of its prompt's over 100."""
    prompts = np.where(batch.prompt_mask, batch.prompt_tokens, 0).sum(axis=1)
    return jnp.array(-np.where(batch.response_mask, batch.response_tokens, 0).sum(axis=2) - prompts[:, None] / 100)


EXPECTED = [[-6.09, -13.09, -1.09], [-5.19, np.nan, np.nan], [-10.02, -10.02, np.nan]]


@pytest.mark.parametrize("list_size", [1, 2, 5])
@pytest.mark.parametrize("buckets", [None, [(2, 2), (3, 4)]])
def test_every_response_is_scored_once(list_size, buckets):
    computed = []

    def reward_fn(batch):
        computed.append(int(batch.where.sum()))
        assert batch.where.shape == (2, list_size)
        return count(batch)

    scores = data.score_lists(make_lists(), reward_fn, batch_size=2, list_size=list_size, buckets=buckets)
    np.testing.assert_allclose(scores, EXPECTED, rtol=1e-6)
    assert scores.dtype == np.float32
    assert sum(computed) == 6


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_a_score_that_is_no_number_is_named(bad, allow_nans):
    def reward_fn(batch):
        return jnp.where(batch.response_tokens[:, :, 0] == 9, bad, 0.0)

    with pytest.raises(
        ValueError, match=f"gives {bad}, not a finite number, to response 1 of record 2, counted from 0"
    ):
        data.score_lists(make_lists(), reward_fn, **OPTIONS)


def test_numbers_in_padding_do_not_matter(allow_nans):
    scores = data.score_lists(make_lists(), lambda batch: jnp.where(batch.where, count(batch), jnp.nan), **OPTIONS)
    np.testing.assert_allclose(scores, EXPECTED, rtol=1e-6)


def test_a_function_that_gives_something_else():
    with pytest.raises(ValueError, match=r"an array of shape \(2, 2\), got \(2, 2, 4\)"):
        data.score_lists(make_lists(), lambda batch: batch.response_tokens, **OPTIONS)


def preferences(batch):
    """A judge of first tokens a and b, in the order shown: P(first wins) = 0.5 + (a - b) / 20 + 0.1 for the place."""
    first = jnp.asarray(batch.response_tokens[:, :, 0], jnp.float32)
    return 0.6 + (first[:, :, None] - first[:, None, :]) / 20


def test_labels_are_shares_of_wins_in_both_orders():
    labels = data.label_lists(make_lists(), preferences, batch_size=2)
    # First tokens 5, 6, 1: both orders averaged, 6 beats 5 with 0.55 and 1 with 0.75, 5 beats 1 with 0.7; itself 0.5.
    expected = [[(0.5 + 0.45 + 0.7) / 3, (0.55 + 0.5 + 0.75) / 3, (0.3 + 0.25 + 0.5) / 3], [0.5, np.nan, np.nan]]
    expected.append([(0.5 + 0.2) / 2, (0.5 + 0.8) / 2, np.nan])  # 3 against 9
    np.testing.assert_allclose(labels, expected, rtol=1e-5)


def test_one_order_alone_gives_other_labels():
    """The judge's liking for the first place would lift every response but not be seen as an error."""
    batch_labels = []

    def one_order(batch):
        given = preferences(batch)
        batch_labels.append(given)
        return given

    labels = data.label_lists(make_lists(), one_order, batch_size=3)
    one = np.where(np.eye(3, dtype=bool), 0.5, batch_labels[0][0]).mean(axis=1)
    np.testing.assert_allclose(one - labels[0], 0.2 / 3, rtol=1e-4)


def test_a_scalar_model_compares_by_differences():
    def reward_fn(batch):
        return jnp.log(jnp.maximum(jnp.asarray(batch.response_tokens[:, :, 0], jnp.float32), 1.0))

    labels = data.label_lists(make_lists(), data.make_preference_fn(reward_fn), batch_size=1)
    # exp(reward) is 5, 6, 1: 5 beats 6 with 5 / 11 and 1 with 5 / 6.
    np.testing.assert_allclose(labels[0, 0], (0.5 + 5 / 11 + 5 / 6) / 3, rtol=1e-5)
    np.testing.assert_allclose(labels[2, :2], [(0.5 + 0.25) / 2, (0.5 + 0.75) / 2], rtol=1e-5)


def test_a_preference_that_is_no_number_is_named(allow_nans):
    def preference_fn(batch):
        return preferences(batch).at[0, 0, 1].set(jnp.nan)

    with pytest.raises(ValueError, match="gives nan, not a probability, for response 0 against response 1 of record 0"):
        data.label_lists(make_lists(), preference_fn, batch_size=2)


def test_relabelled_lists_keep_their_file_of_reference_log_probabilities(tmp_path):
    lists = make_lists()
    labels = np.array([[0.1, 0.2, 0.3], [0.4, np.nan, np.nan], [0.5, 1.0, np.nan]])
    again = data.relabel(lists, labels)
    np.testing.assert_array_equal(again.labels, np.array([0.1, 0.2, 0.3, 0.4, 0.5, 1.0], np.float32))
    assert again.labels.dtype == np.float32 and (lists.labels == 0.5).all()
    for some in lists, again:
        data.load_reference_logps(tmp_path, some, count, model="a", **OPTIONS)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "labels, message",
    [
        (np.full((2, 3), 0.5), r"labels for 3 records with 1 to 3 responses, .* got 2 rows with 3 to 3"),
        (np.full((3, 3), 0.5), "got 3 rows with 3 to 3"),
        (np.array([[0.5, 0.5], [0.5, np.nan], [0.5, 0.5]]), "got 3 rows with 1 to 2"),
        (np.array([[0.5] * 3, [np.nan, 0.5, np.nan], [0.5, 0.5, np.nan]]), "got 3 rows with 1 to 3"),
        (np.array([[1, 2, 3], [4, np.nan, np.nan], [5, 6, np.nan]]), r"labels in \[0, 1\], got 1.0 to 6.0; rescale"),
    ],
)
def test_labels_that_do_not_fit(labels, message):
    with pytest.raises(ValueError, match=message):
        data.relabel(make_lists(), labels)


def test_preferences_from_rewards_of_a_padded_list():
    matrix = losses.preferences_from_rewards(jnp.array([[0.0, np.log(3.0)]]))
    np.testing.assert_allclose(matrix, [[[0.5, 0.25], [0.75, 0.5]]], rtol=1e-6)


def test_comparisons_are_as_the_model_gives_them():
    matrices = data.compare_lists(make_lists(), preferences, batch_size=2)
    labels = data.label_lists(make_lists(), preferences, batch_size=2)
    for matrix, own in zip(matrices, labels, strict=True):
        count = np.isfinite(own).sum()
        assert np.isfinite(matrix[:count, :count]).all() and np.isnan(matrix[count:]).all()
        np.testing.assert_array_equal(np.diag(matrix)[:count], 0.5)
        # LiPO's label: the mean over the list of what both orders say.
        both = (matrix + 1 - matrix.T)[:count, :count] / 2
        np.testing.assert_allclose(own[:count], both.mean(axis=1), rtol=1e-6)


def test_a_preference_fn_of_another_shape_is_named():
    with pytest.raises(ValueError, match=r"an array of shape \(2, 3, 3\), got \(2, 3\)"):
        data.compare_lists(make_lists(), lambda batch: np.zeros(batch.where.shape), batch_size=2)
