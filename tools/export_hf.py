"""Export a training checkpoint to Hugging Face format: ``./tools/run tools.export_hf runs/lipo OUT``.

CHECKPOINT is the folder of a run (its newest checkpoint is taken), one of its folders of checkpoints, such as
``runs/lipo/best``, or a single checkpoint in one, such as ``runs/lipo/checkpoints/400``. The run has ``model.json``
and, if its tokenizer is to be exported too, ``tokenizer/``.
"""

import pathlib
from typing import Annotated, Literal

import tyro

from jaxalign.data import load_tokenizer
from jaxalign.io import edge, hf
from jaxalign.io.run import checkpoints, model_config


def main(
    checkpoint: Annotated[pathlib.Path, tyro.conf.arg(metavar="CHECKPOINT")],
    out: Annotated[pathlib.Path, tyro.conf.arg(metavar="OUT")],
    /,
    dtype: Literal["float32", "bfloat16", "float16"] | None = None,
    max_shard_gb: float = 5.0,
    title: str = "",
    license: str = "",
    base_model: str = "",
) -> None:
    """Export a training checkpoint to Hugging Face format.

    Args:
        checkpoint: the folder of a run, of its checkpoints, or of one checkpoint.
        out: the directory to write; an earlier export there is replaced.
        dtype: of the stored weights; by default that of the model that training started from, float32 for a new one.
        max_shard_gb: size of a weight file, in 10^9 bytes.
        title: of the model card; by default the name of the run.
        license: for the model card, an identifier that the Hugging Face hub knows, such as apache-2.0.
        base_model: for the model card, the hub id of the model that training started from.
    """
    edge.check_least(0.001, max_shard_gb=max_shard_gb)
    folder, step = _locate(checkpoint.absolute())
    run = _run_of(folder)
    config = model_config.load_config(run)
    tokenizer = load_tokenizer(run / "tokenizer") if (run / "tokenizer").is_dir() else None
    params = checkpoints.load_params(folder, step=step)
    stated = {"license": license, "base_model": base_model}
    card = hf.ModelCard(title or run.name, metadata={key: value for key, value in stated.items() if value})
    hf.save_pretrained(out, config, params, tokenizer, dtype=dtype, max_shard_bytes=max_shard_gb * 1e9, card=card)
    print(f"exported {folder} {'newest' if step is None else step} to {out}" + ("" if tokenizer else ", no tokenizer"))


def _locate(path: pathlib.Path) -> tuple[pathlib.Path, int | None]:
    """The folder of checkpoints that ``path`` is about, and the step if it is about one."""
    if (path / "checkpoints").is_dir():
        return path / "checkpoints", None
    return (path.parent, int(path.name)) if path.name.isdigit() else (path, None)


def _run_of(folder: pathlib.Path) -> pathlib.Path:
    """The run that a folder of checkpoints is in; a run may keep those of its stages in folders of their own."""
    for run in folder.parent, folder.parent.parent:
        if (run / model_config.NAME).is_file():
            return run
        if (run / "adapter").is_dir():
            raise FileNotFoundError(
                f"{folder} holds adapters without their base; {run / 'adapter'} has the last one in peft's format, "
                f"which PeftModel.from_pretrained lays onto the base and merge_and_unload adds to it"
            )
    raise FileNotFoundError(
        f"no {model_config.NAME} beside {folder} or one level above; pass a run, or write the file with "
        f"jaxalign.io.run.model_config.save_config"
    )


if __name__ == "__main__":
    edge.explain_errors()
    tyro.cli(main, prog=f"./tools/run {__spec__.name}", description=__doc__)
