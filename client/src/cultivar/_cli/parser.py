"""Words of the command line, and the exit status that tells how it went."""

import argparse
import sys
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

from pydantic import ValidationError

from cultivar import _exceptions as errors
from cultivar._cli import datasets, jobs, running, serving
from cultivar._client import Client
from cultivar._constants import __version__
from cultivar._progress import stderr

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

EPILOG = """exit status:
  0    done; a job that was waited for succeeded, or waits for a person
  1    a job ended without success
  2    the command, its files or its configuration are at fault
  3    the service refused
  4    the service did not answer
  130  Ctrl-C: a job that was waited for goes on
"""


class Exit(IntEnum):
    DONE = 0
    JOB_FAILED = 1
    USAGE = 2
    REFUSED = 3
    NO_ANSWER = 4
    INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["serve"]:  # its options are the server's own
        return _guarded(lambda: serving.serve(words[1:]))
    if words[:1] == ["models"]:
        return _guarded(lambda: serving.models(words[1:]))
    arguments = parser().parse_args(words)
    return _guarded(lambda: _connected(arguments))


def _connected(arguments: argparse.Namespace) -> None:
    with Client(arguments.url, arguments.key) as client:
        arguments.command(client, arguments)


def _guarded(command: "running.Command") -> int:
    """Run a command and return the exit status of how it ended; a sentence goes to stderr."""
    console = stderr()
    try:
        command()
    except errors.JobFailed as error:
        return _say(error, Exit.JOB_FAILED)
    except errors.APIConnectionError as error:
        console.print("Is it running? `cultivar serve` starts one; CULTIVAR_URL names another.")
        return _say(error, Exit.NO_ANSWER)
    except errors.APIError as error:
        return _say(error, Exit.REFUSED)
    except ValidationError as error:
        return _say("\n       ".join(map(_fault, error.errors())), Exit.USAGE)
    except (errors.CultivarError, ValueError, OSError) as error:
        return _say(error, Exit.USAGE)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return Exit.DONE


def _say(error: Exception | str, status: Exit) -> Exit:
    # Not wrapped: what is pasted into a search or an issue has no line breaks of ours in it.
    stderr().print(f"error: {error}", style="red", markup=False, soft_wrap=True)
    return status


def _fault(fault: "ErrorDetails") -> str:
    """Return one line on a field of a spec: its path, what is wrong, what was found."""
    path = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{path}: there is no such field"
    if fault["type"] == "missing":
        return f"{path}: is required"
    message = fault["msg"].removeprefix("Value error, ")
    if not path or isinstance(fault["input"], dict | list):
        return f"{path}: {message}" if path else message
    return f"{path}: {message}; found {fault['input']!r}"


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="cultivar",
        description="Grow small datasets, and see by how much it helps.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"cultivar {__version__}")
    top.add_argument("--url", help="address of the service (CULTIVAR_URL)")
    top.add_argument("--key", help="key of the service (CULTIVAR_API_KEY, or the local key file)")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    commands.add_parser("serve", help="start a service on this machine", add_help=False)
    commands.add_parser("models", help="list or download foundation models", add_help=False)
    datasets.add_to(commands)
    running.add_to(commands)
    jobs.add_to(commands)
    return top
