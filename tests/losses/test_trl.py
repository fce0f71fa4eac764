"""The DPO family against TRL's own code, values and gradients.

TRL computes most losses inside its trainers' ``_compute_loss``. It runs here for real, on a trainer without its
constructor and with a model that is a table: each position of each response has a token id of its own, and the model's
one parameter holds the log-probability of each id. The gradient of that table is compared too.
"""

import functools
import re
from collections import defaultdict
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from trl.experimental.a2po import A2POTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer
from trl.experimental.tpo import TPOTrainer
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_trainer import KTOTrainer

from jaxalign import losses

PAIRS, LENGTH = 6, 8  # tokens of a row: two of the prompt, up to six of the response
IDS = np.arange(2 * PAIRS * LENGTH).reshape(2 * PAIRS, LENGTH)
LENGTHS = np.array([6, 3, 1, 5, 4, 6, 2, 6, 4, 5, 1, 3])  # rows: chosen, then rejected
COMPLETION = (np.arange(LENGTH) >= 2) & (np.arange(LENGTH) < 2 + LENGTHS[:, None])
MASK = COMPLETION[:, 1:]  # of the predicted tokens
BETA = 0.7


class Table(torch.nn.Module):
    is_gradient_checkpointing = False

    def __init__(self, logps):
        super().__init__()
        self.logps = torch.nn.Parameter(torch.tensor(logps))

    def forward(self, input_ids, labels, **_):
        mask = labels[:, 1:] != -100
        logps = torch.where(mask, self.logps[input_ids[:, 1:]], 0.0)
        # log_sum_sq_probs, for WPO, may be anything that JAX sees too.
        return SimpleNamespace(
            log_probs=logps, log_sum_sq_probs=0.5 * logps, entropy=logps, mean_logits=logps, is_top1=mask
        )


class Accelerator:
    device = torch.device("cpu")

    def gather(self, values):
        return values

    gather_for_metrics = gather


@pytest.fixture
def tables():
    rng = np.random.default_rng(0)
    return tuple(-rng.exponential(0.5, size=IDS.size).astype(np.float32) for _ in range(2))


def trainer(kind, policy, reference, **attributes):
    self = object.__new__(kind)
    self.__dict__.update(
        model=Table(policy),
        ref_model=Table(reference),
        accelerator=Accelerator(),
        args=SimpleNamespace(gradient_checkpointing_kwargs=None, discopop_tau=0.05),
        aux_loss_enabled=False,
        precompute_ref_logps=False,
        beta=BETA,
        _metrics=defaultdict(lambda: defaultdict(list)),
        _total_train_tokens=0,
        _tp_size=1,
    )
    self.__dict__.update(attributes)
    return self


def inputs(completion, ids=IDS, prefix=""):
    arrays = {"input_ids": ids, "attention_mask": np.ones_like(ids), "completion_mask": completion.astype(int)}
    return {prefix + name: torch.tensor(array) for name, array in arrays.items()}


def value_and_grad(self, batch):
    loss = self._compute_loss(self.model, batch, return_outputs=False)
    loss.backward()
    return loss.item(), self.model.logps.grad.numpy()


def trl_dpo(tables, loss_types, **settings):
    settings = {
        "ld_alpha": None,
        "f_divergence_type": "reverse_kl",
        "f_alpha_divergence_coef": 0.5,
        "label_smoothing": 0.0,
        "use_weighting": False,
        "loss_weights": [1.0] * len(loss_types),
    } | settings
    return value_and_grad(trainer(DPOTrainer, *tables, loss_types=loss_types, **settings), inputs(COMPLETION))


def tokens(table):
    """Log-probabilities of the predicted tokens ``[2, PAIRS, LENGTH - 1]``: chosen, rejected."""
    return jnp.asarray(table)[IDS[:, 1:]].reshape(2, PAIRS, LENGTH - 1)


WHERE = jnp.asarray(MASK).reshape(2, PAIRS, LENGTH - 1)


def sums(table):
    return jnp.sum(jnp.where(WHERE, tokens(table), 0), axis=-1)


def averages(table):
    return losses.average_logps(tokens(table), where=WHERE)


def of(loss, summary=sums, **settings):
    """A function of the two tables."""
    return lambda policy, reference: loss(*summary(policy), *summary(reference), beta=BETA, **settings)


def length_desensitized(policy, reference):
    sums = functools.partial(
        losses.length_desensitized_logps, chosen_where=WHERE[0], rejected_where=WHERE[1], alpha=0.3
    )
    return losses.dpo_loss(*sums(*tokens(policy)), *sums(*tokens(reference)), beta=BETA)


