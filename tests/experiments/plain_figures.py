"""For toy runs, here and in other processes: to find room for labels, a figure is drawn twice more."""

from matplotlib.figure import Figure

from jaxalign.io.report import figures


def draw_plainly(set_fn):
    """Figures are drawn once and their labels may be cut; tests of reports have the layout of users."""
    set_fn(figures, "Figure", lambda **options: Figure(**options | {"layout": "none"}))
