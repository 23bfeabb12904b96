"""Generators of cells: what each condition is worth, unlabelled rows, and what is refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models.errors import InputProblem
from models.gelda.method import Generator
from models.gelda.spec import LatentSpec, ObjectiveSpec, SamplerSpec
from models.semantics.spec import MeanVectors, NameVectors, OneHotVectors

Train = Callable[..., Generator]
SUBDOMAIN = np.arange(700) % 2


def cells(trained: Train, kappa: Any = None, **more: Any) -> Generator:
    """Train on two classes in two subdomains, whose rows differ by 5 in dimension 0."""
    x, y = trained.rows((400, 300))  # type: ignore[attr-defined]
    x[:, 0] += 5 * SUBDOMAIN
    given: dict[str, Any] = {
        "x": x,
        "y": y,
        "subdomain": SUBDOMAIN,
        "subdomains": ("s", "t"),
        "latents": LatentSpec(shrinkage=0),
    } | more
    return trained((400, 300), kappa=kappa, **given)


def draw(generator: Generator, cell: int, n: int = 300, **sampler: Any) -> np.ndarray:
    spec = SamplerSpec(steps=4).model_copy(update=sampler)
    return generator.sample(np.full(n, cell), np.arange(n), seed=1, sampler=spec)


def test_each_cell_is_drawn_where_its_rows_are(trained: Train) -> None:
    generator = cells(trained)
    x, y = trained.rows((400, 300))  # type: ignore[attr-defined]
    x[:, 0] += 5 * SUBDOMAIN
    for cell in range(4):
        real = x[(y == cell // 2) & (cell % 2 == SUBDOMAIN)]
        np.testing.assert_allclose(draw(generator, cell).mean(0), real.mean(0), atol=0.3)
    assert generator.config["cell_counts"] == [200, 200, 150, 150]
    assert generator.config["class_counts"] == {"class 0": 400, "class 1": 300}
    assert generator.subdomains == ["s", "t"]


def test_a_cell_without_a_row_is_drawn_from_class_and_subdomain(trained: Train) -> None:
    x, y = trained.rows((400, 300))  # type: ignore[attr-defined]
    shifted = x.copy()
    shifted[:, 0] += 5 * SUBDOMAIN
    seen = (y == 0) | (SUBDOMAIN == 0)
    generator = cells(trained, x=shifted[seen], y=y[seen], subdomain=SUBDOMAIN[seen])
    assert generator.config["cell_counts"] == [200, 200, 150, 0]
    expected = shifted[~seen].mean(axis=0)
    np.testing.assert_allclose(draw(generator, 3).mean(axis=0), expected, atol=0.4)


def test_centres_are_where_cells_are_drawn_around(trained: Train) -> None:
    x, y = trained.rows((400, 300))  # type: ignore[attr-defined]
    x[:, 0] += 5 * SUBDOMAIN
    seen = (y == 0) | (SUBDOMAIN == 0)
    generator = cells(trained, x=x[seen], y=y[seen], subdomain=SUBDOMAIN[seen])
    assert generator.centres.shape == (4, 6)
    for cell in range(4):
        drawn = draw(generator, cell).mean(axis=0)
        np.testing.assert_allclose(generator.centres[cell], drawn, atol=0.3)
    direct = cells(trained, latents=LatentSpec(model="direct"))
    np.testing.assert_allclose(direct.centres, np.tile(x.mean(axis=0), (4, 1)), atol=1e-3)


def test_a_subdomain_without_labels_is_drawn_where_its_unlabelled_rows_are(trained: Train) -> None:
    x, y = trained.rows((400, 300))  # type: ignore[attr-defined]
    shifted = x.copy()
    shifted[:, 0] += 5 * SUBDOMAIN
    hidden = np.where(SUBDOMAIN == 1, -1, y)
    posterior = np.eye(2)[y[SUBDOMAIN == 1]] * 0.8 + 0.1
    generator = cells(trained, x=shifted, y=hidden, posterior=posterior)
    assert generator.config["unlabelled"] == 350
    assert generator.config["cell_counts"] == [200, 0, 150, 0]
    # The posterior is unsure, so the mixture it tells of is a little more even than the true one.
    for cell in (1, 3):
        real = shifted[(y == cell // 2) & (SUBDOMAIN == 1)]
        np.testing.assert_allclose(draw(generator, cell).mean(0), real.mean(0), atol=0.7)


@pytest.mark.parametrize("guidance", ["guidance", "guidance_subdomain"])
def test_each_condition_has_a_say_of_its_own(trained: Train, guidance: str) -> None:
    objective = ObjectiveSpec(steps=80, batch_size=64)
    generator = cells(trained, latents=LatentSpec(model="direct"), objective=objective)
    plain = draw(generator, 3)
    assert not np.allclose(plain, draw(generator, 3, **{guidance: 2.0}), atol=1e-2)
    outside = draw(generator, 3, **{guidance: 2.0}, guidance_interval=(0.0, 0.0))
    np.testing.assert_array_equal(plain, outside)


def test_without_both_conditions_cells_differ_by_their_centres_alone(trained: Train) -> None:
    generator = cells(trained, objective=ObjectiveSpec(steps=80, batch_size=64))
    none = {"guidance": 0.0, "guidance_subdomain": 0.0}
    spec = SamplerSpec(steps=4, **none)
    a, b = (
        generator._solve(np.full(50, cell), np.ones((50, 6), dtype=np.float32), spec, True)
        for cell in (0, 3)
    )
    np.testing.assert_allclose((a - b).std(axis=0), 0, atol=1e-5)


def test_shuffled_subdomain_vectors_make_another_generator(trained: Train) -> None:
    kappa = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    a, b = (cells(trained, subdomain_vectors=one) for one in (kappa, kappa[::-1].copy()))
    assert not np.allclose(draw(a, 2), draw(b, 2))


@pytest.mark.parametrize("source", [OneHotVectors(source="one_hot"), MeanVectors(source="means")])
def test_a_generator_s_subdomain_vectors_are_made_from_what_it_is_given(
    trained: Train, source: Any
) -> None:
    generator = cells(trained, kappa=source)
    assert generator.config["subdomain_vectors"] == source.source
    assert np.isfinite(draw(generator, 2)).all()


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"subdomain_vectors": np.ones((3, 4))}, "subdomain_vectors_mismatch"),
        ({"subdomain_vectors": np.array([[1.0], [np.nan]])}, "non_finite_values"),
        ({"subdomains": ("s", "t", "u")}, "subdomain_without_rows"),
        (
            {"subdomains": ("s", "t", "u"), "kappa": MeanVectors(source="means")},
            "subdomain_without_rows",
        ),
        ({"y": np.full(700, -1), "posterior": np.full((700, 2), 0.5)}, "empty_dataset"),
    ],
)
def test_subdomains_that_cannot_be_used_are_refused_by_name(
    trained: Train, more: dict[str, Any], code: str
) -> None:
    with pytest.raises(InputProblem) as caught:
        cells(trained, **more)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "more",
    [
        {"subdomain": None},
        {"subdomains": ()},
        {"kappa": NameVectors(source="names")},
        {"y": np.where(np.arange(700) < 10, -1, 0)},
        {"y": np.where(np.arange(700) < 10, -1, 0), "posterior": np.full((9, 2), 0.5)},
        {"held_out": (np.zeros((1, 6)), np.array([-1]), np.array([0]))},
    ],
)
def test_arguments_that_do_not_go_together_are_a_mistake_of_the_caller_s(
    trained: Train, more: dict[str, Any]
) -> None:
    with pytest.raises(ValueError):
        cells(trained, **more)
