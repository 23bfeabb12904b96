"""The state machine's table, and ids."""

import itertools
import time
from typing import get_args

import pytest

from app.domain.ids import new_id
from app.domain.jobs import (
    PIPELINES,
    SUCCESSFUL,
    TERMINAL,
    TRANSITIONS,
    IllegalTransition,
    JobKind,
    JobState,
    check_transition,
)


@pytest.mark.parametrize(("old", "new"), list(itertools.product(JobState, JobState)))
def test_only_the_tables_transitions_are_legal(old: JobState, new: JobState) -> None:
    if new in TRANSITIONS[old]:
        check_transition(old, new)
    else:
        with pytest.raises(IllegalTransition):
            check_transition(old, new)


def test_an_ended_job_stays_as_it_is() -> None:
    assert all(not TRANSITIONS[state] for state in TERMINAL)
    assert SUCCESSFUL < TERMINAL


def test_every_job_can_be_canceled_until_it_ends() -> None:
    for state in set(JobState) - TERMINAL:
        assert TRANSITIONS[state] & {JobState.CANCELED, JobState.CANCELING}


def test_every_state_can_be_reached_and_left_for_an_end() -> None:
    reached = {JobState.QUEUED}
    for _ in JobState:
        reached |= {new for old in reached for new in TRANSITIONS[old]}
    assert reached == set(JobState)


def test_a_stage_is_planned_by_an_earlier_one_of_its_job() -> None:
    for stages in PIPELINES.values():
        codes = [stage.code for stage in stages]
        assert len(set(codes)) == len(codes)
        for number, stage in enumerate(stages):
            assert stage.task_class in {"cpu", "gpu"}
            assert stage.planned_by is None or stage.planned_by in codes[:number]
        # A job ends with the last stage's only task; a planned one could have none.
        assert stages[-1].planned_by is None


def test_the_kinds_that_can_be_asked_for_are_those_that_have_stages() -> None:
    assert set(get_args(JobKind)) == set(PIPELINES)


def test_ids_sort_by_age_and_do_not_repeat() -> None:
    older = new_id("job")
    time.sleep(0.002)
    newer = {new_id("job") for _ in range(1000)}
    assert len(newer) == 1000
    assert older < min(newer)
    assert len(older) == len("job_") + 32
