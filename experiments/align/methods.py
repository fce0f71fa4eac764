"""The losses by the names that the command line has for them, and what each needs."""

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from experiments.common import pretrained
from jaxalign import losses, training
from jaxalign.typing import LossFn


class Options(NamedTuple):
    """What a loss may be told."""

    beta: float
    label_smoothing: float
    margin: float
    sft_weight: float


class Method(NamedTuple):
    """What a loss learns from, and how it is made."""

    reads: Literal["pairs", "lists", "unpaired", "mismatched", "demonstrations", "rewards"]
    """Best and worst of lists; whole lists; single responses; these beside ones to other prompts; the best responses;
    or lists, by a scalar head."""
    make: Callable[[Any, Options], LossFn]
    beta: float = 0.1  # by default
    reference: bool = True  # whether it compares with a reference policy
    smooths: bool = False  # whether it knows label smoothing
    sft_weight: float = 0.0  # by default
    source: str = ""  # its paper, or what it is


def _pair(loss: Callable, *, average: bool = False, smooths: bool = False, least: float = 0.0, **fields) -> Method:
    """A loss of the DPO family; ``least`` is the smoothing below which it is not defined."""

    def make(model, options: Options) -> LossFn:
        pair_loss = functools.partial(loss, label_smoothing=max(options.label_smoothing, least)) if smooths else loss
        sizes = {"average": average, "sft_weight": options.sft_weight}
        return training.make_dpo_loss(model, beta=options.beta, pair_loss=pair_loss, **sizes)

    return Method("pairs", make, smooths=smooths, **fields)


def _alone(loss: Callable, *, average: bool, smooths: bool = True, bound: Callable[[Options], dict], **fields):
    """A loss of pairs without a reference."""

    def make(model, options: Options) -> LossFn:
        more = bound(options) | ({"label_smoothing": options.label_smoothing} if smooths else {})
        pair_loss = functools.partial(loss, **more) if more else loss
        sizes = {"average": average, "sft_weight": options.sft_weight}
        return training.make_reference_free_loss(model, beta=options.beta, pair_loss=pair_loss, **sizes)

    return Method("pairs", make, reference=False, smooths=smooths, **fields)


def _list(loss: Callable, source: str = "arXiv 2402.01878") -> Method:
    """A ranking loss of the implicit rewards of whole lists."""

    def make(model, options: Options) -> LossFn:
        return training.make_ranking_loss(model, beta=options.beta, ranking_loss=loss)

    return Method("lists", make, beta=0.05, source=source)


def _unpaired(reads: Literal["unpaired", "mismatched"], make_loss: Callable, source: str) -> Method:
    return Method(reads, lambda model, options: make_loss(model, beta=options.beta), source=source)


def _imitate(model, options: Options) -> LossFn:
    return training.make_sft_loss(model)


def _reward(model, options: Options) -> LossFn:
    ranking_loss = functools.partial(losses.pairwise_logistic_loss, normalization="pairs")
    return training.make_reward_ranking_loss(model, ranking_loss=ranking_loss)


_NOTHING = dict(bound=lambda options: {})
_MARGIN = dict(bound=lambda options: {"margin": options.margin})
METHODS: dict[str, Method] = {
    "dpo": _pair(losses.dpo_loss, smooths=True, source="arXiv 2305.18290"),
    "robust": _pair(losses.robust_dpo_loss, smooths=True, source="arXiv 2403.00409"),
    "hinge": _pair(losses.hinge_dpo_loss, source="arXiv 2309.06657"),
    "ipo": _pair(losses.ipo_loss, average=True, source="arXiv 2310.12036"),
    "exo-pair": _pair(losses.exo_pair_loss, smooths=True, least=1e-3, source="arXiv 2402.00856"),
    "discopop": _pair(losses.discopop_loss, source="arXiv 2406.08414"),
    "nca-pair": _pair(losses.nca_pair_loss, beta=0.01, source="arXiv 2402.05369"),
    "bco-pair": _pair(losses.bco_pair_loss, source="arXiv 2404.04656"),
    "sppo-hard": _pair(losses.sppo_hard_loss, source="arXiv 2405.00675"),
    "apo-zero": _pair(losses.apo_zero_loss, source="arXiv 2408.06266"),
    "apo-down": _pair(losses.apo_down_loss, source="arXiv 2408.06266"),
    "aot": _pair(losses.aot_loss, smooths=True, source="arXiv 2406.05882"),
    "aot-unpaired": _pair(losses.aot_unpaired_loss, smooths=True, source="arXiv 2406.05882"),
    "simpo": _alone(losses.simpo_loss, average=True, beta=2.0, source="arXiv 2405.14734", **_MARGIN),
    "alphapo": _alone(
        losses.alphapo_loss,
        average=True,
        beta=2.0,
        source="arXiv 2501.03884",
        bound=lambda options: {"margin": options.margin, "alpha": 0.25},
    ),
    "orpo": _alone(
        losses.orpo_loss, average=True, smooths=False, sft_weight=1.0, source="arXiv 2403.07691", **_NOTHING
    ),
    "cpo": _alone(losses.cpo_loss, average=False, sft_weight=1.0, source="arXiv 2401.08417", **_NOTHING),
    "kto": _unpaired("mismatched", training.make_kto_loss, "arXiv 2402.01306"),
    "bco": _unpaired("unpaired", training.make_bco_loss, "arXiv 2404.04656"),
    "apo-zero-unpaired": _unpaired("unpaired", training.make_unpaired_loss, "arXiv 2408.06266"),
    "lambda": _list(losses.lambda_loss),
    "softmax": _list(losses.softmax_loss),
    "list-mle": _list(losses.list_mle_loss),
    "pair-logistic": _list(losses.pairwise_logistic_loss),
    "pair-hinge": _list(losses.pairwise_hinge_loss),
    "point-mse": _list(losses.pointwise_mse_loss),
    "point-sigmoid": _list(losses.pointwise_sigmoid_loss),
    "sft": Method("demonstrations", _imitate, reference=False, source="cross-entropy"),
    "reward": Method("rewards", _reward, reference=False, source="Bradley-Terry, over all pairs of a list"),
}


def default_rate(loss: str, *, adapter: bool) -> float:
    """Returns the peak learning rate of AdamW for a pretrained model.

    Args:
      loss: a name of :data:`METHODS`.
      adapter: whether low-rank adapters are trained, which take higher rates.
    """
    kind = {"sft": "imitation", "reward": "reward"}.get(loss, "alignment")
    return pretrained.rate(kind, adapter=adapter)
