"""Classify every text of a file: ``./tools/run tools.classify_hierarchy MODEL FILE OUT``, with classes of a taxonomy.

MODEL is the folder of a classifier with a taxonomy (:mod:`jaxalign.io.hierarchy_model`). FILE has one text a row. What
is said of a text is one of three things::

    --mode top --top 3             the three likeliest classes, and all that stand above them
    --mode threshold --threshold 0.5   all classes that are as likely as that, and all that stand above them
    --mode path --threshold 0.5    one way down, from the likeliest root to the likeliest child of it and so on, which
                                   stops at an inner class where no child is as likely as that

OUT is a file of JSON lines, one for each text that can be read, in their order: ``labels``, the ids of these classes by
level; ``names``, the ways down to where they end, such as ``"beauty > skin care > hands nails"``, the likeliest end
first; ``probabilities`` of these classes; ``depth``, how many classes the longest way has; and ``coarse``, whether a
way ends at a class that has others below it, or there is no class. In mode path a class of several parents has the one
that it was reached by. The same command continues the file where it was killed. What the classes were made with stands
in OUT.settings.json: with another model, mode or limit the file is refused.
"""

import functools
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import jax
import numpy as np
import tyro
from jaxtyping import Float

from jaxalign import data
from jaxalign.io import edge, keys
from jaxalign.io.cluster import launch
from jaxalign.io.hierarchy_model import HierarchyModel, load_hierarchy_model
from jaxalign.io.jobs.classifying import DescribeFn
from jaxalign.taxonomy import Taxonomy, classes_above, describe_paths, one_path, set_paths, sure_path, top_classes
from tools.classify import Labeller, classify, make_probabilities_fn

TOP = 3  # classes of a text, as in the paper
THRESHOLD = 0.5

Mode = Literal["top", "threshold", "path"]


def main(
    model: Annotated[str, tyro.conf.arg(metavar="MODEL")],
    file: Annotated[pathlib.Path, tyro.conf.arg(metavar="FILE")],
    out: Annotated[pathlib.Path, tyro.conf.arg(metavar="OUT")],
    /,
    mode: Mode = "top",
    top: int | None = None,
    threshold: float | None = None,
    text: str = "text",
    id: str | None = None,
    max_tokens: int | None = None,
    batch_size: int = 32,
    skip_bad_rows: bool = False,
) -> None:
    """Classify every text of a file with classes of a taxonomy.

    Args:
        model: the folder of a classifier with a taxonomy, or a hub id.
        file: a .parquet file, or JSON lines.
        out: the file to write or to continue.
        mode: what is said of a text.
        top: in mode top, how many classes, 3 if not given.
        threshold: in modes threshold and path, the least probability of a class, 0.5 if not given.
        text: the column with the text.
        id: the column with a name for each row.
        max_tokens: tokens of a text that are read, as many as in the model's training if not given; the rest of longer
            texts is left out, and they are counted.
        batch_size: texts at once.
        skip_bad_rows: leave out rows that cannot be read or classified and count them, instead of stopping there.
    """
    edge.check_least(1, top=top, max_tokens=max_tokens, batch_size=batch_size)
    dials = read_dials(mode, top, threshold)
    columns = data.TextColumns(text, id=id)
    launch.keep_programs()
    loaded = load_hierarchy_model(model)
    limit = loaded.max_tokens if max_tokens is None else max_tokens
    classify(make_labeller(loaded, dials), file, out, columns, limit, batch_size, skip_bad_rows=skip_bad_rows)


def read_dials(mode: Mode, top: int | None, threshold: float | None) -> dict[str, Any]:
    """The mode and the value that it uses, with its default.

    Raises:
      ValueError: there is a value for another mode, or a threshold that is no probability.
    """
    for name, value, modes in (("top", top, ("top",)), ("threshold", threshold, ("threshold", "path"))):
        if value is not None and mode not in modes:
            raise ValueError(
                f"--{name}: expected with --mode {' or '.join(modes)} only, got --mode {mode}; leave it out, or change "
                "the mode"
            )
    if mode == "top":
        return {"mode": mode, "top": TOP if top is None else top}
    threshold = THRESHOLD if threshold is None else threshold
    if not 0 <= threshold <= 1:
        raise ValueError(f"--threshold: expected a probability from 0 to 1, got {threshold}")
    return {"mode": mode, "threshold": threshold}


def make_labeller(model: HierarchyModel, dials: Mapping[str, Any]) -> Labeller:
    """What classifies texts with a hierarchical classifier and answers in one of the modes.

    Raises:
      ValueError: more classes are asked for than there are.
    """
    taxonomy, config, params, tokenizer, _ = model
    if dials.get("top", 0) > len(taxonomy):
        raise ValueError(f"--top: expected at most the number of classes, {len(taxonomy)}, got {dials['top']}")
    key = {
        **keys.of_model(config, params),
        "tokenizer": keys.of_tokenizer(tokenizer),
        "taxonomy": {"names": taxonomy.names, "parents": taxonomy.parents},
        "answers": dict(dials),
    }
    describe_fn = make_describe_fn(taxonomy, **dials)
    name, limit = keys.digest(key)[:16], config.backbone.max_length
    return Labeller(make_probabilities_fn(config, params), tokenizer, describe_fn, limit, name, key)


def make_describe_fn(taxonomy: Taxonomy, mode: Mode, top: int = TOP, threshold: float = THRESHOLD) -> DescribeFn:
    """What a mode says of a text whose classes have these probabilities."""
    if mode == "path":
        choose_fn, paths_fn = functools.partial(sure_path, taxonomy, thresholds=threshold), one_path
    elif mode == "top":
        choose_fn, paths_fn = _closed(taxonomy, functools.partial(top_classes, k=top)), set_paths
    else:
        choose_fn, paths_fn = _closed(taxonomy, functools.partial(classes_above, thresholds=threshold)), set_paths
    return functools.partial(_describe, taxonomy, jax.jit(choose_fn), paths_fn)


def _closed(taxonomy: Taxonomy, choose_fn):
    return lambda probabilities: taxonomy.close_upwards(choose_fn(probabilities))


def _describe(taxonomy: Taxonomy, choose_fn, paths_fn, probabilities: Float[np.ndarray, "C"]) -> dict[str, Any]:
    paths = paths_fn(taxonomy, np.asarray(choose_fn(probabilities)))
    return describe_paths(taxonomy, probabilities, paths)._asdict()


if __name__ == "__main__":
    edge.explain_errors()
    tyro.cli(main, prog=f"./tools/run {__spec__.name}", description=__doc__)
