"""The report as JSON and as a page: complete, strict, self-contained, and fit for odd datasets."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from models.evaluation.data import LabelledRows
from models.evaluation.fidelity import measure_fidelity
from models.evaluation.interval import Interval
from models.evaluation.latent_map import project
from models.evaluation.page import render
from models.evaluation.protocol import evaluate
from models.evaluation.release import judge
from models.evaluation.report import COLUMNS, Context, build
from models.evaluation.settings import Choice
from models.evaluation.spec import ReleaseSpec

HISTORY = [(step, 1 / step) for step in range(1, 2001)]


@pytest.fixture(scope="module")
def report(result):
    return build(result, Context(seed=3, history=HISTORY, made_splits=["val"]))


class Page(HTMLParser):
    """Every tag closed in its turn, and what the page would fetch."""

    VOID = ("meta", "br", "link", "img", "input")

    def __init__(self, text):
        super().__init__()
        self.open, self.fetched, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and not value.startswith(("#", "data:")):
                self.fetched.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()


def test_the_report_is_strict_json_with_the_verdict_first(report):
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert list(report)[:2] == ["schema", "verdict"]
    assert report["verdict"]["sentence"].startswith("GeLDA's latents raise balanced accuracy by +")


def test_the_table_has_every_arm_in_percent_and_null_for_an_absent_group(report, result):
    table = report["table"]
    assert table["columns"] == list(COLUMNS)
    assert [row["name"] for row in table["rows"]] == list(result.arms)
    row = next(row for row in table["rows"] if row["name"] == "gelda")
    right = result.correct("gelda")
    assert row["values"]["all"] == pytest.approx(100 * right.mean(), abs=0.01)
    assert row["values"]["few"] == pytest.approx(
        100 * right[:, result.data.test.y >= 3].mean(), abs=0.01
    )
    assert {name: group["classes"] for name, group in table["groups"].items()} == {
        "many": 1,
        "medium": 2,
        "few": 2,
    }


def test_each_control_is_ahead_level_or_behind_by_its_interval(report, result):
    assert [row["control"] for row in report["comparisons"]] == list(result.intervals)
    for row in report["comparisons"]:
        found = result.intervals[row["control"]]["balanced"]
        assert row["standing"] == found.standing
        assert row["difference"] == pytest.approx(100 * found.mean, abs=0.01)
        assert set(row["columns"]) == set(COLUMNS)


def test_classes_carry_their_gain(report, result):
    worst = report["per_class"][4]
    assert (worst["class"], worst["train_rows"], worst["test_rows"]) == ("epsilon", 4, 60)
    assert worst["gain"] == pytest.approx(worst["method"] - worst["real"], abs=0.011)


def test_a_long_training_curve_is_thinned_but_keeps_its_end(report):
    curve = report["training"]["steps_and_losses"]
    assert len(curve) == 400
    assert curve[-1][0] == 2000
    losses = [loss for _, loss in curve]
    assert losses == sorted(losses, reverse=True)


def caveat(result, word, context=None):
    found = build(result, context or Context())["caveats"]
    return [sentence for sentence in found if word in sentence]


def test_test_rows_that_training_has_seen_are_told_first(result):
    train, test = result.data.train, result.data.test
    seen = LabelledRows(np.concatenate([test.x[:-3], train.x[:3]]), test.y)
    found = replace(result, data=replace(result.data, test=seen))
    assert build(found, Context())["caveats"][0].startswith("3 of 300 test rows are training rows")
    assert not caveat(result, "test rows are training rows")


def test_a_group_on_both_sides_is_told(result):
    def grouped(first_of_test):
        train, test = (
            replace(part, group=np.arange(first, first + len(part.y)))
            for part, first in ((result.data.train, 0), (result.data.test, first_of_test))
        )
        return replace(result, data=replace(result.data, train=train, test=test))

    rows = len(result.data.train.y)
    assert caveat(grouped(rows - 2), "leaks")[0].startswith("2 groups have rows in train and in")
    assert not caveat(grouped(rows), "leaks")


def test_caveats_name_what_weakens_the_figures(result):
    assert caveat(result, "no row in one of", Context(too_small=["delta"])) == [
        "1 class has no row in one of train, val and test, and so cannot be learned, chosen for or "
        "reported on as the others are: delta."
    ]
    assert not caveat(result, "too small")
    assert not caveat(result, "Validation has only")
    data = result.data
    few = replace(data, val=LabelledRows(data.val.x[:7], data.val.y[:7]))
    assert "only 7 rows" in caveat(replace(result, data=few), "Validation has only")[0]
    none = replace(data, val=LabelledRows(data.val.x[:0], data.val.y[:0]))
    assert caveat(replace(result, data=none), "no validation rows")
    assert caveat(replace(result, seeds=1), "trained once: the interval covers test rows only")
    assert caveat(replace(result, repeated_classes=("delta",)), "SMOTE can only repeat")
    assert caveat(result, f"serve {len(result.intervals)} comparisons")


def test_coarse_test_classes_and_unseen_classes_are_counted(result):
    data = result.data
    rows = np.concatenate([np.flatnonzero(data.test.y < 3), np.flatnonzero(data.test.y >= 3)[:3]])
    bare = replace(
        data,
        test=LabelledRows(data.test.x[rows], data.test.y[rows]),
        train=LabelledRows(data.train.x[data.train.y < 4], data.train.y[data.train.y < 4]),
    )
    arms = {
        name: replace(arm, predictions=arm.predictions[:, rows])
        for name, arm in result.arms.items()
    }
    found = replace(result, data=bare, arms=arms)
    assert "1 class has fewer than 10 test rows" in caveat(found, "test rows: recall")[0]
    assert "epsilon" in caveat(found, "no training row")[0]


def test_the_page_is_whole_and_fetches_nothing(report, result, made):
    page = render(report, project(result.data, made))
    parsed = Page(page)
    assert parsed.open == []
    assert parsed.fetched == []
    assert parsed.tags.count("svg") == 5
    assert "<script" not in page
    assert "@import" not in page
    # The verdict stands before any table or figure.
    assert page.index("raise balanced accuracy") < page.index("<table")
    assert "currentColor" in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    repeated = {name for name in ids if ids.count(name) > 1}
    assert not {name for name in repeated if f"#{name}" in page}


def test_equal_reports_make_equal_pages(report, result, made):
    first, again = (render(report, project(result.data, made, 5)) for _ in range(2))
    assert first == again


def test_names_cannot_break_or_enter_the_page(data, made, quick_head, quick):
    names = ("<script>alert(1)</script>", "$a_{b}$", "x" * 300, "鳥", '"&amp;')
    odd = replace(data, classes=names)
    result = evaluate(odd, made, Choice(0), head=quick_head, spec=quick, seed=3)
    context = Context(too_small=names[:1], facts={"dataset": "<img src=x>"})
    page = render(build(result, context), project(odd, made))
    parsed = Page(page)
    assert parsed.open == []
    assert "script" not in parsed.tags
    assert "img" not in parsed.tags
    assert "鳥" in page
    assert "x" * 100 not in page.partition("too small")[2].partition("<h2>Where")[0]


def two_classes(seeds=1):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [40, 6])
    x = rng.standard_normal((46, 1)).astype(np.float32) + y[:, None]
    return LabelledRows(x, y)


def test_two_classes_one_dimension_one_seed_and_no_control_still_make_a_page(
    data, quick_head, quick
):
    part = two_classes()
    bare = replace(data, train=part, val=LabelledRows(part.x[:0], part.y[:0]), test=part)
    bare = replace(bare, classes=("no", "yes"))
    added = np.ones((34, 1), np.float32), np.ones(34, np.int64)
    spec = quick.model_copy(update={"seeds": 1, "controls": ()})
    result = evaluate(bare, added, Choice(0), head=quick_head, spec=spec, seed=3)
    report = build(result, Context())
    assert report["table"]["rows"][0]["values"]["many"] is None
    assert report["choice"]["trials"] == []
    assert project(bare, added) is None
    page = render(report)
    parsed = Page(page)
    assert parsed.open == []
    # Comparisons and gains; no choice, no curve, no map, and no heading for them.
    assert parsed.tags.count("svg") == 2
    assert "What validation chose" not in page
    assert "over 1 seed " in page


def test_a_hundred_classes_are_points_and_thirty_are_bars(result):
    for classes, bars in ((100, False), (30, True)):
        row = {"group": "few", "test_rows": 9, "real": 1.0, "method": 2.0}
        report = build(result, Context()) | {
            "per_class": [
                row | {"class": f"class {n}", "train_rows": n, "gain": float(n % 7 - 3)}
                for n in range(classes)
            ]
        }
        assert ("class 12  (12)" in render(report)) == bars


def test_a_rival_far_out_becomes_an_arrow_and_does_not_squeeze_the_rest(result):
    far = dict(result.intervals)
    far["smote"] = dict.fromkeys(COLUMNS, Interval(0.9, 0.88, 0.92))
    near = {n: dict.fromkeys(COLUMNS, Interval(0.01, -0.01, 0.02)) for n in far if n != "smote"}
    page = render(build(replace(result, intervals=near | {"smote": far["smote"]}), Context()))
    assert ">+90.0<" in page.partition("<figure>")[2].partition("</figure>")[0]


def test_the_map_shows_the_scarcest_classes_among_test_rows(result, made):
    found = project(result.data, made)
    assert found.names == ("epsilon", "delta", "gamma", "beta")
    assert found.train_rows == (4, 8, 30, 80)
    assert found.method == "t-SNE"
    assert len(found.real) == len(found.real_label) == 300
    assert set(found.real_label) == {-1, 0, 1, 2, 3}
    assert found.synthetic.shape == (len(found.synthetic_label), 2)


def judged(result, synthetic, **conditions):
    on_val = measure_fidelity(result.data, synthetic, part="val")
    release = judge(ReleaseSpec(**conditions), on_val, result.val_gain, result.data.val)
    on_test = measure_fidelity(result.data, synthetic, part="test")
    return build(result, Context(fidelity=on_test, release=release))


def test_fidelity_is_told_with_its_picture_and_its_reference(result, made):
    report = judged(result, LabelledRows(*made), max_copy_share=0)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["fidelity"]["measured_on"] == "test"
    assert report["release"]["measured_on"] == "val"
    page = render(report)
    assert Page(page).open == []
    section = page.partition("How real and how new")[2].partition("<h2>")[0]
    assert "<svg" in section
    for name in ("Fréchet distance", "C2ST", "coverage", "copies of training rows"):
        assert name in section
    assert "The condition of release_if holds on validation rows." in page
    assert "is handed out" not in page


def test_a_report_without_fidelity_has_no_section_of_it(result):
    page = render(build(result, Context()))
    assert "How real and how new" not in page
    assert "release_if" not in page


def test_copies_are_a_caveat_and_new_rows_are_none(result, made):
    train = result.data.train
    rows = np.flatnonzero(train.y > 0)
    x, y = np.concatenate([made[0], train.x[rows]]), np.concatenate([made[1], train.y[rows]])
    copied = judged(result, LabelledRows(x, y), min_gain=0)["caveats"][0]
    share = 100 * len(rows) / len(y)
    assert copied.startswith(f"{share:.2g} % of {len(y):,} synthetic rows are training rows")
    near = LabelledRows(train.x[rows] + np.float32(0.01), train.y[rows])
    sentences = judged(result, near, min_gain=0)["caveats"]
    assert "keeps close to what it was trained on" in sentences[0]
    assert not any(
        "training row" in one
        for one in judged(result, LabelledRows(*made), min_gain=0)["caveats"][:1]
    )


def test_figures_that_are_missing_say_why_on_the_page(result, made):
    few = LabelledRows(made[0][::40], made[1][::40])
    page = render(judged(result, few, min_gain=0))
    assert "50 are needed" in page
    assert Page(page).open == []
