"""YAML 1.2 read into plain data, with limits, so that no file can do more than be wrong."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from sim.errors import InputError

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
_INT64 = 1 << 63

# The YAML 1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema): 1e3 is a number, on/off/yes/no are texts.
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def read_file(path: Path) -> object:
    """Read a scenario file into dicts, lists, texts, numbers, booleans and None.

    Raises:
        InputError: the file is missing, not a regular file, too large, not UTF-8, or not one plain YAML document.
    """
    try:
        if not path.is_file():
            found = "a folder" if path.is_dir() else "a device" if path.exists() else "none"
            raise InputError(f"{path}: expected a scenario file, found {found}")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if len(raw) > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES:,} bytes, the limit for a scenario file")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a UTF-8 text file (byte {error.start} is 0x{raw[error.start]:02x})") from None
    return read_text(text, str(path))


def read_text(text: str, where: str) -> object:
    """Read one YAML document; `where` (a file, an option) begins the error messages.

    Raises:
        InputError: not one plain YAML document.
    """
    try:
        return _Reader(text, where).document()
    except yaml.MarkedYAMLError as error:
        problem = " ".join(filter(None, (error.context, error.problem)))
        raise InputError(f"{where}{_line(error.problem_mark)}: not valid YAML ({problem})") from None
    except yaml.reader.ReaderError as error:
        raise InputError(f"{where}: not a text file (character {error.position} is {error.character!r})") from None
    except InputError:
        raise
    except (ValueError, OverflowError) as error:  # PyYAML lets a few through: "\\UFFFFFFFF", %YAML 1.999...
        raise InputError(f"{where}: not valid YAML ({error})") from None


def _line(mark: "yaml.Mark | yaml._yaml.Mark | None") -> str:
    return f", line {mark.line + 1}" if mark else ""


class _Reader:
    """Builds data straight from the parser's events: no tags, no aliases (so no YAML bomb), no duplicate keys."""

    def __init__(self, text: str, where: str) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)
        self._where = where

    def document(self) -> object:
        """Return the only document of the stream, None if there is none."""
        next(self._events)  # stream start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        data = self._node(next(self._events), 0)
        next(self._events)  # document end
        if not isinstance(event := next(self._events), yaml.StreamEndEvent):
            raise self._error(event, "found a second document, expected one")
        return data

    def _node(self, event: yaml.Event, depth: int) -> object:
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:  # aliases are such events too
            raise self._error(event, f"found the YAML anchor or alias {event.anchor!r}, expected the value written out")
        if isinstance(event, yaml.CollectionStartEvent | yaml.ScalarEvent) and event.tag is not None:
            raise self._error(event, f"found the YAML tag {event.tag!r}, expected a plain value")
        if isinstance(event, yaml.CollectionStartEvent) and depth == MAX_DEPTH:
            raise self._error(event, f"found blocks or lists nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.ScalarEvent):
            if "\0" in event.value:
                raise self._error(event, r"found a text with a NUL character, \0")
            return event.value if event.style is not None else self._plain(event)
        return self._list(depth + 1) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(depth + 1)

    def _list(self, depth: int) -> list[object]:
        data = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            data.append(self._node(event, depth))
        return data

    def _mapping(self, depth: int) -> dict[str, object]:
        data: dict[str, object] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error(event, "found a key that is not a word, expected `key: value`")
            self._node(event, depth)  # checks it; the key stays text, so that `3` and `null` are keys like others
            if event.value in data:
                raise self._error(event, f"the key {event.value!r} is given twice")
            data[event.value] = self._node(next(self._events), depth)
        return data

    def _plain(self, event: yaml.ScalarEvent) -> object:
        """Resolve an unquoted scalar by the core schema."""
        text = event.value
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INT.fullmatch(text):
            # 20 characters hold every 64-bit integer; int() itself would refuse thousands of digits.
            value = int(text, {"0o": 8, "0x": 16}.get(text[:2], 10)) if len(text) <= 20 else _INT64
            if not -_INT64 <= value < _INT64:
                raise self._error(event, f"found the integer {text[:24]}..., expected one of 64 bits")
            return value
        if _NOT_FINITE.fullmatch(text):
            raise self._error(event, f"found {text}, expected a finite number")
        if _FLOAT.fullmatch(text):
            number = float(text)
            if not math.isfinite(number):
                raise self._error(event, f"found {text[:24]}, expected a finite number")
            return number
        return text

    def _error(self, event: yaml.Event, problem: str) -> InputError:
        return InputError(f"{self._where}{_line(event.start_mark)}: {problem}")
