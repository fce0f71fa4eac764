"""Prices of models, in a file that a person writes.

    ["some/model"]     # as the server calls it; in quotes, for the dots and slashes
    prompt = 0.15      # US dollars for a million tokens
    completion = 0.6

A model that is not in the file has no price, which is not a price of 0.
"""

import math
import os
import pathlib
import tomllib
from collections.abc import Mapping
from typing import Any

from jaxalign.io.llm.accounting import Price

_FORM = '["some/model"], prompt = 0.15, completion = 0.6, in US dollars for a million tokens'


def read_prices(path: str | os.PathLike) -> dict[str, Price]:
    """Reads the prices of models from a TOML file with a table for each, see the head of this module.

    Args:
      path: the file.

    Returns:
      Prices by the name of the model.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is of another form; names the model and what was expected.
    """
    try:
        tables = tomllib.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except ValueError as error:  # of TOML, or of UTF-8
        raise ValueError(f"{path}: expected TOML with a table for each model, {_FORM}; {error}") from error
    return {model: _price(path, model, table) for model, table in tables.items()}


def price_of(prices: Mapping[str, Price], model: str) -> Price | None:
    """Returns the price of a model, None if it is unknown.

    Args:
      prices: from :func:`read_prices`.
      model: its name, or the one that :func:`jaxalign.io.llm.record.identify` made of it.
    """
    return prices.get(model) or prices.get(model.rpartition("@")[0])


def _price(path: str | os.PathLike, model: str, table: Any) -> Price:
    where = f"{path}, model {model!r}"
    if not isinstance(table, dict):
        raise ValueError(f"{where}: expected a table, {_FORM}; got {table!r}")
    if unknown := sorted(table.keys() ^ {*Price._fields}):
        missing = [name for name in unknown if name not in table]
        what = f"{missing[0]} is missing" if missing else f"{unknown[0]!r} is not known"
        hint = "; names with dots stand in quotes" if any(isinstance(each, dict) for each in table.values()) else ""
        raise ValueError(f"{where}: expected {_FORM}; {what}{hint}")
    for name, value in table.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 <= value < math.inf:
            raise ValueError(f"{where}: {name}: expected US dollars of at least 0 for a million tokens, got {value!r}")
    return Price(float(table["prompt"]), float(table["completion"]))
