"""What the audit of tasks must show, each check with a history that breaks one promise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.tasks import TaskState
from benchmarks.storm_audit import Change
from benchmarks.storm_fence import recoveries, silent, trespasses
from benchmarks.storm_parts import Life

LEASE = 4.0
CLAIM = Change(
    at=100.0,
    writer="worker-0#0",
    task_id="task_1",
    job_id="job_1",
    stage="train",
    old=TaskState.QUEUED,
    new=TaskState.RUNNING,
    attempt=1,
    renewed=True,
    charged=False,
)
RENEWAL = replace(CLAIM, at=101.0, old=TaskState.RUNNING)
END = replace(RENEWAL, at=102.0, new=TaskState.SUCCEEDED)
EXPIRY = replace(RENEWAL, at=104.5, writer="api#0", renewed=False, charged=True)
PUT_BACK = replace(EXPIRY, new=TaskState.QUEUED, charged=False)
SECOND = replace(CLAIM, at=105.0, writer="worker-1#0", attempt=2)


def lives(**deaths: float) -> list[Life]:
    names = ("worker-0#0", "worker-1#0", "api#0")
    return [
        Life(name, 90.0, deaths.get(name.partition("#")[0].replace("-", "_"))) for name in names
    ]


def test_a_task_s_own_way_is_no_trespass() -> None:
    assert not list(trespasses([[CLAIM, RENEWAL, END]]))
    second_end = replace(END, at=106.0, writer="worker-1#0", attempt=2)
    assert not list(trespasses([[CLAIM, EXPIRY, PUT_BACK, SECOND, second_end]]))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([CLAIM, replace(RENEWAL, writer="worker-1#0")], "was renewed by worker-1#0"),
        ([CLAIM, replace(END, writer="worker-1#0")], "was set to succeeded by worker-1#0"),
        ([CLAIM, EXPIRY, PUT_BACK, SECOND, replace(END, attempt=2)], "held by worker-1#0"),
        ([CLAIM, END, replace(END, old=TaskState.SUCCEEDED)], "after it was succeeded"),
        ([CLAIM, replace(END, old=TaskState.QUEUED)], "went from queued to succeeded"),
        ([CLAIM, PUT_BACK, replace(CLAIM, at=106.0)], "claimed again as attempt 1"),
    ],
)
def test_a_write_by_who_does_not_hold_the_task_is_told(changes: list[Change], told: str) -> None:
    (found,) = trespasses([changes])
    assert told in found


def test_a_worker_that_lives_and_does_not_renew_is_told() -> None:
    history = [[CLAIM, EXPIRY, PUT_BACK]]
    (found,) = silent(history, lives(), [], LEASE)
    assert "worker-0#0 lived and renewed nothing" in found
    assert not list(silent([[CLAIM, RENEWAL, EXPIRY, PUT_BACK]], lives(), [], LEASE))


def test_who_was_dead_or_paused_or_kept_from_writing_is_excused() -> None:
    history = [[CLAIM, EXPIRY, PUT_BACK]]
    assert not list(silent(history, lives(worker_0=100.5), [], LEASE))
    assert not list(silent(history, lives(), [(101.0, 103.0)], LEASE))
    paused = lives()
    paused[0].pauses.append((101.0, 106.0))
    assert not list(silent(history, paused, [], LEASE))


def test_a_lock_that_others_got_in_between_excuses_nobody() -> None:
    others = [
        replace(RENEWAL, task_id="task_2", writer="worker-1#0", at=100.5 + number)
        for number in range(4)
    ]
    history = [[CLAIM, EXPIRY, PUT_BACK], others]
    assert list(silent(history, lives(), [(101.0, 101.2)], LEASE))


def test_recovery_counts_from_the_death_to_the_next_claim() -> None:
    history = [CLAIM, EXPIRY, PUT_BACK, SECOND]
    recovery = recoveries([history], lives(worker_0=101.5), [], LEASE)
    assert (recovery.put_back, recovery.workers, recovery.children) == ((3.0,), (3.5,), ())
    assert recovery.kept
    late = [*history[:3], replace(SECOND, at=111.0)]
    assert not recoveries([late], lives(worker_0=101.5), [], LEASE).kept
    # A death that met no task, or one whose job was canceled meanwhile, has nothing to recover.
    assert recoveries([history], lives(worker_0=99.0), [], LEASE).workers == ()
    canceled = replace(END, new=TaskState.CANCELED)
    assert recoveries([[CLAIM, canceled]], lives(worker_0=101.5), [], LEASE).workers == ()


def test_children_do_not_make_the_recovery_of_workers_look_short() -> None:
    died = lives(worker_0=101.5)
    died[1].childs.append(200.5)
    of_child = [replace(SECOND, at=200.0), replace(PUT_BACK, at=200.6), replace(CLAIM, at=201.5)]
    late = [CLAIM, EXPIRY, PUT_BACK, replace(SECOND, at=111.0)]
    both = recoveries([late, *[of_child] * 200], died, [], LEASE)
    assert (both.workers, set(both.children)) == ((9.5,), {1.0})
    assert (both.p99, both.kept) == (9.5, False)
    assert recoveries([of_child], died, [], LEASE).kept


def test_recovery_does_not_count_what_nobody_could_have_written_in() -> None:
    history = [CLAIM, EXPIRY, PUT_BACK, SECOND]
    shaken = [(101.0, 102.0), (101.75, 102.5), (104.75, 110.0)]
    recovery = recoveries([history], lives(worker_0=101.5), shaken, LEASE)
    assert (recovery.put_back, recovery.workers) == ((2.0,), (2.25,))
