"""What parent and child say to each other over their pipe: frozen dataclasses, sent as JSON.

Nothing is pickled, so a child that a bad file has taken over cannot take over its parent too.
"""

from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from app.domain.tasks import Checkpoint, Claim, Effects

OUT_OF_MEMORY, OUT_OF_SPACE, UNAVAILABLE = "out_of_memory", "out_of_space", "unavailable"
"""Reasons of a `Retry`."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Parent → child, first: the settings that a child needs. The database's URL is not among them."""

    settings: dict[str, Any]
    type: Literal["hello"] = "hello"


@dataclass(frozen=True, slots=True)
class Run:
    """Parent → child: run this task, with `scratch` as its own folder."""

    claim: Claim
    scratch: str
    type: Literal["run"] = "run"


@dataclass(frozen=True, slots=True)
class Stop:
    """Parent → child: save what there is and stop. A child that is idle by now ignores it."""

    type: Literal["stop"] = "stop"


@dataclass(frozen=True, slots=True)
class Progress:
    """Child → parent: so much of so much is done; `max` is 0 while it is not known."""

    value: float
    max: float
    type: Literal["progress"] = "progress"


@dataclass(frozen=True, slots=True)
class Checkpointed:
    """Child → parent: this blob is whole, a second attempt may start from it."""

    checkpoint: Checkpoint
    type: Literal["checkpointed"] = "checkpointed"


@dataclass(frozen=True, slots=True)
class Done:
    """Child → parent: the task's work is done and its blobs are whole."""

    effects: Effects
    type: Literal["done"] = "done"


@dataclass(frozen=True, slots=True)
class Stopped:
    """Child → parent: stopped because it was told to."""

    type: Literal["stopped"] = "stopped"


@dataclass(frozen=True, slots=True)
class Failed:
    """Child → parent: the task cannot succeed; the words are for the job's owner."""

    code: str
    detail: str
    param: str | None = None
    type: Literal["failed"] = "failed"


@dataclass(frozen=True, slots=True)
class Retry:
    """Child → parent: not now. The host's fault, not the job's.

    Attributes:
        reason: one of the three above.
    """

    reason: str
    detail: str = field(default="")
    type: Literal["retry"] = "retry"


ToChild = Hello | Run | Stop
FromChild = Progress | Checkpointed | Done | Stopped | Failed | Retry
Outcome = Done | Stopped | Failed | Retry
"""The last message about a task."""

_to_child: TypeAdapter[ToChild] = TypeAdapter(Annotated[ToChild, Field(discriminator="type")])
_from_child: TypeAdapter[FromChild] = TypeAdapter(Annotated[FromChild, Field(discriminator="type")])


def send_to_child(pipe: Connection, message: ToChild) -> None:
    pipe.send_bytes(_to_child.dump_json(message))


def receive_in_child(pipe: Connection) -> ToChild:
    """Block for the next message; EOFError when the parent is gone."""
    return _to_child.validate_json(pipe.recv_bytes())


def send_to_parent(pipe: Connection, message: FromChild) -> None:
    pipe.send_bytes(_from_child.dump_json(message))


def receive_in_parent(pipe: Connection) -> FromChild:
    """Block for the next message; EOFError or OSError when the child is gone."""
    return _from_child.validate_json(pipe.recv_bytes())
