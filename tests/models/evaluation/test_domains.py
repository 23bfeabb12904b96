"""Reports of edits: accuracy by domain, in and out of domain, filters and cautions."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from models.evaluation.arms import ALIA, GLICO
from models.evaluation.choice_plot import in_words
from models.evaluation.data import EvaluationData
from models.evaluation.domains import by_domain, familiar
from models.evaluation.image_settings import ImageChoice, ImageTrial
from models.evaluation.images import ImageArm, image_rows, measured
from models.evaluation.interval import paired_interval
from models.evaluation.page import render
from models.evaluation.report import Context, build
from models.images.spec import ImageClassifierSpec

CLASSES, DOMAINS = ("ant", "bee"), ("in snow", "on sand", "at <night>")
TRAIN = np.array([[20, 4, 0], [3, 2, 19]])
"""Training images by class and domain; half of a fair share is 4, of 24 in three domains."""

IN_DOMAIN = [[True, True, False], [False, False, True]]
FILTERS = [
    {"name": "semantic", "dropped": 30, "share": 0.0252, "sentence": ""},
    {"name": "confidence", "dropped": 1200, "share": 0.6, "sentence": "It drops <most> of them."},
]
TRIALS = tuple(
    ImageTrial(arm, setting, -1.0, 0.5)
    for arm, setting in (
        ("real", {"augmentation": "none", "penalty": 1.0}),
        ("alia", {"filters": "semantic+near_duplicate", "augmentation": "color", "penalty": 1.0}),
    )
)


def rows_of(counts, seed):
    """Rows by class and domain, as many as `counts` has."""
    y, domain = (np.repeat(place.ravel(), counts.ravel()) for place in np.indices(counts.shape))
    x = np.random.default_rng(seed).standard_normal((len(y), 3)).astype(np.float32)
    return image_rows(x, y, subdomain=domain)


def right(rows, inside, outside, seeds=2):
    """Predictions, of which shares are right in and out of domain, others in each seed."""
    rng = np.random.default_rng(int(1000 * outside))
    share = np.where(np.array(IN_DOMAIN)[rows.y, rows.subdomain], inside, outside)
    return np.where(rng.random((seeds, len(rows.y))) < share, rows.y, 1 - rows.y).astype(np.int64)


@pytest.fixture(scope="module")
def data():
    test = rows_of(np.full((2, 3), 40), 2)
    return EvaluationData(rows_of(TRAIN, 0), rows_of(np.full((2, 3), 8), 1), test, CLASSES, DOMAINS)


@pytest.fixture(scope="module")
def arms(data):
    spec = ImageClassifierSpec().model_dump(mode="json")
    shares = {
        "real": (0.9, 0.2),
        "alia": (0.92, 0.8),
        "color": (0.9, 0.5),
        "extra_real": (0.9, 0.85),
    }
    return {
        name: ImageArm(
            right(data.test, *share),
            right(data.val, *share),
            spec,
            synthetic=7200 if name == "alia" else 0,
        )
        for name, share in shares.items()
    }


@pytest.fixture(scope="module")
def result(data, arms):
    return measured(data, arms, ImageChoice.best(TRIALS), method=ALIA, metric="accuracy")


@pytest.fixture(scope="module")
def report(result):
    return build(result, Context(facts={"filters": FILTERS, "dataset": "ds_1"}))


def test_a_domain_is_its_class_s_own_from_half_of_a_fair_share_on(data):
    assert familiar(data).tolist() == IN_DOMAIN
    fewer = replace(data, train=rows_of(TRAIN - [[0, 1, 0], [0, 0, 0]], 0))
    # 3 of 23: half of a fair share is 3.8.
    assert familiar(fewer)[0].tolist() == [True, False, False]


def test_a_class_without_a_training_image_is_out_of_domain_everywhere(data):
    one = replace(data, train=rows_of(TRAIN * [[1], [0]], 0))
    assert not familiar(one)[1].any()


def test_domains_without_any_row_take_no_share(data):
    named = replace(data, subdomains=(*DOMAINS, "on brick", "on mars", "at sea"))
    assert familiar(named)[:, :3].tolist() == IN_DOMAIN
    assert not familiar(named)[:, 3:].any()


def test_accuracies_are_those_of_the_predictions_in_each_part(report, arms, data):
    found = report["per_subdomain"]
    inside = np.array(IN_DOMAIN)[data.test.y, data.test.subdomain]
    parts = {
        "in_domain": (found["in_domain"], inside, 43),
        "out_of_domain": (found["out_of_domain"], ~inside, 5),
        **{
            one["subdomain"]: (one, data.test.subdomain == number, int(TRAIN[:, number].sum()))
            for number, one in enumerate(found["subdomains"])
        },
    }
    assert list(parts)[2:] == list(DOMAINS)
    for part, rows, train_rows in parts.values():
        assert (part["train_rows"], part["test_rows"]) == (train_rows, rows.sum())
        assert list(part["values"]) == list(arms)
        for name, arm in arms.items():
            share = (arm.on_test == data.test.y)[:, rows].mean()
            assert part["values"][name] == pytest.approx(100 * share, abs=0.01)


def test_the_lead_over_real_images_is_the_paired_interval_of_those_rows(report, arms, data):
    found = report["per_subdomain"]
    outside = ~np.array(IN_DOMAIN)[data.test.y, data.test.subdomain]
    correct = [(arms[name].on_test == data.test.y)[:, outside] for name in ("alia", "real")]
    expected = paired_interval(*correct, data.test.y[outside], metric="accuracy")
    lead = found["out_of_domain"]["over_real"]
    assert lead["difference"] == pytest.approx(100 * expected.mean, abs=0.01)
    assert (lead["low"], lead["high"]) == pytest.approx(
        (100 * expected.low, 100 * expected.high), abs=0.01
    )
    assert lead["standing"] == "ahead"
    assert found["in_domain"]["over_real"]["standing"] == "level"


def test_groups_are_drawn_whole_within_a_domain_too(data, arms, result):
    # With all rows of a class in one group, a draw differs from another by its seeds alone.
    grouped = replace(data, test=replace(data.test, group=data.test.y))
    found = measured(grouped, arms, ImageChoice(), method=ALIA, metric="accuracy").domains
    for one, alone in zip(found.each, result.domains.each, strict=True):
        assert one.over_real.mean == alone.over_real.mean
        narrow, wide = (i.high - i.low for i in (one.over_real, alone.over_real))
        assert narrow < 0.75 * wide


def test_the_verdict_tells_of_both_sides(report):
    (told,) = (one for one in report["verdict"]["details"] if "domain" in one)
    outside = report["per_subdomain"]["out_of_domain"]["over_real"]["difference"]
    inside = report["per_subdomain"]["in_domain"]["over_real"]["difference"]
    assert f"no training images of the kind, +{outside:.1f} [" in told
    assert f"in domain {inside:+.1f} [".replace("-", "−") in told
    assert report["verdict"]["sentence"].startswith("ALIA's edits raise accuracy by +")


def test_the_report_is_strict_json(report):
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_the_page_has_a_figure_and_every_arm_by_domain(report):
    section = render(report).partition("<h2>By domain</h2>")[2].partition("<h2>")[0]
    assert section.count("<svg") == 1
    assert "at &lt;night&gt;<br>80" in section
    assert "at <night>" not in section
    for row in report["table"]["rows"]:
        assert f"<td>{row['label']}</td>" in section
        assert f"{report['per_subdomain']['out_of_domain']['values'][row['name']]:.1f}" in section
    assert "half of a fair share of its training images" in section
    assert "16.7 % of them, as there are 3 domains" in section


def test_a_side_without_a_test_image_is_empty_and_goes_unsaid(data, arms, result):
    known = np.array(IN_DOMAIN)[data.test.y, data.test.subdomain]
    test = replace(
        data.test,
        x=data.test.x[known],
        y=data.test.y[known],
        subdomain=data.test.subdomain[known],
    )
    some = {name: replace(arm, on_test=arm.on_test[:, known]) for name, arm in arms.items()}
    bare = replace(data, test=test)
    told = build(measured(bare, some, ImageChoice(), method=ALIA, metric="accuracy"), Context())
    part = told["per_subdomain"]["out_of_domain"]
    assert (part["test_rows"], part["over_real"], part["values"]["alia"]) == (0, None, None)
    assert not any("domain" in one for one in told["verdict"]["details"])
    assert "<h2>By domain</h2>" in render(told)


def test_a_report_without_domains_or_filters_says_nothing_of_either(data, arms):
    plain = {
        part: replace(getattr(data, part), subdomain=None) for part in ("train", "val", "test")
    }
    bare = replace(data, **plain, subdomains=())
    named = {"glico" if name == "alia" else name: arm for name, arm in arms.items()}
    told = build(measured(bare, named, ImageChoice(), method=GLICO, metric="accuracy"), Context())
    assert "per_subdomain" not in told
    page = render(told)
    for words in ("By domain", "filters", "edits", "in-domain"):
        assert words not in page
    assert by_domain(replace(bare, subdomains=("one",)), {}, GLICO) is None


def test_what_filters_dropped_is_a_table_and_no_fact_among_others(report):
    page = render(report)
    section = page.partition("<h2>What the filters dropped</h2>")[2].partition("<h2>")[0]
    assert "<td>1,200</td><td>60.0 %</td>" in section
    assert "It drops &lt;most&gt; of them." in section
    assert "<dt>filters</dt>" not in page
    assert "<dt>dataset</dt><dd>ds_1</dd>" in page


def test_cautions_of_the_method_come_first(result):
    caution = "The filter “confidence” dropped 60 % of the edits."
    told = build(result, Context(cautions=[caution]))["caveats"]
    assert told[0] == caution
    assert told[1:] == build(result, Context())["caveats"]


def test_what_was_made_once_are_the_edits(report):
    assert report["caveats"][-1] == (
        "The edits were made once: the interval covers classifiers and test images, not another making of "
        "the edits."
    )
    assert not any("generator" in one for one in report["caveats"])


def test_what_the_edits_cost_is_told_without_a_generator(result, report):
    each = {
        "classifier_steps": 100, "classifier_images": 3200, "synthetic_images": 1600,
        "settings_tried": 6, "trainings": 3, "seconds_a_training": 9.5,
    }  # fmt: skip
    compute = {
        "classifiers": dict.fromkeys(result.arms, each),
        "edits": {"made": 2400, "kept": 1000, "seconds": 321.04},
    }
    page = render(build(result, Context(facts={"compute": compute})))
    assert "2,400 made, of which 1,000 are handed out, in 321.0 seconds." in page


def test_the_page_speaks_of_edits_and_of_chosen_names(report):
    page = re.sub(r"<style>.*?</style>", "", render(report), flags=re.DOTALL)
    for word in ("GLICO", "latent", "generator", " head"):
        assert word not in page
    assert "<dd>penalty × 1, filtered by semantic + near duplicate, colour jitter</dd>" in page
    assert "resnet-8 trained on real images and edits, by validation" in page


def test_a_setting_of_names_is_put_into_words():
    assert in_words({"filters": "none", "augmentation": "none"}) == "penalty × 1, no filter"
    assert in_words({"cutmix": 1.0, "augmentation": "cutout"}) == "penalty × 1, CutMix α 1, Cutout"
