"""A report in words and as a table, from what the evaluation really writes."""

import pytest

from cultivar import CultivarError, Report

EVALUATION = {
    "schema": "cultivar-report/1",
    "verdict": {
        "helps": True,
        "sentence": "GeLDA's latents raise balanced accuracy by +7.0 points [5.0, 9.0].",
        "details": ["Recall by training rows a class: many −1.0, few +20.0."],
    },
    "table": {
        "columns": ["all", "few", "balanced"],
        "rows": [
            {
                "name": "real",
                "label": "real rows only",
                "values": {"all": 80.0, "few": None, "balanced": 70.04},
            },
            {
                "name": "gelda",
                "label": "GeLDA",
                "values": {"all": 85.0, "few": None, "balanced": 77.0},
            },
        ],
    },
    "comparisons": [{"control": "real", "difference": 7.0, "low": 5.0, "high": 9.0}],
    "caveats": ["A class <b> has no test row."],
}


def test_the_verdict_comes_first():
    report = Report(EVALUATION)
    assert str(report).startswith("GeLDA's latents raise balanced accuracy")
    assert report.helps is True


def test_the_table_has_a_line_a_method_and_its_interval():
    lines = str(Report(EVALUATION)).splitlines()
    real = next(line for line in lines if "real rows only" in line)
    assert real.split() == [
        *["real", "rows", "only", "80.0", "–", "70.0", "+7.0", "[+5.0,", "+9.0]"]
    ]
    assert any("Note: A class <b> has no test row." in line for line in lines)


def test_a_notebook_shows_no_markup_of_others():
    page = Report(EVALUATION)._repr_html_()
    assert "A class &lt;b&gt; has no test row." in page
    assert page.index("raise balanced accuracy") < page.index("<table>")


def test_the_report_of_a_classifier_is_read_too():
    data = {
        "format": "cultivar-classifier-report/1",
        "verdict": "The synthetic rows help.",
        "methods": {
            "real": {"accuracy": 0.8, "few": None},
            "real and synthetic": {"accuracy": 0.9},
        },
        "interval": {"mean": 0.1, "low": 0.02, "high": 0.18},
    }
    report = Report(data)
    assert report.helps
    assert report.rows[0].values == (80.0, None, None, None, None)
    assert report.rows[0].lead == pytest.approx((10.0, 2.0, 18.0))
    assert report.rows[1].lead is None


def test_a_report_of_another_format_is_refused():
    with pytest.raises(CultivarError, match="cultivar-report/9"):
        Report({"schema": "cultivar-report/9"})


def figure(name, value, reference):
    return {"name": name, "label": name, "value": value, "reference": reference}


MEASURED = {
    "release": {"granted": False, "sentence": "Withheld, for <b> failed."},
    "fidelity": {
        "figures": [
            figure("frechet_distance", None, None),
            figure("coverage", 0.913, 0.95),
            figure("copy_share", 0.0, 0.0),
            figure("recall", 0.5, 0.5),
        ]
    },
}


def test_fidelity_is_a_line_and_what_is_withheld_comes_right_after_the_verdict():
    text = str(Report(EVALUATION | MEASURED))
    line = "How real and how new (in brackets: a perfect generator): coverage 0.913 (0.95), copies 0 (0)."
    assert line in text
    assert text.index("Withheld") < text.index("Recall by training rows") < text.index(line)
    assert "Withheld, for &lt;b&gt; failed." in Report(EVALUATION | MEASURED)._repr_html_()


def test_a_report_of_a_service_that_did_not_measure_fidelity_is_read():
    for data in (EVALUATION, EVALUATION | {"fidelity": None, "release": None}):
        assert "How real" not in str(Report(data))