def weighted(loss):
    def compute(policy, reference):
        weights = jnp.prod(losses.wpo_weights(tokens(policy), 0.5 * tokens(policy), where=WHERE), axis=0)
        reduce_fn = losses.weighted(jnp.mean, weights)
        return loss(*sums(policy), *sums(reference), beta=BETA, reduce_fn=reduce_fn)

    return compute


def sft(policy, reference):
    return losses.sft_loss(tokens(policy)[0], where=WHERE[0])


def mixed(policy, reference):
    return (
        0.8 * of(losses.dpo_loss)(policy, reference)
        + 0.2 * of(losses.bco_pair_loss)(policy, reference)
        + 1.0 * sft(policy, reference)
    )


def averaged_scores(loss, score_fn):
    """TRL's order where a divergence meets averages: the score of the summed log-ratio, over the length."""

    def compute(policy, reference):
        scores = score_fn(sums(policy) - sums(reference)) / jnp.sum(WHERE, axis=-1)
        return loss(*scores, *jnp.zeros_like(scores), beta=BETA)

    return compute


def diverging(score_fn, loss=losses.dpo_loss, **settings):
    return of(losses.with_divergence(loss, score_fn), **settings)


FORWARD, JS, ALPHA = losses.forward_kl_score, losses.js_divergence_score, losses.make_alpha_divergence_score(0.5)
ALPHA_SETTINGS = {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 0.5}


def describe(setting):
    """Test names from TRL's settings."""
    return (
        ",".join(map(str, setting))
        if isinstance(setting, list)
        else str(setting or "")
        if isinstance(setting, dict)
        else "ours"
    )


DPO_CASES = [
    (of(losses.dpo_loss), ["sigmoid"], {}),
    (of(losses.hinge_dpo_loss), ["hinge"], {}),
    (of(losses.ipo_loss, averages), ["ipo"], {}),
    (of(losses.exo_pair_loss, label_smoothing=0.01), ["exo_pair"], {"label_smoothing": 0.01}),
    (of(losses.nca_pair_loss), ["nca_pair"], {}),
    (of(losses.robust_dpo_loss, label_smoothing=0.2), ["robust"], {"label_smoothing": 0.2}),
    (of(losses.bco_pair_loss), ["bco_pair"], {}),
    (of(losses.sppo_hard_loss), ["sppo_hard"], {}),
    (of(losses.aot_loss), ["aot"], {}),
    (of(losses.aot_loss, label_smoothing=0.2), ["aot"], {"label_smoothing": 0.2}),
    (of(losses.aot_unpaired_loss, label_smoothing=0.2), ["aot_unpaired"], {"label_smoothing": 0.2}),
    (of(losses.apo_zero_loss), ["apo_zero"], {}),
    (of(losses.apo_down_loss), ["apo_down"], {}),
    (of(losses.discopop_loss), ["discopop"], {}),
    (sft, ["sft"], {}),
    (of(losses.dpo_loss, averages), ["sigmoid_norm"], {}),
    (mixed, ["sigmoid", "bco_pair", "sft"], {"loss_weights": [0.8, 0.2, 1.0]}),
    (length_desensitized, ["sigmoid"], {"ld_alpha": 0.3}),
    (weighted(losses.dpo_loss), ["sigmoid"], {"use_weighting": True}),
    (weighted(losses.nca_pair_loss), ["nca_pair"], {"use_weighting": True}),
    (diverging(FORWARD), ["sigmoid"], {"f_divergence_type": "forward_kl"}),
    (diverging(JS), ["sigmoid"], {"f_divergence_type": "js_divergence"}),
    (diverging(ALPHA), ["sigmoid"], ALPHA_SETTINGS),
    (diverging(FORWARD, losses.hinge_dpo_loss), ["hinge"], {"f_divergence_type": "forward_kl"}),
    (diverging(JS, losses.discopop_loss), ["discopop"], {"f_divergence_type": "js_divergence"}),
    (
        diverging(ALPHA, losses.exo_pair_loss, label_smoothing=0.01),
        ["exo_pair"],
        {"label_smoothing": 0.01} | ALPHA_SETTINGS,
    ),
    (
        diverging(JS, losses.robust_dpo_loss, label_smoothing=0.2),
        ["robust"],
        {"label_smoothing": 0.2, "f_divergence_type": "js_divergence"},
    ),
    (averaged_scores(losses.ipo_loss, FORWARD), ["ipo"], {"f_divergence_type": "forward_kl"}),
    (averaged_scores(losses.dpo_loss, JS), ["sigmoid_norm"], {"f_divergence_type": "js_divergence"}),
]


