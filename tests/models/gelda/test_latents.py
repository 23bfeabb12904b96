"""Whitening: what is fitted, that it inverts, and what becomes of scarce or constant things."""

import numpy as np
import pytest
import torch

from models.front.front import Front
from models.gelda import latents
from models.gelda.moments import Moments
from models.gelda.rows import Members, Rows
from models.gelda.spec import LatentSpec


def rows(counts: tuple[int, ...], dim: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    mixing = rng.standard_normal((dim, dim))
    return 4 * rng.standard_normal((len(counts), dim))[y] + rng.standard_normal(
        (len(y), dim)
    ) @ mixing, y


def fitted(x: np.ndarray, y: np.ndarray, k: int, **spec: object) -> latents.Latents:
    behind = Rows(
        x=x, y=y, subdomain=np.zeros(len(y), int), front=Front.identity(x.shape[1]), n_classes=k
    )
    unit = torch.eye(k).double()
    found, _ = latents.fit(behind, Moments.of(behind), unit, torch.eye(1), LatentSpec(**spec))
    return found


def of(labels: torch.Tensor) -> Members:
    return Members.of_cells(labels, 1)


def test_residuals_are_white() -> None:
    x, y = rows((4000, 3000, 2000))
    r = fitted(x, y, 3).transform(torch.tensor(x).float(), of(torch.tensor(y)))
    torch.testing.assert_close(torch.cov(r.T), torch.eye(5), atol=0.02, rtol=0)
    for label in range(3):
        assert float(r[y == label].mean(dim=0).abs().max()) < 1e-4


@pytest.mark.parametrize("model", ["residual", "direct"])
def test_what_is_transformed_comes_back(model: str) -> None:
    x, y = rows((400, 300))
    fit = fitted(x, y, 2, model=model, shrinkage=0)
    labels = torch.tensor(y)
    r = fit.transform(torch.tensor(x).float(), of(labels))
    back = fit.inverse(r / fit.gain[labels], of(labels))
    np.testing.assert_allclose(back.numpy(), x, atol=1e-3)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rows((50, 30, 3))
    whole = fitted(x, y, 3)
    monkeypatch.setattr("models.gelda.rows.CHUNK", 7)
    for name, tensor in fitted(x, y, 3).tensors().items():
        torch.testing.assert_close(tensor, whole.tensors()[name], atol=1e-5, rtol=1e-4)


def test_a_constant_dimension_stays_constant() -> None:
    x, y = rows((30, 20))
    x[:, 2] = 7.25
    fit = fitted(x, y, 2)
    labels = torch.zeros(10, dtype=torch.int64)
    drawn = fit.inverse(torch.randn(10, 5), of(labels))
    assert torch.all(drawn[:, 2] == 7.25)
    assert float(drawn[:, 0].std()) > 0.1


def test_classes_of_one_row_leave_a_spread_to_draw_from() -> None:
    x, y = rows((1, 1, 1, 1))
    fit = fitted(x, y, 4)
    assert torch.isfinite(fit.whiten).all()
    assert float(fit.colour.diagonal().min()) > 0.1
    assert fit.gain.tolist() == [[0], [0], [0], [0]]


def test_a_row_of_unknown_class_is_taken_from_the_mixture_of_its_subdomain_s_means() -> None:
    x, y = rows((40, 40))
    fit = fitted(x, y, 2, shrinkage=0)
    z = torch.tensor(x[:3]).float()
    sure = Members(
        torch.tensor([0, 0, 0]),
        torch.zeros(3, dtype=torch.int64),
        torch.tensor([True, False, False]),
        torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.25, 0.75]]),
    )
    r = fit.transform(z, sure)
    plain = fit.transform(z, of(torch.zeros(3, dtype=torch.int64)))
    torch.testing.assert_close(r[0], plain[0])
    torch.testing.assert_close(r[1] * fit.gain[0, 0], plain[1])
    mixed = 0.25 * fit.means[0, 0] + 0.75 * fit.means[1, 0]
    expected = fit.whiten @ ((z[2] - fit.mean) / fit.scale - mixed)
    torch.testing.assert_close(r[2], expected, atol=1e-4, rtol=1e-4)
