"""Files of graded responses in long form, as AlpacaEval's are: longer answers have higher labels."""

import pathlib

import pyarrow
import pyarrow.parquet


def rows(prompts: range) -> list[dict]:
    """Five models' responses to each prompt."""
    return [
        {
            "prompt_id": f"p{p}",
            "source": "test",
            "prompt": f"Question number {p}?",
            "model": f"m{m}",
            "response": f"answer {m} " * (m + 1),
            "preference": m / 5,
        }
        for p in prompts
        for m in range(5)
    ]


def write(folder: pathlib.Path, train: list[dict], validation: list[dict]) -> pathlib.Path:
    """The folder, with both files in it."""
    folder.mkdir(parents=True)
    for name, part in (("train", train), ("validation", validation)):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(part), folder / f"{name}.parquet")
    return folder
