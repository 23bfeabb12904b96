"""Every stage of every kind of job has a function, and no function is left over."""

import pytest

from app.domain.jobs import PIPELINES
from workers.pipelines.registry import ENTRY_POINTS, entry_point

STAGES = {(kind, stage.code) for kind, stages in PIPELINES.items() for stage in stages}


def test_the_registry_and_the_vocabulary_agree() -> None:
    assert set(ENTRY_POINTS) == STAGES


@pytest.mark.parametrize(("kind", "stage"), sorted(STAGES))
def test_a_stage_has_a_function_that_says_what_it_does(kind: str, stage: str) -> None:
    run = entry_point(kind, stage)
    assert callable(run)
    assert run.__doc__
