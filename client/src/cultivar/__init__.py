"""Client of Cultivar: bring a dataset, get synthetic rows back, and read by how much they help.

from cultivar import Client
from cultivar.specs import Gelda

cv = Client()
ds = cv.datasets.upload("birds.npz")
job = cv.jobs.create(Gelda(dataset=ds, raise_to=200, seed=7)).wait()
print(job.report)
x, y = job.output.to_numpy()
"""

from cultivar import specs
from cultivar._async_client import AsyncClient
from cultivar._async_handles import AsyncDataset, AsyncJob, AsyncTrainedClassifier
from cultivar._classifier import LocalClassifier
from cultivar._client import Client
from cultivar._constants import __version__
from cultivar._deleting import Deletion
from cultivar._exceptions import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    ContentTooLargeError,
    CultivarError,
    DigestMismatch,
    InternalServerError,
    InvalidInput,
    JobFailed,
    LocalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
    UnsupportedMediaTypeError,
    WaitTimeout,
)
from cultivar._handles import Dataset, Job, TrainedClassifier
from cultivar._image_classifier import LocalImageClassifier
from cultivar._images import SyntheticImages
from cultivar._loading import load_classifier
from cultivar._output import Output
from cultivar._records import Artifact, Event, Model, Review, ReviewItem, Upload
from cultivar._report import Report

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIStatusError",
    "APITimeoutError",
    "Artifact",
    "AsyncClient",
    "AsyncDataset",
    "AsyncJob",
    "AsyncTrainedClassifier",
    "AuthenticationError",
    "BadRequestError",
    "Client",
    "ConfigurationError",
    "ConflictError",
    "ContentTooLargeError",
    "CultivarError",
    "Dataset",
    "Deletion",
    "DigestMismatch",
    "Event",
    "InternalServerError",
    "InvalidInput",
    "Job",
    "JobFailed",
    "LocalClassifier",
    "LocalImageClassifier",
    "LocalServerError",
    "Model",
    "NotFoundError",
    "Output",
    "PermissionDeniedError",
    "RateLimitError",
    "Report",
    "Review",
    "ReviewItem",
    "SyntheticImages",
    "TrainedClassifier",
    "UnprocessableEntityError",
    "UnsupportedMediaTypeError",
    "Upload",
    "WaitTimeout",
    "__version__",
    "load_classifier",
    "specs",
]
