"""Preprocessing: what is fitted, that it inverts, and what becomes of scarce or constant things."""

import numpy as np
import pytest
import torch

from models.front.front import Front
from models.gelda import latents
from models.gelda.rows import Rows
from models.gelda.spec import LatentSpec


def rows(counts: tuple[int, ...], dim: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    mixing = rng.standard_normal((dim, dim))
    return 4 * rng.standard_normal((len(counts), dim))[y] + rng.standard_normal(
        (len(y), dim)
    ) @ mixing, y


def fitted(x: np.ndarray, y: np.ndarray, k: int, **spec: object) -> latents.Latents:
    behind = Rows(x, y, Front.identity(x.shape[1]))
    return latents.fit(behind, k, torch.eye(k), LatentSpec(**spec))


def test_residuals_are_white() -> None:
    x, y = rows((4000, 3000, 2000))
    r = fitted(x, y, 3).transform(torch.tensor(x).float(), torch.tensor(y))
    torch.testing.assert_close(torch.cov(r.T), torch.eye(5), atol=0.02, rtol=0)
    for label in range(3):
        assert float(r[y == label].mean(dim=0).abs().max()) < 1e-4


@pytest.mark.parametrize("model", ["residual", "direct"])
def test_what_is_transformed_comes_back(model: str) -> None:
    x, y = rows((400, 300))
    fit = fitted(x, y, 2, model=model, shrinkage=0)
    labels = torch.tensor(y)
    r = fit.transform(torch.tensor(x).float(), labels)
    back = fit.inverse(r / fit.gain[labels][:, None], labels)
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
    drawn = fit.inverse(torch.randn(10, 5), labels)
    assert torch.all(drawn[:, 2] == 7.25)
    assert float(drawn[:, 0].std()) > 0.1


def test_rows_of_a_class_are_worth_more_the_more_there_are() -> None:
    means = torch.tensor([[0.0], [0.0], [12.0]]).double()
    counts = torch.tensor([100.0, 100.0, 5.0]).double()
    shrunk = latents.shrink_means(means, counts, torch.eye(3), 5.0)
    assert float(shrunk[2]) == pytest.approx(6.0)
    assert float(shrunk[0]) < 1
    torch.testing.assert_close(latents.shrink_means(means, counts, torch.eye(3), 0.0), means)


def test_classes_far_apart_need_no_prior() -> None:
    counts, eye = torch.full((50,), 10.0).double(), torch.eye(40).double()
    g = torch.Generator().manual_seed(0)
    unit = torch.randn(50, 40, generator=g).double()
    noise = torch.randn(50, 40, generator=g).double() / 10**0.5
    assert latents.prior_rows(10 * unit + noise, counts, eye) == pytest.approx(0.01, rel=0.2)
    assert latents.prior_rows(unit + noise, counts, eye) == pytest.approx(1, rel=0.2)
    assert latents.prior_rows(noise, counts, eye) > 20
    assert latents.prior_rows(unit[:1], counts[:1], eye) == 0


def test_a_scarce_class_borrows_from_the_class_of_like_vector() -> None:
    means = torch.tensor([[10.0], [-10.0], [0.0]]).double()
    counts = torch.tensor([50.0, 50.0, 0.0]).double()
    related = torch.tensor([[1.0, 0.0, 0.9], [0.0, 1.0, 0.1], [0.9, 0.1, 1.0]])
    unseen = latents.shrink_means(means, counts, related, 1.0)[2]
    assert float(unseen) > 9.9


def test_classes_of_one_row_leave_a_spread_to_draw_from() -> None:
    x, y = rows((1, 1, 1, 1))
    fit = fitted(x, y, 4)
    assert torch.isfinite(fit.whiten).all()
    assert float(fit.colour.diagonal().min()) > 0.1
    assert fit.gain.tolist() == [0, 0, 0, 0]


def test_shrinkage_fades_with_rows_and_takes_over_without() -> None:
    S = torch.diag(torch.tensor([4.0, 1.0, 0.25])).double()
    near, far = latents.shrink_covariance(S, 1e6), latents.shrink_covariance(S, 2.0)
    torch.testing.assert_close(near, S, atol=1e-4, rtol=0)
    assert float(far[0, 0] - far[2, 2]) < 1.5
    assert float(far.trace()) == pytest.approx(float(S.trace()))