@pytest.mark.parametrize("ours, loss_types, settings", DPO_CASES, ids=describe)
def test_dpo_trainer(ours, loss_types, settings, tables):
    expected, expected_grad = trl_dpo(tables, loss_types, **settings)
    value, grad = jax.jit(jax.value_and_grad(ours))(*tables)
    np.testing.assert_allclose(value, expected, rtol=2e-5)
    np.testing.assert_allclose(grad, expected_grad, rtol=1e-4, atol=1e-6)
    assert np.abs(expected_grad).max() > 1e-3


def test_every_loss_type_of_the_dpo_trainer_is_compared(tables):
    with pytest.raises(ValueError, match="Unknown loss type") as error:
        trl_dpo(tables, ["nothing"])
    offered = set(re.findall(r"'(\w+)'", str(error.value)))
    assert len(offered) >= 15
    assert offered == {loss_type for _, loss_types, _ in DPO_CASES for loss_type in loss_types}


@pytest.mark.parametrize("loss_type", ["kto", "apo_zero_unpaired"])
def test_kto_trainer(loss_type, tables):
    labels = np.arange(2 * PAIRS) % 3 > 0
    other_ids = np.roll(IDS, 1, axis=0)  # the response of another row
    other_completion = np.roll(COMPLETION, 1, axis=0)
    # Shifted so that the estimate of the divergence is positive: its clamp at 0 is tested by hand.
    tables = tables[0] + np.float32(0.4), tables[1]
    batch = inputs(COMPLETION) | inputs(other_completion, other_ids, "KL_") | {"label": torch.tensor(labels)}
    self = trainer(
        KTOTrainer,
        *tables,
        loss_type=loss_type,
        calculate_KL=loss_type == "kto",
        desirable_weight=1.25,
        undesirable_weight=0.75,
    )
    expected, expected_grad = value_and_grad(self, batch)

    def ours(policy, reference):
        policy_logps, reference_logps = sums(policy).reshape(-1), sums(reference).reshape(-1)
        settings = {"beta": BETA, "desirable_weight": 1.25, "undesirable_weight": 0.75}
        if loss_type == "apo_zero_unpaired":
            return losses.apo_zero_unpaired_loss(policy_logps, reference_logps, jnp.asarray(labels), **settings)
        kl = losses.kto_kl(jnp.roll(policy_logps, 1), jnp.roll(reference_logps, 1))
        return losses.kto_loss(policy_logps, reference_logps, jnp.asarray(labels), kl=kl, **settings)

    value, grad = jax.jit(jax.value_and_grad(ours))(*tables)
    assert loss_type != "kto" or self._metrics["train"]["kl"][0] > 0.1
    np.testing.assert_allclose(value, expected, rtol=2e-5)
    np.testing.assert_allclose(grad, expected_grad, rtol=1e-4, atol=1e-6)


def reference_free(loss, summary=sums, **settings):
    return lambda policy: loss(*summary(policy), beta=BETA, **settings)


def without_reference(loss, summary=sums):
    return lambda policy: loss(*summary(policy), *jnp.zeros((2, PAIRS)), beta=BETA)


@pytest.mark.parametrize(
    "ours, loss_type, settings, summary",
    [
        (reference_free(losses.cpo_loss), "sigmoid", {}, sums),
        # TRL smooths here what it does not smooth in its DPO trainer.
        (reference_free(losses.cpo_loss, label_smoothing=0.1), "sigmoid", {"label_smoothing": 0.1}, sums),
        (
            without_reference(functools.partial(losses.dpo_loss, label_smoothing=0.1)),
            "sigmoid",
            {"label_smoothing": 0.1},
            sums,
        ),
        (without_reference(losses.hinge_dpo_loss), "hinge", {}, sums),
        (without_reference(losses.ipo_loss, averages), "ipo", {}, averages),
        (reference_free(losses.simpo_loss, averages, margin=0.4), "simpo", {"simpo_gamma": 0.4}, averages),
        (
            reference_free(losses.simpo_loss, averages, margin=0.4, label_smoothing=0.1),
            "simpo",
            {"simpo_gamma": 0.4, "label_smoothing": 0.1},
            averages,
        ),
        (
            reference_free(losses.alphapo_loss, averages, margin=0.4, alpha=0.25),
            "simpo",
            {"simpo_gamma": 0.4, "alpha": 0.25},
            averages,
        ),
        (
            reference_free(losses.alphapo_loss, averages, margin=0.4, alpha=-0.5),
            "simpo",
            {"simpo_gamma": 0.4, "alpha": -0.5},
            averages,
        ),
        (
            reference_free(losses.alphapo_loss, averages, margin=0.4, alpha=0.0),
            "simpo",
            {"simpo_gamma": 0.4},
            averages,
        ),
    ],
)
def test_cpo_trainer(ours, loss_type, settings, summary, tables):
    policy = tables[0]
    settings = {"label_smoothing": 0.0, "alpha": 0.0} | settings
    self = trainer(CPOTrainer, *tables, loss_type=loss_type, **settings)
    logps = torch.tensor(np.asarray(summary(policy)), requires_grad=True)
    expected = self.cpo_loss(*logps)[0].mean()
    expected.backward()
    value, pullback = jax.vjp(ours, policy)
    np.testing.assert_allclose(value, expected.item(), rtol=2e-5)
    expected_grad = jax.vjp(summary, policy)[1](jnp.asarray(logps.grad.numpy()))[0]
    np.testing.assert_allclose(pullback(jnp.ones(()))[0], expected_grad, rtol=1e-4, atol=1e-6)


