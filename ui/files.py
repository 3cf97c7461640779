"""Files that a command writes: refused before the work if they cannot be, whole or not at all."""

import json
import os
import sys
from pathlib import Path

from sim.errors import InputError


def check_file(path: Path, option: str, suffix: str) -> None:
    """Make sure that `path` can be written.

    Raises:
        InputError: another suffix, a directory, or a folder that does not exist.
    """
    if path.suffix != suffix or path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{option} {path}: expected a file whose name ends in {suffix}, in a folder that exists")


def write_atomically(path: Path, text: str, option: str) -> None:
    """Write beside the target, then rename.

    Raises:
        InputError: the place cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InputError(f"{option} {path}: cannot be written ({error.strerror})") from None


def check_json(json_to: str | None) -> None:
    """Make sure that `--json` can be written, before the work is done.

    Raises:
        InputError: a folder, or a file in none that exists.
    """
    if json_to not in (None, "-") and (Path(json_to).is_dir() or not Path(json_to).parent.is_dir()):
        raise InputError(f"--json {json_to}: expected a file in a folder that exists")


def write_json(json_to: str, data: object) -> None:
    """Write JSON to a file, or with "-" to the standard output.

    Raises:
        InputError: the place cannot be written.
    """
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    if json_to == "-":
        sys.stdout.write(text)
    else:
        write_atomically(Path(json_to), text, "--json")
