"""Specs: what a person writes in one call, and what goes over the wire."""

import pytest
from pydantic import ValidationError

from app.api.schemas.job import JobRequest
from app.domain.specs import parse_spec
from cultivar._operations import Order
from cultivar.specs import (
    Alia,
    Classifier,
    EvaluateSpec,
    Gelda,
    Glico,
    ImageOutputSpec,
    InterpolationSpec,
    NameVectors,
    OutputSpec,
    PlanSpec,
    ReleaseSpec,
    Sample,
    parse,
)
from cultivar.specs._requests import PLAN_FIELDS

DATASET = "ds_" + "0" * 32
JOB = "job_" + "1" * 32


class Handle:
    id = DATASET


def test_a_dataset_may_be_a_handle():
    assert Gelda(dataset=Handle()).to_json()["dataset"] == DATASET


def test_a_handle_of_another_noun_is_refused():
    with pytest.raises(ValidationError, match="dataset"):
        Gelda(dataset=JOB)


@pytest.mark.parametrize(
    "plan",
    [
        {"raise_to": 200},
        {"per_class": {"a": 3}},
        {"match": "median"},
        {"multiply": 2.0},
        {
            "cells": [
                {"subdomain": "sea", "rows": 3},
                {"label": "a", "subdomain": "land", "rows": 1},
            ]
        },
    ],
)
def test_plan_fields_are_lifted_into_the_plan(plan):
    assert Gelda(dataset=DATASET, **plan).to_json()["plan"] == plan
    assert Glico(dataset=DATASET, **plan).to_json()["plan"] == plan
    assert Alia(dataset=DATASET, **plan).to_json()["plan"] == plan
    assert Sample(generator=JOB, **plan).to_json()["plan"] == plan


def test_the_lifted_fields_are_those_of_a_plan():
    assert set(PLAN_FIELDS) == set(PlanSpec.model_fields)


def test_two_ways_of_planning_are_refused():
    with pytest.raises(ValidationError, match="exactly one"):
        Gelda(dataset=DATASET, raise_to=3, multiply=2)
    with pytest.raises(ValidationError, match="exactly one"):
        Gelda(dataset=DATASET, raise_to=3, plan=PlanSpec(match="median"))


def test_a_sample_without_a_plan_is_refused():
    with pytest.raises(ValidationError, match="plan"):
        Sample(generator=JOB)


def test_what_nobody_set_is_left_to_the_service():
    assert Gelda(dataset=DATASET).to_json() == {"kind": "gelda", "dataset": DATASET}


def test_discriminators_are_always_sent():
    spec = Gelda(dataset=DATASET, classes=NameVectors())
    assert spec.to_json()["classes"] == {"source": "names"}


def test_seed_and_evaluate_belong_to_the_job():
    spec = Gelda(dataset=DATASET, seed=7, evaluate=False)
    body = Order().body(spec)
    assert body["seed"] == 7
    assert body["evaluate"] == {"enabled": False}
    assert set(body["spec"]) == {"kind", "dataset"}


def test_what_create_is_told_wins_over_the_spec():
    spec = Gelda(dataset=DATASET, seed=7, evaluate=False)
    body = Order(seed=0, evaluate=EvaluateSpec(seeds=5)).body(spec)
    assert (body["seed"], body["evaluate"]) == (0, {"seeds": 5})


@pytest.mark.parametrize(
    "spec",
    [
        Gelda(dataset=DATASET, raise_to=20, seed=1, classes={"source": "one_hot"}),
        Glico(dataset=DATASET, size=32, multiply=3, classifier={"backbone": "a/b"}, seed=2),
        Alia(dataset=DATASET, extra=Handle(), multiply=0.5, edit={"editor": "lcm"}, seed=3),
        Alia(dataset=DATASET, descriptions=["a photo of a {} in snow"], review="sample"),
        Sample(generator=JOB, per_class=5),
        Sample(generator=JOB, per_class=5, interpolation=InterpolationSpec(path="lerp")),
        Sample(generator=JOB, per_class=5, output=OutputSpec()),
        Sample(generator=JOB, per_class=5, output=ImageOutputSpec()),
        Sample(generator=JOB, per_class=5, output={"format": "parquet"}),
        Classifier(dataset=DATASET, mix=[JOB], head={"head": "mlp"}),
    ],
    ids=lambda spec: spec.kind,
)
def test_the_service_reads_what_the_client_writes(spec):
    request = JobRequest.model_validate(Order(metadata={"a": "b"}).body(spec))
    assert request.spec.kind == spec.kind


@pytest.mark.parametrize("kind", [Alia, Gelda, Glico, Classifier])
def test_defaults_are_the_services_own(kind):
    ours = kind(dataset=DATASET).model_dump(mode="json")
    theirs = parse_spec({"kind": ours["kind"], "dataset": DATASET}).model_dump(mode="json")
    assert ours == theirs


def test_a_spec_can_be_read_from_json():
    assert parse({"kind": "gelda", "dataset": DATASET, "raise_to": 3}) == Gelda(
        dataset=DATASET, raise_to=3
    )
    with pytest.raises(ValueError, match="glass"):
        parse({"kind": "glass"})


def test_conditions_of_release_belong_to_the_job():
    spec = Gelda(dataset=DATASET, release_if={"min_gain_low": 0, "max_copy_share": 0})
    body = Order().body(spec)
    assert body["release_if"] == {"min_gain_low": 0, "max_copy_share": 0}
    assert "release_if" not in body["spec"]
    assert Order(release_if={"max_c2st": 0.7}).body(spec)["release_if"] == {"max_c2st": 0.7}
    assert Order(release_if=ReleaseSpec(min_gain=1)).body(spec)["release_if"] == {"min_gain": 1}
    assert "release_if" not in Order().body(Gelda(dataset=DATASET))


@pytest.mark.parametrize("kind", [Alia, Glico])
def test_conditions_of_release_come_with_specs_on_images_too(kind):
    spec = kind(dataset=DATASET, release_if={"min_gain_low": 0}, evaluate=False)
    body = Order().body(spec)
    assert body["release_if"] == {"min_gain_low": 0}
    assert set(body["spec"]) == {"kind", "dataset"}


def test_a_form_of_output_always_says_which_it_is():
    # By the format the service tells latents from images.
    for form, name in ((OutputSpec(), "npz"), (ImageOutputSpec(), "imagefolder")):
        spec = Sample(generator=JOB, per_class=5, output=form)
        assert spec.to_json()["output"] == {"format": name}
    assert "output" not in Sample(generator=JOB, per_class=5).to_json()


def test_an_unknown_condition_is_refused_before_anything_is_sent():
    with pytest.raises(ValueError, match="min_luck"):
        Order(release_if={"min_luck": 1}).body(Gelda(dataset=DATASET))
    with pytest.raises(ValueError, match="release_if"):
        Sample(generator=JOB, per_class=5, release_if={"min_gain": 1})
