"""One embedded stack for all tests of this folder, started as a user's own program would."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping

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


@pytest.fixture
def environment(local: Client) -> dict[str, str]:
    """In which the command line finds the service and its key."""
    key = {"CULTIVAR_URL": local.base_url, "CULTIVAR_API_KEY": local._connection.api_key}
    return {**os.environ, **key, "COLUMNS": "200"}


@pytest.fixture
def cultivar(environment: Mapping[str, str]) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs the command line: words, and variables beside those of `environment`."""

    def run(*words: object, **changes: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "cultivar", *map(str, words)],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            env={**environment, **changes},
        )

    return run