def test_orpo_trainer_with_its_likelihood_term(tables):
    policy = tables[0]
    logps = torch.tensor(np.asarray(averages(policy)), requires_grad=True)
    likelihood = torch.tensor(float(sft(policy, None)))
    self = trainer(ORPOTrainer, *tables)
    zeros = torch.zeros(2, 2)
    self.concatenated_forward = lambda model, batch: (*logps, zeros, zeros, likelihood)
    expected, _ = self.get_batch_loss_metrics(None, None)
    expected.backward()

    def ours(chosen_and_rejected):
        return losses.orpo_loss(*chosen_and_rejected, beta=BETA) + sft(policy, None)

    value, grad = jax.value_and_grad(ours)(averages(policy))
    np.testing.assert_allclose(value, expected.item(), rtol=2e-5)
    np.testing.assert_allclose(grad, logps.grad.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "ours, loss_type",
    [
        (functools.partial(losses.cpo_loss, label_smoothing=0.1), "sigmoid"),
        (functools.partial(losses.simpo_loss, margin=0.4, label_smoothing=0.1), "tpo-l"),
    ],
)
def test_tpo_trainer(ours, loss_type):
    rows, vocab_size = 3 * PAIRS, 5  # chosen, rejected, gold
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(rows, LENGTH, vocab_size)).astype(np.float32)
    ids = rng.integers(vocab_size, size=(rows, LENGTH))
    completion = np.concatenate([COMPLETION, COMPLETION[PAIRS:]])
    self = trainer(TPOTrainer, [0.0], [0.0], loss_type=loss_type, label_smoothing=0.1, tpo_alpha=0.6, tpo_l_gamma=0.4)
    leaf = torch.tensor(logits, requires_grad=True)
    expected = self._compute_loss(lambda **_: SimpleNamespace(logits=leaf), inputs(completion, ids), False)
    expected.backward()

    def compute(logits):
        logps = jnp.take_along_axis(jax.nn.log_softmax(logits[:, :-1]), ids[:, 1:, None], axis=-1)[..., 0]
        where = jnp.asarray(completion[:, 1:])
        summary = losses.average_logps if loss_type == "tpo-l" else lambda x, where: jnp.sum(x * where, axis=-1)
        chosen, rejected, _ = summary(logps, where=where).reshape(3, PAIRS)
        gold = slice(2 * PAIRS, None)
        return ours(chosen, rejected, beta=BETA) + 0.6 * losses.sft_loss(logps[gold], where=where[gold])

    value, grad = jax.jit(jax.value_and_grad(compute))(logits)
    np.testing.assert_allclose(value, expected.item(), rtol=2e-5)
    np.testing.assert_allclose(grad, leaf.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_a2po_is_pointwise_regression_on_advantages(tables):
    policy, reference = (np.asarray(sums(table)[0]) for table in tables)
    rewards, values = np.arange(PAIRS, dtype=np.float32), np.full(PAIRS, 1.5, np.float32)
    self = trainer(A2POTrainer, *tables)
    self.args.beta2 = BETA
    self._get_sequence_logps = lambda *_: torch.tensor(policy)
    batch = {"ref_logps": reference, "rewards": rewards, "v_star": values}
    batch = {name: torch.tensor(array) for name, array in batch.items()}
    expected = self.compute_loss(self.model, batch | dict.fromkeys(["input_ids", "attention_mask", "logits_to_keep"]))
    scores = BETA * jnp.asarray(policy - reference)[:, None]
    value = losses.pointwise_mse_loss(scores, jnp.asarray(rewards - values)[:, None])
    np.testing.assert_allclose(value, expected.item(), rtol=1e-6)
