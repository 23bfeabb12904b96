"""What goes through the pipe comes out equal, and what is not a message is not taken for one."""

from multiprocessing import Pipe

import pytest
from pydantic import ValidationError

from app.domain.reviews import Picture, ReviewItem
from app.domain.tasks import Checkpoint, Claim, Effects, Lease, NewArtifact, NewModel, NewTask
from app.settings import Settings
from workers.alarm import Alarm
from workers.messages import (
    Checkpointed,
    Done,
    Failed,
    Hello,
    Progress,
    Retry,
    Run,
    Stop,
    Stopped,
    receive_in_child,
    receive_in_parent,
    send_to_child,
    send_to_parent,
)
from workers.runner import ChildDied, Runner

CLAIM = Claim(
    lease=Lease("task_1", 3),
    job_id="job_1",
    tenant_id="tenant_1",
    kind="gelda",
    stage="sample",
    shard=2,
    task_class="gpu",
    spec={"kind": "gelda", "é": [1, 2.5, None]},
    seed=2**63 - 1,
    evaluate=None,
    payload={"items": [[0, 0, 5]]},
    checkpoint=Checkpoint("ab" * 32, 500),
    earlier={"train": [{"config": {"dim": 3}}]},
    inputs={},
    seconds_left=12.5,
    release_if={"max_copy_share": 0.0},
    review={"descriptions": ["a {} in rain"], "accepted": [], "rejected": ["e1"]},
)
EFFECTS = Effects(
    result={"a": 0.1},
    plan=(NewTask("sample", 0, {"items": []}),),
    artifacts=(NewArtifact("x.npz", "cd" * 32, 7, "application/x-npz"),),
    generator=NewModel({"config.json": {"sha256": "ef" * 32, "bytes": 1}}, {"method": "gelda"}),
    counts={"generated": 3},
    withheld="It gains too little.",
    pause="edits",
    review=(
        ReviewItem(
            item_id="e1",
            label="duck",
            description="a {} in rain",
            source=None,
            before=None,
            after=Picture("ab" * 32, 9),
            media_type="image/png",
            decision="kept",
            scores={"semantic": 0.25},
        ),
    ),
)


@pytest.mark.parametrize("message", [Hello({"home": "/x"}), Run(CLAIM, "/scratch"), Stop()])
def test_the_child_reads_what_the_parent_sent(message: Hello | Run | Stop) -> None:
    here, there = Pipe()
    send_to_child(here, message)
    assert receive_in_child(there) == message


@pytest.mark.parametrize(
    "message",
    [
        Progress(1.5, 3.0),
        Checkpointed(Checkpoint("ab" * 32, 7)),
        Done(EFFECTS),
        Stopped(),
        Failed("bad", "It is bad.", "x"),
        Retry("out_of_space"),
    ],
)
def test_the_parent_reads_what_the_child_sent(
    message: Progress | Checkpointed | Done | Stopped | Failed | Retry,
) -> None:
    here, there = Pipe()
    send_to_parent(there, message)
    assert receive_in_parent(here) == message


def test_a_child_that_sends_no_message_counts_as_dead(settings: Settings) -> None:
    runner, alarm = Runner(settings), Alarm()
    runner._pipe, there = Pipe()
    there.send_bytes(b"no message")
    with pytest.raises(ChildDied):
        runner.wait(alarm, 5)
    runner.kill()
    alarm.close()


def test_a_message_of_the_other_direction_is_refused() -> None:
    here, there = Pipe()
    send_to_child(there, Stop())
    with pytest.raises(ValidationError):
        receive_in_parent(here)
