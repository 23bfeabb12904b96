"""One embedded stack for all tests of this folder, started as a user's own program would."""

from collections.abc import Iterator

import numpy as np
import pytest

from cultivar import Client, Dataset

PART_BYTES = 1 << 16
CLASSES = ["ash", "birch", "cedar"]


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as environment:
        # Small parts, so that a small file has several.
        environment.setenv("CULTIVAR_PART_BYTES", str(PART_BYTES))
        client = Client.local(tmp_path_factory.mktemp("home"))
    with client:
        yield client


@pytest.fixture(scope="session")
def arrays() -> dict[str, np.ndarray]:
    """Three classes of 60, 30 and 12 rows in 8 dimensions, with test rows."""
    rng = np.random.default_rng(0)
    means = rng.normal(0, 2, (3, 8))
    y = np.repeat([0, 1, 2], [60, 30, 12])
    y_test = np.repeat([0, 1, 2], 20)
    return {
        "x": (means[y] + rng.normal(size=(len(y), 8))).astype(np.float32),
        "y": y,
        "x_test": (means[y_test] + rng.normal(size=(60, 8))).astype(np.float32),
        "y_test": y_test,
        "classes": np.array(CLASSES),
    }


@pytest.fixture(scope="session")
def dataset(local: Client, arrays: dict[str, np.ndarray]) -> Dataset:
    return local.datasets.upload(arrays, name="trees", progress=False)
