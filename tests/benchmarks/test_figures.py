"""Figures of the benchmarks: what is in them, that they repeat, and when they are written."""

import importlib
import itertools
import re
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module; it is installed nowhere and found from the repository's root."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.figures")


@pytest.fixture
def face(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.face")


def drawn(figures: ModuleType, kind: str, shift: float = 0.0):
    e = figures.Estimate
    if kind == "bars":
        series = {"ours": [e(58 + shift, 57, 60), e(47)], "theirs": [e(57), None]}
        return figures.grouped_bars(["all", "few"], series, y_label="accuracy, %", title="Tail")
    if kind == "lines":
        series = {"a < b": [(1, e(3, 2, 4)), (5, e(6 + shift, 5, 7))], "c": [(1, e(2)), (50, e(7))]}
        return figures.lines(series, x_label="rows", y_label="gain", log_x=True, log_y=True)
    rows = [("kernel head", e(0.1, -0.3, 0.5)), ("SMOTE", e(2.0 + shift, 1.0, 3.0))]
    return figures.forest(rows, x_label="ours minus it", lowest_worth=0.8)


KINDS = ("bars", "lines", "forest")


@pytest.mark.parametrize("kind", KINDS)
def test_equal_input_gives_equal_bytes_and_other_input_others(
    kind: str, figures: ModuleType, tmp_path: Path
) -> None:
    once = figures.save(drawn(figures, kind), tmp_path / "once", "name")
    again = figures.save(drawn(figures, kind), tmp_path / "again", "name")
    other = figures.save(drawn(figures, kind, shift=1.0), tmp_path / "other", "name")
    for one, same, different in zip(once, again, other, strict=True):
        assert one.read_bytes() == same.read_bytes()
        assert one.read_bytes() != different.read_bytes()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("bars", {"all", "few", "ours", "theirs", "accuracy, %", "Tail"}),
        ("lines", {"a &lt; b", "c", "rows", "gain", "1", "5", "50"}),
        ("forest", {"kernel head", "SMOTE", "ours minus it"}),
    ],
)
def test_both_files_hold_the_same_figure_with_its_words_as_text(
    kind: str, words: set[str], figures: ModuleType, tmp_path: Path
) -> None:
    png, svg = figures.save(drawn(figures, kind), tmp_path / "new" / "folder", "name")
    assert (png.name, svg.name) == ("name.png", "name.svg")
    text = svg.read_text(encoding="utf-8")
    assert words <= set(re.findall(r"<text[^>]*>([^<]*)</text>", text))
    assert "<dc:date>" not in text
    found = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', text)
    assert found is not None
    with Image.open(png) as image:
        for pixels, points in zip(image.size, found.groups(), strict=True):
            assert abs(pixels - float(points) / 72 * figures.DPI) <= 1


def test_a_forest_runs_from_top_to_bottom_and_tells_ahead_level_and_behind(
    figures: ModuleType,
) -> None:
    e = figures.Estimate
    rows = [("first", e(2, 1, 3)), ("second", e(0.2, -1, 1)), ("third", e(-2, -3, -1))]
    axes = drawn_axes(figures.forest(rows, x_label="difference"))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["third", "second", "first"]
    points = {line.get_xdata()[0]: line for line in axes.lines if len(line.get_xdata()) == 1}
    assert points[2].get_color() == figures.AHEAD
    assert points[0.2].get_markerfacecolor() == "white"
    assert points[-2].get_color() == figures.BEHIND
    assert points[2].get_ydata()[0] > points[0.2].get_ydata()[0] > points[-2].get_ydata()[0]


@pytest.mark.parametrize("values", [(90.0, 240.0), (0.1, 3000.0)])
def test_a_logarithmic_axis_is_told_in_plain_numbers(
    values: tuple[float, float], figures: ModuleType, tmp_path: Path
) -> None:
    points = [(value, figures.Estimate(value)) for value in (values[0] + 0.5, values[1] + 0.5)]
    figure = figures.lines({"a": points}, x_label="x", y_label="y", log_x=True, log_y=True)
    _, svg = figures.save(figure, tmp_path, "name")
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text(encoding="utf-8"))
    assert "100" in texts
    assert not [text for text in texts if "$" in text or "^" in text]


def test_a_scale_that_spans_no_decade_still_has_numbers(figures: ModuleType) -> None:
    points = [(1.0, figures.Estimate(70.5)), (1000.0, figures.Estimate(88.0))]
    figure = figures.lines({"a": points}, x_label="x", y_label="y", log_x=True, log_y=True)
    figure.canvas.draw()
    low, high = drawn_axes(figure).get_ylim()
    told = [text.get_text() for text in drawn_axes(figure).get_yticklabels()]
    assert len([text for text in told if text and low < float(text) < high]) > 2


def drawn_axes(figure):
    (axes,) = figure.axes
    return axes


def test_whiskers_end_where_the_estimate_does(figures: ModuleType) -> None:
    series = {"a": [figures.Estimate(5, 4, 7), figures.Estimate(6)]}
    axes = drawn_axes(figures.grouped_bars(["x", "y"], series, y_label="points"))
    (whiskers,) = axes.collections
    ends = [sorted(point[1] for point in path.vertices) for path in whiskers.get_paths()]
    assert ends == [[4, 7], [6, 6]]


def test_repetitions_become_their_mean_between_the_lowest_and_the_highest(
    figures: ModuleType,
) -> None:
    assert figures.Estimate.over([1.0, 2.0, 6.0]) == (3.0, 1.0, 6.0)
    assert figures.Estimate.over([4.0]) == (4.0, None, None)


def test_series_that_could_not_be_told_apart_are_refused(figures: ModuleType) -> None:
    most = len(figures.COLOURS)
    assert (
        len(set(figures.COLOURS)) == len(set(figures.MARKERS)) == len(set(figures.HATCHES)) == most
    )
    series = {str(i): [figures.Estimate(1)] for i in range(most + 1)}
    with pytest.raises(ValueError, match=f"{most} series apart; {most + 1} were given"):
        figures.grouped_bars(["x"], series, y_label="points")


def test_a_missing_estimate_is_an_error_and_not_a_shifted_bar(figures: ModuleType) -> None:
    with pytest.raises(ValueError, match="shorter"):
        figures.grouped_bars(["x", "y"], {"a": [figures.Estimate(1)]}, y_label="points")


def test_colours_stand_out_from_the_paper_and_neighbours_in_a_grey_print(
    figures: ModuleType,
) -> None:
    def grey(colour: str) -> float:
        red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2

    for colour in figures.COLOURS:
        assert 1.05 / (grey(colour) + 0.05) > 2, "too pale on white"
    for first, second in itertools.pairwise(figures.COLOURS):
        assert abs(grey(first) - grey(second)) > 0.03


def test_a_figure_is_drawn_only_where_a_folder_is_named(
    face: ModuleType, figures: ModuleType, tmp_path: Path
) -> None:
    asked: list[str] = []

    def draw():
        asked.append("drawn")
        return drawn(figures, "forest")

    silent = face.Face("A benchmark.")
    silent.parse([])
    silent.figure("name", draw)
    assert not asked
    told = face.Face("A benchmark.")
    told.parse(["--figures", str(tmp_path / "figures")])
    told.figure("name", draw)
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [
        "name.png",
        "name.svg",
    ]


def test_a_file_in_the_folder_s_place_is_said_in_one_line(
    face: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "figures"
    path.write_text("mine")
    with pytest.raises(SystemExit):
        face.Face("A benchmark.").parse(["--figures", str(path)])
    assert "is not a folder" in capsys.readouterr().err
    assert path.read_text() == "mine"
