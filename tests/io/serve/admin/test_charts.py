from jaxalign.io.serve.admin import charts, formats
from jaxalign.io.serve.admin.overview import first_minute


def test_bars_stand_on_top_of_each_other():
    """The plot is 152 high and 542 wide; of at most 10, 4 are 60.8 and 6 are 91.2."""
    chart = charts.stacked("Requests", [0, 60], {"a": [4, 0], "b": [6, None]})
    assert [(bar.x, bar.y, bar.width, bar.height, bar.colour) for bar in chart.bars] == [
        (79.1, 101.2, 216.8, 60.8, 0),
        (79.1, 10.0, 216.8, 91.2, 1),
    ]
    assert chart.bars[0].told == "a: 4 at Thu 00:00" and chart.described == "Requests: 10 in all"
    assert [tick.label for tick in chart.y_ticks] == ["0", "5.00", "10.0"]
    assert chart.legend == [("a", 0), ("b", 1)]


def test_lines_have_gaps_and_lonely_points_are_dots():
    """Four places, 135.5 apart, the first at 119.8; 1 of 1 is at 10, 0 at 162."""
    chart = charts.lines("Offload", [0, 60, 120, 180], {"a": [1, 0, None, 0.5]}, most=1, label=formats.share)
    assert chart.lines[0].path == "M119.8 10.0L255.2 162.0M526.2 86.0h0"
    assert chart.described == "Offload, latest: a 50.0 %"
    assert charts.lines("Cost", [], {"cost": []}).lines[0].path == ""
    assert charts.lines("Cost", [0], {"cost": [None]}).described == "Cost, latest: cost –"


def test_axes_end_at_round_numbers():
    tops = [charts.lines("", [0], {"a": [value]}).y_ticks[-1].label for value in (0, 0.03, 1, 1.1, 6, 42)]
    assert tops == ["1.00", "0.0500", "1.00", "2.00", "10.0", "50.0"]


def test_days_are_named_where_there_are_several():
    week = charts.stacked("", range(0, 7 * 86400, 10800), {})
    assert [tick.label for tick in week.x_ticks] == ["Thu 00:00", "Fri 18:00", "Sun 12:00", "Tue 06:00"]
    assert [tick.label for tick in charts.stacked("", range(0, 7200, 60), {}).x_ticks][1] == "00:30"


def test_periods_begin_with_a_whole_bar():
    """At minute 100 the last half hour's bar begins at 90; 48 of them begin at 90 + 30 - 1440."""
    assert first_minute("hour", 100 * 60.0 + 59) == 41
    assert first_minute("day", 100 * 60.0) == 120 - 1440


def test_amounts():
    assert [formats.amount(value) for value in (None, 0, 0.00012345, 12.345, 999.6, -3, float("inf"))] == [
        "–", "0", "0.000123", "12.3", "1,000", "-3.00", "inf",
    ]  # fmt: skip
    assert formats.plain({"a": [1, "é"]}) == '{"a": [1, "é"]}' and formats.plain(0.5) == "0.500"
    assert formats.cut("one two", 4) == "one …" and formats.cut("one", 3) == "one"
