"""`GeldaSampler`: imbalanced-learn's interface to GeLDA."""

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from imblearn.over_sampling.base import BaseOverSampler
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from cultivar._client import Client
from cultivar.sklearn import _service
from cultivar.sklearn._order import Made, Order
from cultivar.sklearn._vectors import read_vectors
from cultivar.specs import EvaluateSpec
from cultivar.specs._base import Part

SPEC_FIELDS = (
    "preparation",
    "adapter",
    "classes",
    "latents",
    "denoiser",
    "objective",
    "sampler",
    "classifier",
)
"""Fields of a `Gelda` spec that `GeldaSampler.spec` may hold. The others name rows, a plan or a file,
which `fit_resample` has already, or make latents that are no embeddings."""


class GeldaSampler(BaseOverSampler):  # type: ignore[misc]
    """Over-sampling by a generator that GeLDA trains on the rows at hand.

    Runs in this process where ``cultivar-server[worker]`` is installed, or at the service that
    ``client`` or ``url`` names. The real rows come first in the result, unchanged and in their
    order; synthetic rows follow, class by class. Sparse rows are refused: latents are dense.

    Args:
        sampling_strategy: which classes get how many rows, as in imbalanced-learn's over-samplers.
        random_state: everything random follows from it: an equal one gives equal rows. A number is
            the seed that a job of the service would have.
        steps: optimiser steps of training; by default from the number of rows.
        temperature: factor on the variance of the initial noise, 0.1 to 10; 1 by default. With
            ``evaluate``, validation chooses it instead.
        guidance: guidance scale of the class vectors, 0 to 20; 1, the default, is none.
        class_vectors: what the classes mean, so that rare ones borrow from those like them. A
            mapping from labels (or their names) to vectors, or to descriptions in words; an array
            with a row a class in the order of ``np.unique(y)``; ``"names"``: the labels through a
            text encoder; ``"one_hot"``; by default vectors are learned, and mean nothing.
        preparation: how rows are preprocessed before they are modelled, as fields of the spec's
            `preparation`, such as ``{"transform": "sqrt", "components": 256}``; standardised by
            default. Synthetic rows come back in the space of ``X``.
        evaluate: whether to measure, on rows of ``X`` held out from the generator, what the
            synthetic rows are worth beside the usual controls: True, or an `EvaluateSpec` or its
            fields. All of ``X`` trains where it is False.
        spec: further fields of a `Gelda` spec, such as ``{"denoiser": {"width": 512}}``.
        device: in this process, the torch device; ``"auto"`` is CUDA where there is a card.
        client: a connection to a service. Copies of the sampler share it; it cannot travel to
            other processes (``n_jobs``).
        url: a service's address instead; the key is found as `Client` finds it.

    Attributes:
        sampling_strategy_: rows added, by label.
        is_synthetic_: bool, one a row of the result.
        sample_parents_: int64, one a row of the result: the row of ``X`` that it is, or -1 where it
            was drawn from noise and is no row's child.
        report_: `cultivar.Report`; None where nothing was measured.
        generator_: what was trained: in this process the generator itself, at a service its record;
            None where no class needed rows.
        job_: the service's job; None in this process.
        n_features_in_: columns of ``X``.
        feature_names_in_: their names, where ``X`` is a data frame with names.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseOverSampler._parameter_constraints,
        "steps": [Interval(Integral, 1, 1_000_000, closed="both"), None],
        "temperature": [Interval(Real, 0.1, 10, closed="both"), None],
        "guidance": [Interval(Real, 0, 20, closed="both"), None],
        "class_vectors": [StrOptions({"names", "one_hot"}), Mapping, "array-like", None],
        "preparation": [Mapping, Part, None],
        "evaluate": ["boolean", Mapping, EvaluateSpec],
        "spec": [Mapping, None],
        "device": [str],
        "client": [Client, None],
        "url": [str, None],
    }

    def __init__(
        self,
        *,
        sampling_strategy: Any = "auto",
        random_state: Any = None,
        steps: int | None = None,
        temperature: float | None = None,
        guidance: float | None = None,
        class_vectors: Any = None,
        preparation: Any = None,
        evaluate: Any = False,
        spec: Mapping[str, Any] | None = None,
        device: str = "auto",
        client: Client | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.random_state = random_state
        self.steps = steps
        self.temperature = temperature
        self.guidance = guidance
        self.class_vectors = class_vectors
        self.preparation = preparation
        self.evaluate = evaluate
        self.spec = spec
        self.device = device
        self.client = client
        self.url = url

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags

    def _check_X_y(self, X: Any, y: Any) -> Any:  # noqa: N802 (the base class's name)
        return super()._check_X_y(X, y, accept_sparse=False)

    def _fit_resample(
        self, X: npt.NDArray[Any], y: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        labels, numbers = np.unique(y, return_inverse=True)
        wanted = {label: self.sampling_strategy_.get(label, 0) for label in labels.tolist()}
        rows = np.array(list(wanted.values()), dtype=np.int64)
        made = self._made(self._order(X, numbers, labels.tolist(), rows)) if rows.any() else None
        added = X[:0] if made is None else _as_dtype(made.x, X.dtype)
        self.report_ = None if made is None else made.report
        self.generator_ = None if made is None else made.generator
        self.job_ = None if made is None else made.job
        self.is_synthetic_ = np.arange(len(X) + len(added)) >= len(X)
        self.sample_parents_ = np.where(self.is_synthetic_, -1, np.arange(len(self.is_synthetic_)))
        return np.concatenate([X, added]), np.concatenate([y, np.repeat(labels, rows)])

    def _order(
        self,
        X: npt.NDArray[Any],
        y: npt.NDArray[np.int64],
        labels: list[Any],
        rows: npt.NDArray[np.int64],
    ) -> Order:
        vectors, classes = read_vectors(self.class_vectors, labels)
        order = Order(
            x=_finite(X),
            y=y.astype(np.int64),
            classes=tuple(map(str, labels)),
            rows=rows,
            vectors=vectors,
            fields=self._fields(classes),
            seed=_seed(self.random_state),
            evaluate=_evaluation(self.evaluate),
        )
        # A field out of its bounds is told before anything is sent or trained.
        if len(order.spec().preparation) > 1 and order.evaluate is None:
            raise ValueError(
                "spec.preparation: rows held out choose among several, so evaluate is needed; "
                "or give one"
            )
        return order

    def _fields(self, classes: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return `spec` with what the plain parameters say laid over it."""
        given = {name: _plain(value) for name, value in (self.spec or {}).items()}
        unknown = sorted(set(given) - set(SPEC_FIELDS))
        if unknown:
            raise ValueError(
                f"spec: {unknown[0]!r} is not one of the fields that a sampler takes: "
                f"{', '.join(SPEC_FIELDS)}"
            )
        over: dict[str, dict[str, Any]] = {
            "objective": {"steps": self.steps},
            "sampler": {"temperature": self.temperature, "guidance": self.guidance},
        }
        for field, values in over.items():
            told = {name: value for name, value in values.items() if value is not None}
            if told:
                given[field] = {**given.get(field, {}), **told}
        if self.preparation is not None:
            given["preparation"] = [_plain(self.preparation)]
        if classes is not None:
            given["classes"] = dict(classes)
        return given

    def _made(self, order: Order) -> Made:
        if self.client is None and self.url is None:
            return _make_here(order, self.device)
        if self.client is not None and self.url is not None:
            raise ValueError("client, url: one service is needed; found both")
        if self.device != "auto":
            raise ValueError(f"device: {self.device!r} is for this process; a service has its own")
        if self.client is not None:
            return _service.make(order, self.client)
        with Client(self.url) as client:
            return _service.make(order, client)


