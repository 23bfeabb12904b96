"""What a person sees while a job runs: bars on a terminal, lines in a log."""

import io

from rich.console import Console

from cultivar._progress import JobBars, JobLines, _screen, headline, transfer
from cultivar._records import JobRecord


def job(state, *steps, **more):
    made = [{"code": code, "value": value, "max": most} for code, value, most in steps]
    return JobRecord(id="job_1", kind="gelda", state=state, steps=made, **more)


def test_a_terminal_shows_a_bar_a_step():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    with JobBars(console) as bars:
        bars(job("running", ("train", 30, 100), ("choose", 0, 0)))
        bars(job("running", ("train", 100, 100), ("choose", 2, 8)))
        bars(job("succeeded", ("train", 100, 100), ("choose", 8, 8)))
    last = screen.getvalue().rsplit("gelda job_1", 1)[1]
    assert "succeeded" in last
    assert "train" in last
    assert "100/100" in last
    assert "8/8" in last


def test_the_time_left_stands_by_the_step_and_leaves_room_for_bars():
    screen = io.StringIO()
    with JobBars(Console(file=screen, force_terminal=True, width=80)) as bars:
        bars(job("running", ("train", 30, 100), eta_seconds=17.0))
    assert "train, about 17 s left" in screen.getvalue()
    assert "30/100" in screen.getvalue(), "a column was cut"


def test_a_step_that_has_not_begun_has_no_bar():
    screen = io.StringIO()
    with JobBars(Console(file=screen, force_terminal=True, width=100)) as bars:
        bars(job("running", ("train", 30, 100), ("choose", 0, 0)))
    assert "choose" not in screen.getvalue()


def test_a_log_gets_a_line_a_change_and_not_one_a_poll(capsys):
    lines = JobLines()
    for value in range(5):
        lines(job("running", ("train", value, 100), eta_seconds=9 - value))
    lines(job("running", ("train", 100, 100), ("choose", 1, 8)))
    lines(job("succeeded", ("train", 100, 100), ("choose", 8, 8)))
    assert capsys.readouterr().err.splitlines() == [
        "gelda job_1 · running, about 9 s left in this step · train 0%",
        "gelda job_1 · running · choose 12%",
        "gelda job_1 · succeeded",
    ]


def test_a_log_tells_when_the_last_worker_of_a_class_goes_and_when_one_comes(capsys):
    lines = JobLines()
    for unserved in (None, "gpu", "gpu", None):
        lines(job("queued", queue_position=1, unserved_class=unserved))
    assert capsys.readouterr().err.splitlines() == [
        "gelda job_1 · queued, 1 in the queue",
        "gelda job_1 · queued, waits: no worker serves gpu",
        "gelda job_1 · queued, 1 in the queue",
    ]


def test_a_waiting_job_says_what_it_waits_for():
    assert headline(job("queued", blocked_by=["job_0"])).endswith("waits for job_0")
    assert headline(job("queued", queue_position=3)).endswith("3 in the queue")
    unserved = job("queued", queue_position=3, unserved_class="gpu")
    assert headline(unserved).endswith("· queued, waits: no worker serves gpu")
    assert headline(job("running", unserved_class="cpu")).endswith("no worker serves cpu")
    assert headline(job("running", eta_seconds=41.6)).endswith("about 42 s left in this step")
    assert headline(job("running", eta_seconds=760)).endswith("about 13 min left in this step")
    assert headline(job("canceling", eta_seconds=41.6)).endswith("canceling")


def test_nothing_is_shown_where_nothing_is_wanted(capsys):
    with transfer("f", "hashing", "sending", total=3, show=False) as counters:
        for counter in counters:
            counter(3)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_of_two_waits_side_by_side_one_draws_and_one_tells():
    terminal = Console(file=io.StringIO(), force_terminal=True)
    with _screen(terminal) as first, _screen(terminal) as second:
        assert (first, second) == (True, False)
    with _screen(terminal) as third:
        assert third
    with _screen(Console(file=io.StringIO())) as log:
        assert not log
