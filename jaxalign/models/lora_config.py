"""Which parameters of a model a low-rank adapter changes, and with what rank and scale."""

import dataclasses
import math
from collections.abc import Iterable

import numpy as np

from jaxalign.models.axes import is_map, is_stacked


@dataclasses.dataclass(frozen=True)
class LoraConfig:
    """Says which parameters a low-rank adapter changes, and how.

    Parameters are named by the end of their path: ``"query"``, or ``"mlp/up"`` where that is not enough.

    Attributes:
      rank: the columns of A and rows of B, at least 1.
      alpha: the product of the two is scaled by ``alpha / rank``.
      target_modules: the linear maps that get adapters; empty: all maps of the layers.
      modules_to_save: parameters, or all below a name, that are fully trained beside them; None: a head's.
      rank_stabilized: rsLoRA (arXiv 2312.03732), which scales by ``alpha / sqrt(rank)``.
      dora: DoRA (arXiv 2402.09353), which learns the norm of each output's weights apart.
      rank_pattern: pairs of a map and its own rank, or one rank for each layer; of several that fit, the first counts.
      alpha_pattern: pairs of a map and its own alpha, likewise.
      ensure_weight_tying: whether a tied embedding that is trained stays the output matrix; False: each is trained
        apart.

    >>> LoraConfig(rank=16, alpha=8.0).scale, LoraConfig(rank=16, alpha=8.0, rank_stabilized=True).scale
    (0.5, 2.0)
    """

    rank: int
    alpha: float
    target_modules: tuple[str, ...] = ()
    modules_to_save: tuple[str, ...] | None = None
    rank_stabilized: bool = False
    dora: bool = False
    rank_pattern: tuple[tuple[str, int | tuple[int, ...]], ...] = ()
    alpha_pattern: tuple[tuple[str, float | tuple[float, ...]], ...] = ()
    ensure_weight_tying: bool = True

    def __post_init__(self):
        ranks = (rank for _, value in self.rank_pattern for rank in (value if isinstance(value, tuple) else (value,)))
        for rank in (self.rank, *ranks):
            if rank < 1:
                raise ValueError(f"rank must be at least 1, got {rank}")

    @property
    def scale(self) -> float:
        """The factor of A B: ``alpha / rank``, with rsLoRA ``alpha / sqrt(rank)``, which higher ranks need to learn."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilized else self.rank)

    def ranks(self, path: str, stack: tuple[int, ...]) -> np.ndarray:
        """The rank of the map at ``path``, or ``[layers]`` of them where ``stack`` is ``(layers,)``."""
        return _by_layer("rank_pattern", self.rank_pattern, self.rank, path, stack)

    def alphas(self, path: str, stack: tuple[int, ...]) -> np.ndarray:
        """The alpha of the map at ``path``, or ``[layers]`` of them where ``stack`` is ``(layers,)``."""
        return _by_layer("alpha_pattern", self.alpha_pattern, self.alpha, path, stack)

    def scales(self, path: str, stack: tuple[int, ...]) -> np.ndarray:
        """``[*stack, rank]``: what each row of B is multiplied by. Layers of less rank than others have zeros."""
        ranks = self.ranks(path, stack)
        scales = self.alphas(path, stack) / (np.sqrt(ranks) if self.rank_stabilized else ranks)
        return np.where(within(ranks), scales[..., None], 0).astype(np.float32)


def within(ranks: np.ndarray) -> np.ndarray:
    """``[*stack, rank]``: which columns of A and rows of B are within their layer's rank."""
    return np.arange(ranks.max()) < ranks[..., None]


def _by_layer(field, pattern, default, path, stack) -> np.ndarray:
    value = np.asarray(next((value for name, value in pattern if _ends(name, path)), default))
    if value.ndim and value.shape != stack:
        raise ValueError(f"{field} has {len(value)} values for {path}, which has {stack or 'no'} layers; give one each")
    return np.broadcast_to(value, stack)


def match_modules(paths: Iterable[str], config: LoraConfig) -> tuple[list[str], list[str]]:
    """Returns the paths of the maps that get adapters, such as ``"layers/mlp/up"``, and of what is fully trained.

    Raises:
      ValueError: a name fits none of them.
    """
    paths = sorted(paths)
    maps = [path for path in paths if is_map(path)]
    patterns = [name for name, _ in (*config.rank_pattern, *config.alpha_pattern)]
    _check_names("linear map", [*config.target_modules, *patterns], maps, _ends)
    _check_names("parameter", config.modules_to_save or (), paths, _is_below)
    below = ("head",) if config.modules_to_save is None else config.modules_to_save
    saved = [path for path in paths if any(_is_below(name, path) for name in below)]
    if config.target_modules:
        targets = [path for path in maps if any(_ends(name, path) for name in config.target_modules)]
    else:
        targets = [path for path in maps if is_stacked(path)]
    return [path for path in targets if path not in saved], saved


def _ends(name, path):
    return f"/{path}".endswith(f"/{name}")


def _is_below(name, path):
    return f"/{name}/" in f"/{path}/"


def _check_names(kind, names, paths, fits):
    unknown = [name for name in names if not any(fits(name, path) for path in paths)]
    if unknown:
        raise ValueError(f"no {kind} is called {', '.join(map(repr, unknown))}; there are {', '.join(paths)}")
