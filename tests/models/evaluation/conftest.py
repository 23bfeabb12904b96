"""A small long tail whose classes are Gaussians, so that the perfect generator is known."""

import numpy as np
import pytest
import torch

from models.classifiers.spec import HeadSpec
from models.evaluation.choosing import Level, choose
from models.evaluation.data import EvaluationData, LabelledRows
from models.evaluation.protocol import evaluate
from models.evaluation.settings import Setting
from models.evaluation.spec import EvaluateSpec
from models.evaluation.trainer import items
from models.gelda.spec import SamplerSpec

torch.set_num_threads(1)

MEANS = 1.6 * np.random.default_rng(42).standard_normal((5, 6))
TRAIN = np.array([150, 80, 30, 8, 4])


def drawn(counts, seed, spread=1.0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    return LabelledRows(
        (MEANS[y] + spread * rng.standard_normal((len(y), 6))).astype(np.float32), y
    )


@pytest.fixture(scope="session")
def data():
    names = ("alpha", "beta", "gamma", "delta", "epsilon")
    return EvaluationData(drawn(TRAIN, 0), drawn([40] * 5, 1), drawn([60] * 5, 2), names)


@pytest.fixture(scope="session")
def plan():
    return TRAIN.max() - TRAIN


@pytest.fixture(scope="session")
def oracle():
    """Draws from the truth at temperature 1 and from noise at any other."""

    def draw(labels, counters, setting):
        rows = [
            MEANS[label]
            + np.random.default_rng([9, label, counter]).standard_normal(6)
            * (1.0 if setting.temperature == 1.0 else 30.0)
            for label, counter in zip(labels, counters, strict=True)
        ]
        return np.array(rows, np.float32).reshape(-1, 6)

    return draw


@pytest.fixture(scope="session")
def quick_head():
    return HeadSpec(epochs=3)


@pytest.fixture(scope="session")
def quick():
    return EvaluateSpec(seeds=2, temperatures=(2.0, 1.0), shares=(0.25, 1.0))


@pytest.fixture(scope="session")
def made(plan, oracle):
    labels, counters = items(plan)
    return oracle(labels, counters, Setting(temperature=1.0)), labels


@pytest.fixture(scope="session")
def chosen(data, plan, oracle, quick_head, quick):
    return choose(
        {0: Level(data, oracle)}, plan, head=quick_head, spec=quick, sampler=SamplerSpec(), seed=3
    )


@pytest.fixture(scope="session")
def result(data, made, chosen, quick_head, quick):
    return evaluate(data, made, chosen, head=quick_head, spec=quick, seed=3)
