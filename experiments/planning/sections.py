"""What a report shows beside the tables: texts side by side, plan and article apart, and why articles are missing."""

from collections.abc import Mapping, Sequence

from jaxalign import planning
from jaxalign.io.report import Groups, Table
from jaxalign.planning import PlannedArticle, WrittenArticle

SHOWN = 5  # subjects


def draw(
    written: Mapping[str, Sequence[WrittenArticle]], records: Sequence[PlannedArticle], missing: Sequence[tuple]
) -> list:
    """Returns the sections.

    Args:
      written: articles by method, in the order of the records.
      records: the true ones.
      missing: rows on why there is no article, the first with the names of the columns.
    """
    groups = {
        record.id or record.x[:80]: [_true(record), *(_shown(name, each[number]) for name, each in written.items())]
        for number, record in enumerate(records[:SHOWN])
    }
    caption = "What each method has written to the same subjects. Plans stand apart: no figure is of their text."
    sections: list = [Groups("Articles side by side", groups, caption)]
    if len(missing[0]) > 1:
        told = "How many answers have no article, and why. They count as empty articles in every figure."
        sections.append(Table("Answers without an article", missing[0], missing[1:], told))
    return sections


def _true(record: PlannedArticle) -> dict[str, str]:
    plan = {f"true {_spaced(part)}": planning.render_part(record, part) for part in record.known_parts}
    return {"asked for": record.x, **plan, "true article": record.article}


def _shown(name: str, written: WrittenArticle) -> dict[str, str]:
    plan = {f"plan: {_spaced(part)}": text for part, text in written.plan.items()}
    article = written.article or f"(no article: {written.reason})"
    return {"method": name, **plan, "article": article if written.finished or written.reason else f"{article} ..."}


def _spaced(part: str) -> str:
    return part.replace("_", " ")
