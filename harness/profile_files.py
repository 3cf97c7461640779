"""A profile on disk: a journal of finished visits, from which steps.csv and profile.json are written."""

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from harness.profile_engine import Step
from sim.errors import InputError
from sim.steptime.shape import StepShape

JOURNAL = "visits.jsonl"
STEPS = "steps.csv"
ABOUT = "profile.json"
CONFIG = "config.json"
"""Copy of the model's, where the scenario names a file."""
COLUMNS = ("kind", "repeat", *StepShape._fields, "wall_ms", "model_ms")


class Journal:
    """Finished visits, one line each; what a kill cut off is dropped."""

    def __init__(self, out: Path, identity: dict[str, Any]) -> None:
        """Open the journal in `out`, which may hold an earlier one of the same profile.

        Raises:
            InputError: it holds something else, or cannot be written.
        """
        self.out = out
        path = out / JOURNAL
        self._visits: dict[tuple[str, int], dict[str, Any]] = {}
        with self._writing():
            out.mkdir(parents=True, exist_ok=True)
            lines = _whole_lines(path)
        if not lines and any(out.iterdir()):
            raise InputError(f"--out {out}: found other files, expected an empty folder or a profile to go on with")
        if lines and lines[0] != identity:
            found = next((key for key in identity if lines[0].get(key) != identity[key]), "other measurements")
            raise InputError(
                f"--out {out}: found a profile with another {found} ({lines[0].get(found)!r}), "
                f"expected {identity.get(found)!r} or a free name"
            )
        for line in lines[1:]:
            self._visits[line["visit"], line["repeat"]] = line
        with self._writing():
            draft = path.with_name(f".{JOURNAL}")
            draft.write_text("".join(json.dumps(line) + "\n" for line in [identity, *lines[1:]]), encoding="utf-8")
            draft.replace(path)
            self._file: TextIO = path.open("a", encoding="utf-8")

    def done(self, visit: str, repeat: int) -> bool:
        """Whether it was made, or found impossible."""
        return (visit, repeat) in self._visits

    def seconds(self, visit: str) -> float:
        """How long a visit took at the most; 0 if it was not made yet."""
        return max((line["seconds"] for (name, _), line in self._visits.items() if name == visit), default=0.0)

    def add(self, visit: str, repeat: int, steps: Sequence[Step], missed: str = "", seconds: float = 0.0) -> None:
        """Keep a visit, and how long it took.

        Raises:
            InputError: the disk is full.
        """
        kept = [[*step.shape, round(step.wall_ms, 6), round(step.model_ms, 6)] for step in steps]
        line = {"visit": visit, "repeat": repeat, "missed": missed, "seconds": round(seconds, 3), "steps": kept}
        with self._writing():
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        self._visits[visit, repeat] = line

    def write(self, about: dict[str, Any]) -> int:
        """Write steps.csv and profile.json of all visits kept; return the number of steps."""
        rows = [
            (kind_of(StepShape(*step[:6])), line["repeat"], *step)
            for line in self._visits.values()
            for step in line["steps"]
        ]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
        missed = {line["visit"]: line["missed"] for line in self._visits.values() if line["missed"]}
        self.put(STEPS, text.getvalue())
        self.put(ABOUT, json.dumps(about | {"missed": missed, "points": points(rows)}, indent=1) + "\n")
        return len(rows)

    def put(self, name: str, text: str) -> None:
        """Write a file of the profile through a draft beside it."""
        draft = self.out / f".{name}"
        with self._writing():
            draft.write_text(text, encoding="utf-8")
            draft.replace(self.out / name)

    def close(self) -> None:
        """Close the journal."""
        self._file.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"--out {self.out}: cannot be written ({os.strerror(error.errno or 0)}), expected a writable folder "
                "with room; what is measured is kept"
            ) from None


def kind_of(shape: StepShape) -> str:
    """prefill, decode or mixed."""
    if not shape.decode_seqs:
        return "prefill"
    return "mixed" if shape.prefill_seqs else "decode"


def points(rows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Sum up the repeats of every shape: how many, median and interquartile range of the wall time in ms."""
    times: dict[StepShape, list[float]] = {}
    for row in rows:
        times.setdefault(StepShape(*row[2:8]), []).append(float(row[8]))
    found = []
    for shape, several in times.items():
        low, median, high = (float(value) for value in np.percentile(several, (25, 50, 75)))
        summary = {"n": len(several), "median_ms": round(median, 6), "iqr_ms": round(high - low, 6)}
        found.append({"kind": kind_of(shape), **shape._asdict(), **summary})
    return found


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found
