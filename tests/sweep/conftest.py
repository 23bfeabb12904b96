"""The sweep: a fault at the k-th call of the publish path, by strace where it may, by failpoints elsewhere."""

from __future__ import annotations

import warnings

import pytest

from tests.sweep.injection import why_not


@pytest.fixture(scope="session")
def by_strace() -> bool:
    """Whether faults are injected by strace; where not, pytest's summary says so, and why."""
    reason = why_not()
    if reason is not None:
        warnings.warn(f"faults come from failpoints, not from strace: {reason}", stacklevel=1)
    return reason is None
