"""`/v1/methods`: what kinds of job there are, and the JSON Schema of each spec."""

from fastapi import APIRouter

from app.api.allowed_models import editing_models, encoders, image_models
from app.api.callers import AnyCaller
from app.api.route import ApiRoute
from app.api.schemas.method import Methods, MethodView
from app.domain.specs import AliaSpec, EmbedSpec, GlicoSpec, SampleSpec
from models.classifiers.spec import ClassifierSpec
from models.gelda.spec import GeldaSpec

router = APIRouter(prefix="/v1/methods", tags=["methods"], route_class=ApiRoute)

_METHODS = (
    MethodView(
        kind="gelda",
        title="Generative latent data augmentation",
        description=(
            "Trains a conditional latent diffusion model on a dataset's embeddings and draws from it"
            " (Bae & Kim 2026, Semantics-Aware Generative Latent Data Augmentation)."
        ),
        modalities=["embedding", "image", "audio", "text"],
        takes=["dataset"],
        gives=["generator", "synthetic latents", "classifier", "report"],
        models=[],
        spec_schema=GeldaSpec.model_json_schema(),
    ),
    MethodView(
        kind="glico",
        title="Images from few images a class",
        description=(
            "Learns a code for each of a few labelled images and a generator together, and makes images"
            " between those of one class (Azuri & Weinshall 2020, Learning from Small Data Through"
            " Sampling an Implicit Conditional Generative Latent Optimization Model)."
        ),
        modalities=["image"],
        takes=["dataset"],
        gives=["generator", "synthetic images", "classifier", "report"],
        models=[],
        spec_schema=GlicoSpec.model_json_schema(),
    ),
    MethodView(
        kind="alia",
        title="Edits of images into other domains",
        description=(
            "Captions a dataset's images, describes the domains that they show, edits images into those"
            " domains with a frozen diffusion model, filters the edits and trains a classifier with them"
            " (Dunlap et al. 2023, Diversify Your Vision Datasets with Automatic Diffusion-Based"
            " Augmentation)."
        ),
        modalities=["image"],
        takes=["dataset"],
        gives=["descriptions", "edited images", "classifier", "report"],
        models=[],
        spec_schema=AliaSpec.model_json_schema(),
    ),
    MethodView(
        kind="embed",
        title="Embeddings of raw data",
        description="Makes embeddings of images, audio or text with a frozen foundation model.",
        modalities=["image", "audio", "text"],
        takes=["dataset"],
        gives=["dataset"],
        models=[],
        spec_schema=EmbedSpec.model_json_schema(),
    ),
    MethodView(
        kind="sample",
        title="More samples of a generator",
        description="Draws from a generator that an earlier job has trained.",
        modalities=["embedding", "image"],
        takes=["generator"],
        gives=["synthetic latents", "synthetic images"],
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

_ENCODING = frozenset({"embed", "gelda"})


@router.get("")
def list_methods(caller: AnyCaller) -> Methods:
    """List the kinds of job, what each spec may say, and the models it may name."""
    settings = caller.services.settings
    models = dict.fromkeys(_ENCODING, encoders(settings)) | {
        "alia": editing_models(settings),
        "glico": image_models(settings),
    }
    return Methods(
        data=[
            method.model_copy(update={"models": models.get(method.kind, [])}) for method in _METHODS
        ]
    )
