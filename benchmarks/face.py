"""The one face of all benchmarks: the same options, progress, a table, and last one line of JSON."""

import argparse
import json
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks import figures

TELL_SECONDS, TELL_LOG_SECONDS = 0.2, 60.0
"""Least time between two tellings of progress, on a terminal and in a log."""


class Face:
    """What a benchmark shows: options, progress on standard error, the result on standard output.

    Attributes:
        parser: takes options of the benchmark's own before `parse`.
    """

    def __init__(self, docstring: str | None, *, seeds: int = 1) -> None:
        """Take the benchmark's own docstring: command, cost and result to expect."""
        self.name = Path(sys.argv[0]).stem
        self._terminal = sys.stderr.isatty()
        self._figures: Path | None = None
        self._part = ""
        self._began = self._told = 0.0
        self.parser = argparse.ArgumentParser(
            prog=f"python -m benchmarks.{self.name}",
            description=docstring,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.parser.add_argument(
            "--data",
            nargs="+",
            type=Path,
            default=[],
            metavar="FILE",
            help="files of the format described above",
        )
        self.parser.add_argument(
            "--seeds",
            type=_positive,
            default=seeds,
            metavar="N",
            help=f"repetitions (default: {seeds})",
        )
        self.parser.add_argument(
            "--quick", action="store_true", help="small and fast: does it run at all?"
        )
        self.parser.add_argument(
            "--figures",
            type=Path,
            metavar="FOLDER",
            help="write the figures there, each as PNG and SVG (default: none is written)",
        )

    def parse(
        self,
        arguments: Sequence[str] | None = None,
        *,
        data: int | None = 0,
        folders: bool = False,
    ) -> argparse.Namespace:
        """Return the options; end with a usage message where they do not fit.

        Args:
            arguments: by default those of the command line.
            data: how many files `--data` must name; 0 leaves it open.
            folders: whether `--data` names folders.
        """
        given = self.parser.parse_args(arguments)
        kind = "folder" if folders else "file"
        if data and len(given.data) != data:
            self.parser.error(f"--data needs {data} {kind}{'s' * (data > 1)}; see --help")
        for path in given.data:
            if not (path.is_dir() if folders else path.is_file()):
                self.parser.error(f"--data: there is no {kind} {path}")
        if given.figures is not None and given.figures.exists() and not given.figures.is_dir():
            self.parser.error(f"--figures: {given.figures} is not a folder")
        self._figures = given.figures
        return given

    def say(self, text: str) -> None:
        """Write one line of progress."""
        self.end()
        self._write(f"{text}\n")

    def begin(self, part: str) -> None:
        """End the part before, if any, and begin one whose share and seconds are shown."""
        self.end()
        self._part, self._began = part, time.monotonic()
        self._told = 0.0 if self._terminal else self._began
        if self._terminal:
            self._write(f"{part}  …")

    def progress(self, done: float, total: float) -> None:
        """Tell how much of the part is done; a terminal's line is rewritten in place."""
        now = time.monotonic()
        if total and now - self._told > (TELL_SECONDS if self._terminal else TELL_LOG_SECONDS):
            self._told = now
            told = f"{self._part}  {done / total:4.0%}"
            self._write(f"\r\x1b[K{told}" if self._terminal else f"{told}\n")

    def end(self) -> float:
        """End the part; return its seconds, 0 where none was begun."""
        if not self._part:
            return 0.0
        seconds = time.monotonic() - self._began
        rewritten = "\r\x1b[K" if self._terminal else ""
        self._write(f"{rewritten}{self._part}  {seconds:.1f} s\n")
        self._part = ""
        return seconds

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows of text or numbers under their columns; numbers to the right."""
        self.end()
        print(table(columns, list(rows)))

    def figure(self, name: str, draw: Callable[[], Figure]) -> None:
        """Write what `draw` returns as `name`.png and `name`.svg; draw nothing without `--figures`.

        Args:
            name: of the files, without an ending.
            draw: returns a figure of `benchmarks.figures`.
        """
        if self._figures is None:
            return
        for path in figures.save(draw(), self._figures, name):
            self.say(f"wrote {path}")

    def finish(self, measured: Mapping[str, Any]) -> None:
        """Print what was measured as one line of JSON, the last of the output.

        The benchmark's name and the machine are added, so that a line can be kept and compared.
        """
        self.end()
        line = {"benchmark": self.name, **measured, "machine": machine()}
        print(json.dumps(line, allow_nan=False, ensure_ascii=False), flush=True)

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return aligned text: a head, a rule, a line a row; floats with two digits."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(columns)]
    right = [bool(cells) and all(_is_number(row[i]) for row in cells) for i in range(len(columns))]

    def line(texts: Sequence[str]) -> str:
        padded = zip(texts, widths, right, strict=True)
        return "  ".join(t.rjust(w) if r else t.ljust(w) for t, w, r in padded).rstrip()

    return "\n".join([line(columns), "  ".join("-" * w for w in widths), *map(line, cells)])


def machine() -> dict[str, Any]:
    """Return what a figure depends on besides the code."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": platform.machine(),
        # Linux counts in KiB, macOS in bytes.
        "peak_memory_mib": round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)),
    }


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "") or 0)
    except ValueError:
        return False
    return True


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number
