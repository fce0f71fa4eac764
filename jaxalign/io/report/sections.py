"""What a report has: sections with a ``title`` and a ``caption`` that says what to see, drawn by their ``template``."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxalign.io.report import figures
from jaxalign.io.report.tree import Tree


class Estimate(NamedTuple):
    """A number with the ends of its interval; one within [0, 1] is also drawn, with a line at one half.

    Attributes:
      value: the number.
      low: the lower end.
      high: the upper end. Where both ends are the number itself, it is exact and stands alone.
    """

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Facts:
    """A section of names with what there is to say of each.

    Attributes:
      title: the heading.
      facts: texts, numbers, or lists of texts by name. A :class:`Code` is shown as such.
      caption: what to see.
    """

    title: str
    facts: Mapping[str, Any]
    caption: str = ""
    template = "facts.html"


class Code(str):
    """A text that can be copied and run."""


@dataclasses.dataclass(frozen=True)
class Table:
    """A section with a table.

    Attributes:
      title: the heading.
      columns: names of the columns.
      rows: texts, numbers and :class:`Estimate`; the first cell of a row is its heading.
      caption: what to see.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""
    template = "table.html"

    @property
    def text_columns(self) -> set[int]:
        """The columns with texts, which are read from the left, unlike numbers; an empty text is a missing number."""
        return {place for row in self.rows for place, value in enumerate(row) if isinstance(value, str) and value}


@dataclasses.dataclass(frozen=True)
class Curves:
    """A section with one figure of lines. Long ones are drawn as averages, with a band from least to greatest.

    Attributes:
      title: the heading.
      series: (x, y) by label.
      x_label: what x is.
      y_label: what y is.
      caption: what to see.
    """

    title: str
    series: figures.Series
    x_label: str = "step"
    y_label: str = ""
    caption: str = ""
    template = "figure.html"

    @property
    def panels(self) -> Mapping[str, figures.Series]:
        """The lines as those of one panel without a title."""
        return {"": self.series}

    def draw(self) -> list[figures.Drawing]:
        """The section's figures."""
        return figures.draw_panels(self.panels, self.x_label, self.y_label)


@dataclasses.dataclass(frozen=True)
class Panels:
    """A section with several figures of lines of one meaning: they have the same axes.

    Attributes:
      title: the heading.
      panels: (x, y) by label, by the title of a figure.
      x_label: what x is.
      y_label: what y is.
      caption: what to see.
    """

    title: str
    panels: Mapping[str, figures.Series]
    x_label: str = "step"
    y_label: str = ""
    caption: str = ""
    template = "figure.html"

    def draw(self) -> list[figures.Drawing]:
        """The section's figures."""
        return figures.draw_panels(self.panels, self.x_label, self.y_label)


@dataclasses.dataclass(frozen=True)
class Reliability:
    """A section on how often what has a probability comes true: lines beside the diagonal of the unit square.

    Attributes:
      title: the heading.
      panels: (x, y) by label, by the title of a figure.
      x_label: what x is.
      y_label: what y is.
      caption: what to see.
    """

    title: str
    panels: Mapping[str, figures.Series]
    x_label: str
    y_label: str
    caption: str = ""
    template = "figure.html"

    def draw(self) -> list[figures.Drawing]:
        """The section's figures."""
        return figures.draw_reliability(self.panels, self.x_label, self.y_label)


@dataclasses.dataclass(frozen=True)
class Histogram:
    """A section on how often values occur: a row of bars for each label; all share axes and bins.

    Attributes:
      title: the heading.
      samples: values by label.
      x_label: what a value is.
      caption: what to see.
    """

    title: str
    samples: Mapping[str, figures.Numbers]
    x_label: str
    caption: str = ""
    template = "figure.html"

    @property
    def panels(self) -> Mapping[str, Mapping[str, figures.Numbers]]:
        """The values as those of one panel without a title."""
        return {"": self.samples}

    def draw(self) -> list[figures.Drawing]:
        """The section's figures."""
        return [figures.draw_histograms(self.samples, self.x_label)]


@dataclasses.dataclass(frozen=True)
class Texts:
    """A section with samples, shown as they are.

    Attributes:
      title: the heading.
      samples: texts by what they are (prompt, response of the policy), a mapping for each sample.
      caption: what to see.
    """

    title: str
    samples: Sequence[Mapping[str, str]]
    caption: str = ""
    template = "texts.html"


@dataclasses.dataclass(frozen=True)
class Groups:
    """A section with many samples in groups, of which a reader opens one or more.

    Attributes:
      title: the heading.
      groups: samples by the name of their group, each texts by what they are, as in :class:`Texts`.
      caption: what to see.
    """

    title: str
    groups: Mapping[str, Sequence[Mapping[str, str]]]
    caption: str = ""
    template = "groups.html"


Section = Facts | Table | Curves | Panels | Reliability | Histogram | Texts | Groups | Tree
