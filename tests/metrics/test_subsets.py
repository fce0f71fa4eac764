import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import metrics
from jaxalign.numerics import Ratio

SUBSETS = ["easy", "easy", "hard", "easy", "hard", "math"]
CORRECT = jnp.array([1.0, 1.0, 0.0, 0.0, 0.5, 1.0])


def test_subsets_by_hand():
    accuracies = metrics.subset_accuracies(CORRECT, SUBSETS)
    assert list(accuracies.items()) == [("easy", (2.0, 3.0)), ("hard", (0.5, 2.0)), ("math", (1.0, 1.0))]
    masked = metrics.subset_accuracies(CORRECT, SUBSETS, where=jnp.array([True, True, False, False, True, False]))
    assert masked == {"easy": (2.0, 2.0), "hard": (0.5, 1.0), "math": (0.0, 0.0)}


def test_sections_weigh_prompts_and_the_overall_score_weighs_sections():
    accuracies = metrics.subset_accuracies(CORRECT, SUBSETS)
    sections = metrics.section_accuracies(accuracies, {"chat": ["easy", "hard"], "reasoning": ["math"]})
    # 2.5 of the 5 prompts, where the mean of 2/3 and 1/4 would be 0.458.
    assert sections == {"chat": (2.5, 5.0), "reasoning": (1.0, 1.0)}
    assert metrics.overall_accuracy(sections) == 0.75


def test_weights_replace_the_number_of_prompts():
    accuracies = metrics.subset_accuracies(CORRECT, SUBSETS)
    sections = {"all": ["easy", "hard", "math"]}
    # Mathematics counts as five: (2 + 0.5 + 5 * 1) / (3 + 2 + 5).
    np.testing.assert_allclose(metrics.section_accuracies(accuracies, sections, weights={"math": 5})["all"], (7.5, 10))
    equal = metrics.section_accuracies(accuracies, sections, weights=dict.fromkeys(sections["all"], 1))["all"].value
    np.testing.assert_allclose(equal, (2 / 3 + 1 / 4 + 1) / 3, rtol=1e-6)


def test_reward_bench_sections_of_the_paper():
    """The overall figures of RM and RRM, from their four sections."""
    for sections, overall in [
        ([97.77, 51.54, 78.54, 94.58], 80.61),
        ([96.51, 65.57, 83.90, 90.62], 84.15),
    ]:
        ratios = {str(index): Ratio(jnp.array(value), jnp.array(1.0)) for index, value in enumerate(sections)}
        np.testing.assert_allclose(metrics.overall_accuracy(ratios), overall, atol=6e-3)


def test_accuracies_of_batches_add_up():
    halves = [metrics.subset_accuracies(CORRECT[part], SUBSETS[part]) for part in (slice(3), slice(3, 6))]
    whole = metrics.subset_accuracies(CORRECT, SUBSETS)
    assert halves[0]["easy"] + halves[1]["easy"] == whole["easy"]


@pytest.mark.parametrize("sections", [{"chat": ["easy", "gone"]}, {"chat": []}, {"chat": ["masked"]}])
def test_a_section_without_its_subsets_is_an_error(sections):
    accuracies = {"easy": Ratio(jnp.ones(()), jnp.ones(())), "masked": Ratio(jnp.zeros(()), jnp.zeros(()))}
    with pytest.raises(ValueError, match="section 'chat' wants the subsets"):
        metrics.section_accuracies(accuracies, sections)


def test_one_subset_per_prompt():
    with pytest.raises(ValueError, match="got 2 subsets and 3 prompts"):
        metrics.subset_accuracies(jnp.ones(3), ["a", "b"])


def test_no_section():
    with pytest.raises(ValueError, match="one section or more"):
        metrics.overall_accuracy({})
