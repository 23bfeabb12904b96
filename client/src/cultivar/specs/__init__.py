"""What a job is to do: `Gelda`, `Sample`, `Classifier`, and the parts they are made of."""

from cultivar.specs._generated import (
    DenoiserSpec,
    EvaluateSpec,
    HeadSpec,
    LatentSpec,
    LearnedVectors,
    NameVectors,
    ObjectiveSpec,
    OneHotVectors,
    OutputSpec,
    PlanSpec,
    SamplerSpec,
    UploadedVectors,
)
from cultivar.specs._requests import Classifier, Gelda, Sample, Spec, parse

__all__ = [
    "Classifier",
    "DenoiserSpec",
    "EvaluateSpec",
    "Gelda",
    "HeadSpec",
    "LatentSpec",
    "LearnedVectors",
    "NameVectors",
    "ObjectiveSpec",
    "OneHotVectors",
    "OutputSpec",
    "PlanSpec",
    "Sample",
    "SamplerSpec",
    "Spec",
    "UploadedVectors",
    "parse",
]
