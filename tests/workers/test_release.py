"""A job with conditions of release, by a real worker: handed out whole, or nothing but its report."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from app.domain.jobs import JobState

if TYPE_CHECKING:
    from tests.workers.conftest import Service

EVALUATE: dict[str, Any] = {
    "seeds": 1,
    "temperatures": [1.0],
    "shares": [1.0],
    "controls": ["oversampling"],
}
SIZES = (300, 220, 220)


def test_what_does_not_hold_its_conditions_is_withheld_and_its_report_says_why(
    at_work: Service, tiny: dict[str, Any], latents: Callable[..., bytes]
) -> None:
    dataset, ingest = at_work.dataset(latents(sizes=SIZES))
    gate = {"min_gain_low": 90.0, "max_copy_share": 0.0, "max_c2st": 0.99}
    job_id = at_work.job(
        tiny | {"dataset": dataset}, evaluate=EVALUATE, release_if=gate, inputs=(ingest,)
    )
    more = at_work.job(
        {"kind": "sample", "generator": job_id, "plan": {"per_class": 3}}, inputs=(job_id,)
    )
    job = at_work.wait(job_id)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error["code"] == "not_released"
    assert "min_gain_low is" in job.error["detail"]
    assert "at least 90 is required" in job.error["detail"]
    assert "max_copy_share" not in job.error["detail"]
    assert set(at_work.artifacts(job_id)) == {"report.json", "report.html"}
    report = json.loads(at_work.read(job_id, "report.json"))
    assert not report["release"]["granted"]
    assert {one["name"]: one["holds"] for one in report["release"]["conditions"]} == {
        "min_gain_low": False,
        "max_copy_share": True,
        "max_c2st": True,
    }
    page = at_work.read(job_id, "report.html").decode()
    assert job.error["detail"] in page
    assert "Where the latents lie" not in page
    assert job.result is not None
    assert set(job.result) == {"verdict", "release"}
    with at_work.store.read() as tx:
        assert tx.generators.by_job(at_work.tenant, job_id) is None
        assert tx.classifiers.by_job(at_work.tenant, job_id) is None
    failed = at_work.wait(more)
    assert failed.error is not None
    assert failed.error["code"] == "input_failed"


def test_what_holds_its_conditions_is_handed_out_with_the_judgement(
    at_work: Service, tiny: dict[str, Any], latents: Callable[..., bytes]
) -> None:
    dataset, ingest = at_work.dataset(latents(sizes=SIZES))
    job_id = at_work.job(
        tiny | {"dataset": dataset},
        evaluate=EVALUATE,
        release_if={"max_copy_share": 0.0, "min_gain": -100.0},
        inputs=(ingest,),
    )
    job = at_work.wait(job_id)
    assert job.state is JobState.SUCCEEDED, job.error
    assert {"synthetic.npz", "report.json", "predictions.npz"} <= set(at_work.artifacts(job_id))
    assert job.result is not None
    assert job.result["release"]["granted"]
    assert {"generator", "classifier"} <= set(job.result)
    figures = json.loads(at_work.read(job_id, "report.json"))["fidelity"]["figures"]
    measured = {one["name"] for one in figures if one["value"] is not None}
    assert {"frechet_distance", "c2st", "coverage", "near_share_5", "copy_share"} <= measured


def test_a_job_without_conditions_reports_fidelity_and_judges_nothing(
    at_work: Service, tiny: dict[str, Any], latents: Callable[..., bytes]
) -> None:
    dataset, ingest = at_work.dataset(latents())
    job_id = at_work.job(tiny | {"dataset": dataset}, evaluate=EVALUATE, inputs=(ingest,))
    job = at_work.wait(job_id)
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.result is not None
    assert "release" not in job.result
    report = json.loads(at_work.read(job_id, "report.json"))
    assert report["release"] is None
    # Twelve rows of a class leave too few to compare: nothing is made up.
    c2st = next(one for one in report["fidelity"]["figures"] if one["name"] == "c2st")
    assert c2st["value"] is None
    assert "are needed" in c2st["reason"]
