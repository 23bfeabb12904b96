"""`/v1/methods`: what kinds of job there are, and the JSON Schema of each spec."""

from fastapi import APIRouter

from app.api.callers import AnyCaller
from app.api.route import ApiRoute
from app.api.schemas.method import Methods, MethodView, ModelInfo
from app.domain.specs import SampleSpec
from models.classifiers.spec import ClassifierSpec
from models.gelda.spec import GeldaSpec

router = APIRouter(prefix="/v1/methods", tags=["methods"], route_class=ApiRoute)

_TEXT_ENCODER = ModelInfo(
    id="all-MiniLM-L6-v2", role="text encoder of class names", licence="Apache-2.0"
)
_METHODS = (
    MethodView(
        kind="gelda",
        title="Generative latent data augmentation",
        description=(
            "Trains a conditional latent diffusion model on a dataset's embeddings and draws from it"
            " (Bae & Kim 2026, Semantics-Aware Generative Latent Data Augmentation)."
        ),
        modalities=["embedding"],
        takes=["dataset"],
        gives=["generator", "synthetic latents", "classifier", "report"],
        models=[_TEXT_ENCODER],
        spec_schema=GeldaSpec.model_json_schema(),
    ),
    MethodView(
        kind="sample",
        title="More samples of a generator",
        description="Draws from a generator that an earlier job has trained.",
        modalities=["embedding"],
        takes=["generator"],
        gives=["synthetic latents"],
        models=[],
        spec_schema=SampleSpec.model_json_schema(),
    ),
    MethodView(
        kind="classifier",
        title="Classifier",
        description="Trains a head on a dataset, with the outputs of jobs mixed in.",
        modalities=["embedding"],
        takes=["dataset", "jobs"],
        gives=["classifier", "report"],
        models=[],
        spec_schema=ClassifierSpec.model_json_schema(),
    ),
)


@router.get("")
def list_methods(caller: AnyCaller) -> Methods:  # noqa: ARG001 (the key is what is asked for)
    """List the kinds of job and what each spec may say."""
    return Methods(data=list(_METHODS))
