"""A trained classifier in this process, in plain numpy: embeddings in, classes out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cultivar._exceptions import CultivarError, InvalidInput
from cultivar._safetensors import Tensors, read_safetensors

FORMAT: Final = "cultivar-classifier/1"
CLASSIFIER_FILES: Final = ("classifier.safetensors", "config.json")
ROWS_AT_ONCE: Final = 16_384

Array = npt.NDArray[np.float32]
Step = Callable[[Array], Array]


@dataclass(frozen=True, eq=False, repr=False)
class LocalClassifier:
    """A classifier on the embeddings that its job was given: nothing is to be prepared before.

    Attributes:
        classes: the classes' names, in the order of the columns of `logits` and `predict_proba`.
        dim: values of an embedding.
        config: how it was made.
    """

    classes: tuple[str, ...]
    dim: int
    config: Mapping[str, Any]
    _steps: tuple[Step, ...]

    def __repr__(self) -> str:
        return f"<LocalClassifier {self.dim} dimensions, {len(self.classes)} classes>"

    def predict(self, x: npt.ArrayLike) -> npt.NDArray[np.str_]:
        """Return the name of each row's likeliest class; for labels uploaded as numbers, in digits.

        Args:
            x: embeddings, n × `dim`: an array, which may be memory-mapped, or lists.

        Raises:
            InvalidInput: ``x`` is of another shape, or has values that are no finite numbers.
        """
        names: npt.NDArray[np.str_] = np.asarray(self.classes)
        return np.asarray(names[self.logits(x).argmax(axis=1)], dtype=np.str_)

    def predict_proba(self, x: npt.ArrayLike) -> Array:
        """Return n × classes probabilities, each row's sum 1; arguments as of `predict`.

        Under a logit-adjusted loss they are those of a world where all classes are as frequent.
        """
        logits = self.logits(x)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float32)

    def logits(self, x: npt.ArrayLike) -> Array:
        """Return n × classes values before the softmax; arguments as of `predict`."""
        rows = _matrix(x, self.dim)
        out = np.empty((len(rows), len(self.classes)), dtype=np.float32)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            z = _finite(rows[start : start + ROWS_AT_ONCE], start)
            for step in self._steps:
                z = step(z)
            out[start : start + len(z)] = z
        return out


def read_classifier(folder: Path, config: Mapping[str, Any]) -> LocalClassifier:
    """Return the classifier of a folder whose settings are ``config``.

    Raises:
        CultivarError: its weights are missing, or do not fit the settings.
    """
    weights = folder / CLASSIFIER_FILES[0]
    if not weights.is_file():
        raise CultivarError(f"{folder} holds no classifier: {weights.name} is missing")
    tensors, _ = read_safetensors(weights)
    read = _Weights(weights.name, tensors)
    count = config["n_classes"]
    classes = tuple(config["classes"] or (str(number) for number in range(count)))
    steps = (
        *_front(config["front"], read),
        *_blocks(config["head"]["widths"], config["head"]["dim"], read.under("head.blocks.")),
        *_head(config["spec"], config["head"]["dim"], count, read.under("head.")),
    )
    return LocalClassifier(classes, config["dim"], config, steps)


@dataclass(frozen=True)
class _Weights:
    """The file's tensors, each asked for by name and shape."""

    file: str
    tensors: Tensors
    prefix: str = ""

    def under(self, prefix: str) -> "_Weights":
        return _Weights(self.file, self.tensors, self.prefix + prefix)

    def __call__(self, name: str, *shape: int) -> Array:
        found = self.tensors.get(self.prefix + name)
        if found is None or found.shape != shape:
            have = "nothing" if found is None else f"shape {found.shape}"
            raise CultivarError(
                f"{self.file}: expected {self.prefix}{name} of shape {shape}, found {have}"
            )
        return found.astype(np.float32)


def _front(config: Mapping[str, Any], read: _Weights) -> Iterator[Step]:
    spec, dim_in, dim = config["preparation"], config["dim_in"], config["dim"]
    given = read.under("front.preparation.")
    yield _Preparation(
        root=spec["transform"] == "sqrt",
        mean=given("mean", dim_in),
        scale=given("scale", dim_in),
        components=None if spec["components"] is None else given("components", dim, dim_in),
        normalise=spec["normalise"],
    )
    yield from _blocks(config["widths"], dim, read.under("front.blocks."))


