"""Moments by cell: chunks, subdomains, unlabelled rows, and covariances of few rows."""

import numpy as np
import pytest
import torch

from models.front.front import Front
from models.gelda.moments import Moments, shrink_covariance, within
from models.gelda.rows import Rows

RNG = np.random.default_rng(0)
LATENTS = RNG.standard_normal((60, 4)) * [1, 2, 3, 4] + [10, 0, -5, 1e4]
LABELS = RNG.integers(-1, 3, 60)
SUBDOMAIN = RNG.integers(0, 2, 60)
POSTERIOR = RNG.dirichlet(np.ones(3), int((LABELS < 0).sum())).astype(np.float32)


def rows(x: np.ndarray = LATENTS) -> Rows:
    return Rows(
        x=x,
        y=LABELS,
        subdomain=SUBDOMAIN,
        front=Front.identity(4),
        n_classes=3,
        n_subdomains=2,
        posterior=POSTERIOR,
    )


def test_every_cell_and_every_subdomain_s_unlabelled_rows_are_averaged() -> None:
    found = Moments.of(rows())
    z = (LATENTS - LATENTS.mean(axis=0)) / LATENTS.std(axis=0)
    for label in range(3):
        for subdomain in range(2):
            cell = (label == LABELS) & (subdomain == SUBDOMAIN)
            assert found.counts[label, subdomain] == cell.sum()
            np.testing.assert_allclose(found.means[label, subdomain], z[cell].mean(0), atol=1e-3)
    for subdomain in range(2):
        unknown = (LABELS < 0) & (subdomain == SUBDOMAIN)
        assert found.unlabelled.counts[subdomain] == unknown.sum()
        np.testing.assert_allclose(found.unlabelled.means[subdomain], z[unknown].mean(0), atol=1e-3)
        shares = POSTERIOR[SUBDOMAIN[LABELS < 0] == subdomain].mean(axis=0)
        np.testing.assert_allclose(found.unlabelled.mixtures[subdomain], shares, atol=1e-6)
        all_of_it = subdomain == SUBDOMAIN
        np.testing.assert_allclose(
            found.subdomain_means[subdomain], z[all_of_it].mean(0), atol=1e-3
        )


def test_the_covariance_is_that_within_cells_of_labelled_rows() -> None:
    x = np.repeat(RNG.standard_normal((6, 4)) * 50, 10, axis=0) + RNG.standard_normal((60, 4))
    cells = np.repeat(np.arange(6), 10)
    many = Rows(
        x=np.tile(x, (40, 1)) + 0.5 * RNG.standard_normal((2400, 4)),
        y=np.tile(cells // 2, 40),
        subdomain=np.tile(cells % 2, 40),
        front=Front.identity(4),
        n_classes=3,
        n_subdomains=2,
    )
    moments = Moments.of(many)
    S = within(many, moments) * moments.scale[:, None] * moments.scale[None, :]
    expected = np.cov((x - np.repeat(x.reshape(6, 10, 4).mean(1), 10, axis=0)).T, bias=True)
    np.testing.assert_allclose(S, expected + 0.25 * np.eye(4), atol=0.15)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Moments.of(rows())
    monkeypatch.setattr("models.gelda.rows.CHUNK", 7)
    parts = Moments.of(rows())
    torch.testing.assert_close(parts.means, whole.means)
    torch.testing.assert_close(parts.scale, whole.scale)
    torch.testing.assert_close(parts.unlabelled.mixtures, whole.unlabelled.mixtures)


def test_rows_are_read_a_chunk_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = 0

    class Recorded(np.ndarray):
        def __getitem__(self, key: object) -> np.ndarray:
            nonlocal longest
            found = np.asarray(super().__getitem__(key))
            longest = max(longest, len(found))
            return found

    monkeypatch.setattr("models.gelda.rows.CHUNK", 7)
    recorded = rows(LATENTS.view(Recorded))
    within(recorded, Moments.of(recorded))
    assert longest == 7


def test_shrinkage_fades_with_rows_and_takes_over_without() -> None:
    S = torch.diag(torch.tensor([4.0, 1.0, 0.25])).double()
    near, far = shrink_covariance(S, 1e6), shrink_covariance(S, 2.0)
    torch.testing.assert_close(near, S, atol=1e-4, rtol=0)
    assert float(far[0, 0] - far[2, 2]) < 1.5
    assert float(far.trace()) == pytest.approx(float(S.trace()))
