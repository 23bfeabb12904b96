"""Reports of methods that make images, from what classifiers said: figures, words, pictures."""

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from models.evaluation.arms import ALIA, GLICO, Method, labels_of
from models.evaluation.data import EvaluationData
from models.evaluation.fidelity import measure_fidelity
from models.evaluation.image_settings import ImageChoice, ImageTrial
from models.evaluation.images import ImageArm, applicable, image_rows, measured
from models.evaluation.latent_map import project
from models.evaluation.page import render
from models.evaluation.pictures import Picture
from models.evaluation.release import judge
from models.evaluation.report import Context, build
from models.evaluation.spec import IMAGE_CONTROLS, EvaluateSpec, ReleaseSpec
from models.images.spec import ImageClassifierSpec

CLASSES = ("ant", "bee", "cat")
TRIALS = (
    ImageTrial("real", {"penalty": 1.0}, -1.4, 0.4),
    ImageTrial("real", {"penalty": 4.0}, -1.2, 0.5),
    ImageTrial("glico", {"penalty": 1.0, "probability": 0.5, "mixup": 0.0}, -1.1, 0.55),
    ImageTrial("glico", {"penalty": 1.0, "probability": 0.75, "mixup": 0.4}, -1.0, 0.6),
)
RIGHT = {"real": 0.5, "glico": 0.8, "mixup": 0.78, "cutout": 0.55, "published": 0.6}
"""Share of rows that each arm's classifiers have right."""


def part(rows, seed, images=None):
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % 3
    features = (3 * np.eye(3)[y] + rng.standard_normal((rows, 3))).astype(np.float32)
    return image_rows(features, y, images=images)