def _make_here(order: Order, device: str) -> Made:
    try:
        # torch, and the server's packages, which a client need not have.
        from cultivar.sklearn import _in_process  # noqa: PLC0415
    except ImportError as error:
        raise ImportError(
            "GeldaSampler trains in this process where the server's package with its worker extra is "
            "installed: pip install 'cultivar-server[worker]'; or name a service that runs "
            f"elsewhere, by client= or url=. Missing: {error}"
        ) from error
    return _in_process.make(order, device)


def _seed(random_state: Any) -> int:
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def _evaluation(given: Any) -> EvaluateSpec | None:
    if isinstance(given, EvaluateSpec | Mapping):
        spec = EvaluateSpec.model_validate(given)
        return spec if spec.enabled else None
    return EvaluateSpec() if given else None


def _plain(value: Any) -> Any:
    """Return a part of a spec as JSON, and anything else as it is."""
    return value.to_json() if isinstance(value, Part) else value


def _finite(X: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the rows as float32; ValueError where a value is too large for that."""
    with np.errstate(over="ignore"):
        x: npt.NDArray[np.float32] = X.astype(np.float32)
    if not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise ValueError(
            f"X: {X[row, column]!r} in row {row}, column {column} is beyond what float32 can hold"
        )
    return x


def _as_dtype(x: npt.NDArray[np.float32], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return float32 rows in the dtype of the real ones: whole numbers are rounded to."""
    if dtype.kind == "b":
        return x > 0.5
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        return np.clip(x, limits.min, limits.max).astype(dtype)
    bounds = np.iinfo(dtype)
    # The largest int64 is no float64: the next one below the first that is too large is cut to it.
    largest = np.nextafter(float(bounds.max) + 1, 0)
    return np.clip(np.rint(x.astype(np.float64)), bounds.min, largest).astype(dtype)