def _blocks(widths: list[int], dim: int, read: _Weights) -> Iterator[Step]:
    for number, width in enumerate(widths):
        yield _Block(
            _Linear(read(f"{number}.into.weight", width, dim), read(f"{number}.into.bias", width)),
            _Linear(read(f"{number}.out.weight", dim, width), read(f"{number}.out.bias", dim)),
        )


def _head(spec: Mapping[str, Any], dim: int, count: int, read: _Weights) -> Iterator[Step]:
    if spec["head"] == "cosine":
        yield _Cosine(read("weight", count, dim), float(np.exp(read("log_scale"))))
        return
    if spec["head"] == "mlp":
        hidden = spec["hidden"]
        yield _Linear(read("body.weight", hidden, dim), read("body.bias", hidden))
        yield _relu
        dim = hidden
    yield _Linear(read("weight", count, dim), read("bias", count))


@dataclass(frozen=True)
class _Preparation:
    """Root, standardisation, components, length; a constant dimension has the scale 0."""

    root: bool
    mean: Array
    scale: Array
    components: Array | None
    normalise: bool

    def __call__(self, x: Array) -> Array:
        if self.root:
            x = np.sign(x) * np.sqrt(np.abs(x))
        inverse = np.divide(1, self.scale, out=np.zeros_like(self.scale), where=self.scale > 0)
        z = (x - self.mean) * inverse
        if self.components is not None:
            z = z @ self.components.T
        if self.normalise:
            length = np.sqrt(np.square(z).mean(axis=1, keepdims=True))
            z = z / np.maximum(length, np.float32(1e-12))
        return np.asarray(z, dtype=np.float32)


@dataclass(frozen=True)
class _Linear:
    weight: Array
    bias: Array

    def __call__(self, z: Array) -> Array:
        return np.asarray(z @ self.weight.T + self.bias, dtype=np.float32)


@dataclass(frozen=True)
class _Block:
    """z + W₂ SiLU(W₁ LayerNorm(z))."""

    into: _Linear
    out: _Linear

    def __call__(self, z: Array) -> Array:
        centred = z - z.mean(axis=1, keepdims=True)
        variance = np.square(centred).mean(axis=1, keepdims=True)
        h = self.into(centred / np.sqrt(variance + np.float32(1e-5)))
        with np.errstate(over="ignore"):  # far below zero it is zero all the same
            h = h / (1 + np.exp(-h))
        return z + self.out(h)


@dataclass(frozen=True)
class _Cosine:
    weight: Array
    factor: float

    def __call__(self, z: Array) -> Array:
        return np.asarray(self.factor * (_unit(z) @ _unit(self.weight).T), dtype=np.float32)


def _unit(rows: Array) -> Array:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, np.float32(1e-12)), dtype=np.float32)


def _relu(z: Array) -> Array:
    return np.maximum(z, np.float32(0))


def _matrix(x: npt.ArrayLike, dim: int) -> npt.NDArray[Any]:
    try:
        rows = np.asarray(x)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(f"x cannot be made an array of n × {dim} numbers: {error}") from error
    if rows.dtype.kind not in "fiub":
        raise InvalidInput(f"x has values of type {rows.dtype}; expected numbers")
    if rows.ndim != 2 or rows.shape[1] != dim:
        one = "; one embedding is a row, x[None]" if rows.shape == (dim,) else ""
        raise InvalidInput(f"x has shape {rows.shape}; expected n × {dim}{one}")
    return rows


def _finite(rows: npt.NDArray[Any], start: int) -> Array:
    with np.errstate(over="ignore"):  # what overflows float32 is told below
        x = rows.astype(np.float32)
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        row, column = (int(number) for number in bad[0])
        raise InvalidInput(
            f"x has {rows[row, column]} in row {start + row}, column {column}; expected finite "
            "float32 numbers"
        )
    return x