def said(share, y, seeds=2):
    """Predictions of which `share` is right, others in each seed."""
    rng = np.random.default_rng(int(1000 * share))
    right = rng.random((seeds, len(y))) < share
    return np.where(right, y, (y + 1) % 3).astype(np.int64)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).integers(0, 256, (300, 4, 4, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def data(images):
    train, test = part(60, 0, images[:60]), part(240, 2, images[60:])
    return EvaluationData(train, part(120, 1), test, CLASSES)


@pytest.fixture(scope="module")
def arms(data):
    spec = ImageClassifierSpec().model_dump(mode="json")
    return {
        name: ImageArm(
            said(share, data.test.y),
            said(share, data.val.y),
            spec,
            log_score=share - 2,
            synthetic=36_000 if name in ("glico", "published") else 0,
        )
        for name, share in RIGHT.items()
    }


@pytest.fixture(scope="module")
def result(data, arms):
    choice = ImageChoice.best(TRIALS)
    return measured(data, arms, choice, method=GLICO, metric="accuracy")


@pytest.fixture(scope="module")
def synthetic():
    return part(150, 3)


@pytest.fixture(scope="module")
def report(result, synthetic):
    context = Context(
        history=[(step, 1 / step) for step in range(1, 50)],
        fidelity=measure_fidelity(result.data, synthetic),
    )
    return build(result, context)


def png(width, height):
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "PNG")
    return file.getvalue()


def test_the_report_is_about_the_method_and_its_images(report):
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["method"] == {"name": "glico", "label": "GLICO", "makes": "images"}
    assert report["verdict"]["sentence"].startswith("GLICO's images raise accuracy by +")
    labels = [row["label"] for row in report["table"]["rows"]]
    assert labels == [
        "real images only", "GLICO", "real images, mixup", "real images, Cutout",
        "GLICO as published",
    ]  # fmt: skip
    assert report["table"]["groups"]["medium"]["rule"] == "20 to 100 training images"
    assert report["interval"].endswith("within class, over test images")


def test_figures_are_those_of_the_predictions(report, arms, data):
    rows = {row["name"]: row for row in report["table"]["rows"]}
    for name, arm in arms.items():
        right = 100 * (arm.on_test == data.test.y).mean()
        assert rows[name]["values"]["all"] == pytest.approx(right, abs=0.01)
    assert rows["glico"]["rows_added"] == 36_000
    one = report["per_class"][1]
    mine = (arms["glico"].on_test == data.test.y)[:, data.test.y == 1]
    assert one["method"] == pytest.approx(100 * mine.mean(), abs=0.01)
    assert one["gain"] == pytest.approx(one["method"] - one["real"], abs=0.011)


def test_validation_hands_out_the_better_classifier_and_its_better_seed(result, data, arms):
    told = result.handed_out
    assert told.arm == "glico"
    assert told.seed == (arms["glico"].on_val == data.val.y).mean(axis=1).argmax()
    assert set(told.val_scores) == {"glico", "real"}
    # A rival that does better is handed out only where it is a candidate.
    better = arms | {"mixup": replace(arms["mixup"], on_val=np.stack([data.val.y] * 2))}
    choice = ImageChoice()
    for candidates, taken in (((), "glico"), (("real", "mixup"), "mixup")):
        found = measured(
            data, better, choice, method=GLICO, metric="accuracy", candidates=candidates
        )
        assert found.handed_out.arm == taken


def test_the_classifier_is_told_with_both_its_scores(report):
    told = report["classifier"]
    assert told["trained_on"] == "glico"
    assert told["log_scores"] == {"glico": -1.2, "real": -1.5}
    assert 70 < told["val_scores"]["glico"] < 90
    assert told["spec"]["network"] == "resnet-8"


def test_each_arm_takes_its_best_setting_and_the_choice_survives_json():
    choice = ImageChoice.best(TRIALS)
    assert choice.settings == {
        "real": {"penalty": 4.0},
        "glico": {"penalty": 1.0, "probability": 0.75, "mixup": 0.4},
    }
    assert ImageChoice.from_json(json.loads(json.dumps(choice.as_json()))) == choice
    level = [replace(trial, score=-1.0) for trial in TRIALS]
    assert ImageChoice.best(level).settings["real"] == {"penalty": 1.0}


def test_a_gain_on_validation_images_is_judged(result, synthetic):
    on_val = measure_fidelity(result.data, synthetic, part="val")
    granted = judge(ReleaseSpec(min_gain=20), on_val, result.val_gain, result.data.val)
    assert granted.granted
    assert not judge(ReleaseSpec(min_gain=45), on_val, result.val_gain, result.data.val).granted


def test_without_validation_images_the_method_is_handed_out_and_no_gain_is_known(data, arms):
    empty = replace(data.val, x=data.val.x[:0], y=data.val.y[:0])
    bare = {n: replace(arm, on_val=arm.on_val[:, :0], log_score=None) for n, arm in arms.items()}
    found = measured(replace(data, val=empty), bare, ImageChoice(), method=GLICO, metric="accuracy")
    assert (found.handed_out.arm, found.handed_out.val_scores) == ("glico", {})
    assert found.val_gain is None
    told = build(found, Context())
    assert "no validation images: nothing was chosen" in " ".join(told["caveats"])
    assert "log_scores" not in told["classifier"]
    assert "What validation chose" not in render(told)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda arms: {"glico": arms["glico"]}, "the arm 'real' is missing, found glico"),
        (
            lambda arms: arms | {"cutout": replace(arms["cutout"], on_val=np.zeros((2, 7), int))},
            r"predictions of 'cutout' on val are \(2, 7\), \(2, 120\) is expected",
        ),
        (
            lambda arms: arms | {"real": replace(arms["real"], on_test=arms["real"].on_test[:1])},
            r"predictions of 'real' on test are \(1, 240\), \(2, 240\) is expected",
        ),
        (lambda arms: arms | {"smote": arms["cutout"]}, "the arm 'smote' has no label"),
    ],
)
def test_arms_that_cannot_be_compared_are_refused(data, arms, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        measured(data, change(arms), ImageChoice(), method=GLICO, metric="accuracy")


def test_an_arm_of_the_callers_own_is_compared_under_its_label(data, arms):
    own = replace(arms["cutout"], label="GLICO, straight lines")
    found = measured(data, arms | {"lerp": own}, ImageChoice(), method=GLICO, metric="accuracy")
    assert found.intervals["lerp"]["all"].standing == "ahead"
    assert "GLICO, straight lines" in render(build(found, Context()))


def test_a_control_that_the_classifier_is_anyway_does_not_apply():
    plain = ImageClassifierSpec()
    every = applicable(GLICO, plain, EvaluateSpec())
    assert every == [
        "cutout",
        "randaugment",
        "mixup",
        "cross_fade",
        "cross_fade_mixup",
        "published",
    ]
    assert set(every) <= set(labels_of(GLICO))
    cut = applicable(GLICO, plain.model_copy(update={"augmentation": "cutout"}), EvaluateSpec())
    assert set(every) - set(cut) == {"cutout"}
    mixed = applicable(GLICO, plain.model_copy(update={"mixup": 0.4}), EvaluateSpec())
    assert set(every) - set(mixed) == {"mixup", "cross_fade_mixup"}
    some = EvaluateSpec(controls=("smote", "mixup", "published"))
    assert applicable(GLICO, plain, some) == ["mixup", "published"]
    other = Method("other", "Other", "images")
    assert applicable(other, plain, EvaluateSpec()) == ["cutout", "randaugment", "mixup"]


def test_an_edit_method_has_controls_of_its_own_as_far_as_the_job_has_images_for_them():
    plain, both = ImageClassifierSpec(), ("text_to_image", "extra_real")
    every = applicable(ALIA, plain, EvaluateSpec(), further=both)
    assert every == ["randaugment", "color", "cutmix", "text_to_image", "extra_real"]
    assert set(every) <= set(labels_of(ALIA))
    assert applicable(ALIA, plain, EvaluateSpec()) == ["randaugment", "color", "cutmix"]
    coloured = plain.model_copy(update={"augmentation": "color"})
    some = applicable(ALIA, coloured, EvaluateSpec(), further=("extra_real",))
    assert some == ["randaugment", "cutmix", "extra_real"]
    assert "cutmix" not in applicable(ALIA, plain.model_copy(update={"mixup": 0.4}), EvaluateSpec())
    # What is named is run, though it be unusual for the method; what another method's it is not.
    named = EvaluateSpec(controls=("cutmix", "mixup", "published", "color"))
    assert applicable(ALIA, plain, named) == ["cutmix", "mixup", "color"]
    assert applicable(GLICO, plain, named) == ["cutmix", "mixup", "published", "color"]
    assert set(IMAGE_CONTROLS) == set(every) | set(applicable(GLICO, plain, EvaluateSpec()))


def test_an_image_without_a_subdomain_is_refused_where_others_have_one():
    with pytest.raises(ValueError, match="1 of 3 images have no subdomain"):
        image_rows(np.zeros((3, 2), np.float32), np.arange(3), subdomain=np.array([0, -1, 1]))


def test_an_image_in_two_parts_is_known_by_its_pixels(result, images):
    data = result.data
    seen = np.concatenate([images[60:-2], images[:2]])
    leaking = replace(data, test=image_rows(data.test.x, data.test.y, images=seen))
    found = build(replace(result, data=leaking), Context())["caveats"]
    assert found[0].startswith("2 of 240 test images are training images, value for value")
    clean = build(result, Context())["caveats"]
    assert not any("value for value" in sentence for sentence in clean)


def test_caveats_speak_of_images_and_classifiers(report, result):
    told = " ".join(report["caveats"])
    assert "features of a classifier that was trained on the same training images" in told
    assert "covers classifiers and test images" in told
    assert "Validation has only 120 images: the choice of settings" in told
    # Without fidelity there is nothing to say of features.
    assert "features" not in " ".join(build(result, Context())["caveats"])


def test_no_word_of_latents_or_of_another_method_is_on_the_page(report, result, synthetic):
    drawn = (synthetic.x, synthetic.y)
    page = re.sub(
        r"<style>.*?</style>", "", render(report, project(result.data, drawn)), flags=re.DOTALL
    )
    for word in ("GeLDA", "latent", " head", "temperature", "SMOTE", "training row", "real row"):
        assert word not in page
    assert "GLICO minus the row, points of accuracy" in page
    assert '<tr class="own"><td>GLICO</td>' in page
    assert "<dd>75 % synthetic, penalty × 1, mixup α 0.4</dd>" in page
    assert "<dd>resnet-8 trained on real and synthetic images, by validation</dd>" in page
    assert "<td>36,000</td>" in page


def test_what_validation_took_is_filled(report):
    figure = render(report).partition("What validation chose")[2].partition("</figure>")[0]
    assert "GLICO: 75 % synthetic, penalty × 1, mixup α 0.4" in figure
    assert "real images only: penalty × 4" in figure
    # A trial is a mark: one of GLICO's two is filled, and one of the two of real images.
    marks = re.findall(r'<use [^>]*style="(fill[^;]*); stroke: (#\w+)', figure)
    assert sorted(colour for fill, colour in marks if fill == f"fill: {colour}") == [
        "#1f9d7a",
        "#8b929c",
    ]
    assert len(marks) == 4


def test_pictures_are_within_the_page_under_their_titles(report):
    pictures = [
        Picture(
            "Samples beside the nearest real image", 'Pairs of <images> & "words".', png(200, 50)
        ),
        Picture("Paths", "From one to the other.", png(2000, 10)),
    ]
    page = render(report, pictures=pictures)
    assert page.count('<img src="data:image/png;base64,') == 2
    assert page.index("<h2>Samples beside") < page.index("<h2>Paths</h2>")
    assert (
        'alt="Samples beside the nearest real image" width="600" height="150" class="small"' in page
    )
    assert 'alt="Paths" width="2000" height="10">' in page
    assert "Pairs of &lt;images&gt; &amp; &#34;words&#34;." in page
    assert "<img" not in render(report)


def test_a_picture_that_is_no_png_is_refused():
    with pytest.raises(ValueError, match="the picture “Paths” is no PNG file"):
        Picture("Paths", "", b"GIF89a" + bytes(30))
