"""What embeddings go through before anything is modelled, and the way back."""

import numpy as np
import pytest
import torch

from models.front import preparation
from models.front.preparation import Preparation
from models.front.spec import PreparationSpec


def embeddings(n: int = 60, dim: int = 8) -> np.ndarray:
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((dim, dim))
    return np.maximum(rng.standard_normal((n, dim)) @ mixing + 0.5, 0).astype(np.float32)


def fitted(x: np.ndarray, **spec: object) -> Preparation:
    return preparation.fit(x, PreparationSpec(**spec))


@pytest.mark.parametrize("transform", ["none", "sqrt"])
@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("components", [None, 5, 100])
@pytest.mark.parametrize("normalise", [True, False])
def test_latents_come_back_from_the_embeddings_made_of_them(
    transform: str, standardise: bool, components: int | None, normalise: bool
) -> None:
    x = embeddings()
    made = fitted(
        x, transform=transform, standardise=standardise, components=components, normalise=normalise
    )
    z = made(torch.from_numpy(x))
    assert z.shape == (60, min(components or 8, 8))
    torch.testing.assert_close(made(made.inverse(z)), z, atol=1e-4, rtol=0)


@pytest.mark.parametrize("transform", ["none", "sqrt"])
def test_embeddings_come_back_where_nothing_was_left_out(transform: str) -> None:
    x = torch.from_numpy(embeddings())
    made = fitted(x.numpy(), transform=transform, components=8)
    torch.testing.assert_close(made.inverse(made(x)), x, atol=1e-3, rtol=1e-3)


def test_the_training_rows_are_standardised() -> None:
    z = preparation.transformed(fitted(embeddings(), transform="sqrt"), embeddings())
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-5)


def test_components_come_in_the_order_of_their_variance_and_are_uncorrelated() -> None:
    z = preparation.transformed(fitted(embeddings(), components=4), embeddings())
    covariance = np.cov(z.T)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-4)
    assert (np.diff(np.diag(covariance)) < 0).all()


def test_rows_are_brought_to_one_length() -> None:
    z = preparation.transformed(fitted(embeddings(), components=5, normalise=True), embeddings())
    np.testing.assert_allclose(np.square(z).mean(axis=1), 1, atol=1e-5)


def test_equal_rows_give_equal_components_whatever_their_order() -> None:
    x = embeddings()
    turned = fitted(x[::-1].copy(), components=4)
    torch.testing.assert_close(
        fitted(x, components=4).components, turned.components, atol=1e-4, rtol=0
    )
    again = fitted(x, components=4)
    assert torch.equal(again.components, fitted(x, components=4).components)


@pytest.mark.parametrize("components", [None, 3])
@pytest.mark.parametrize("normalise", [True, False])
def test_a_single_row_is_no_reason_to_divide_by_zero(
    components: int | None, normalise: bool
) -> None:
    x = embeddings()[:1]
    made = fitted(x, components=components, normalise=normalise)
    z = made(torch.from_numpy(x))
    assert z.isfinite().all()
    np.testing.assert_allclose(made.inverse(z).numpy(), x, atol=1e-5)


def test_a_constant_dimension_stays_what_it_was() -> None:
    x = embeddings()
    x[:, 2] = 7.25
    made = fitted(x)
    assert torch.all(made(torch.from_numpy(x))[:, 2] == 0)
    assert torch.all(made.inverse(torch.randn(9, 8))[:, 2] == 7.25)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = embeddings()
    whole = fitted(x, transform="sqrt", components=5, normalise=True)
    monkeypatch.setattr(preparation, "CHUNK", 7)
    parts = fitted(x, transform="sqrt", components=5, normalise=True)
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], tensor, atol=1e-5, rtol=1e-5)


def test_half_precision_rows_on_disk_are_rows_like_any_other(tmp_path: object) -> None:
    half = embeddings().astype(np.float16)
    np.save(f"{tmp_path}/x.npy", half)
    mapped = np.load(f"{tmp_path}/x.npy", mmap_mode="r")
    made, plain = fitted(mapped, components=5), fitted(half.astype(np.float32), components=5)
    for name, tensor in plain.state_dict().items():
        assert torch.equal(made.state_dict()[name], tensor)
