"""`trilemma audit`: the article's claims, answered."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sim.audit.answer import Answer
from sim.audit.audit import Audit
from sim.audit.audit import audit as audit_claims
from sim.audit.evidence import Reading
from sim.errors import InputError
from sim.study.executor import LocalExecutor
from ui.audit.html import html
from ui.audit.markdown import markdown
from ui.audit.words import LANGUAGES, Language, serve_line
from ui.commands.progress import progress
from ui.console_audit import print_audit
from ui.files import check_json, write_atomically, write_json

FOLDER = Path("runs") / "audit"


def audit(
    names: Sequence[str],
    *,
    language: Language,
    json_to: str | None,
    out: Path | None,
    workers: int | None,
    quiet: bool,
) -> None:
    """Answer claims, print the answers, and write them as Markdown and HTML in both languages.

    Raises:
        InputError: the user's mistake, in one sentence.
    """
    check_json(json_to)
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers}: expected at least 1")
    with progress("claims", quiet=quiet) as step:
        found = audit_claims([name.upper() for name in names], LocalExecutor(workers), step)
    files = _write(found, out or FOLDER) if out is not None or not names else []
    if json_to is not None:
        write_json(json_to, to_json(found))
    if json_to != "-":
        print_audit(found, language, files)


def to_json(found: Audit) -> dict[str, Any]:
    """All of it as JSON data."""
    designed = found.alternative
    return {
        "claims": [_answer(one) for one in found.answers],
        "alternative": None
        if designed is None
        else {
            "fleet": designed.best.words.model_dump(),
            "settings": designed.design.settings,
            "vllm_serve": serve_line(designed),
            "readings": [_reading(one) for one in designed.readings],
            "rivals": [
                {"fleet": one.words.model_dump(), "list_usd_per_day": one.usd_per_day} for one in designed.rivals
            ],
        },
    }


def _answer(one: Answer) -> dict[str, Any]:
    return {
        "claim": one.claim.model_dump(mode="json"),
        "verdict": one.ruling.verdict.value,
        "verdict_if_open_readings_hold": one.ruling.could_be.value,
        "inputs": dict(one.inputs),
        "readings": [_reading(reading) for reading in one.evidence.readings],
        "matters_most": [asdict(found) for found in one.matters],
        "true_if": {language: one.true_if(language) for language in LANGUAGES},
    }


def _reading(one: Reading) -> dict[str, Any]:
    return {
        "name": one.name,
        "words": one.words.model_dump(),
        "rests_on": one.rests.value,
        "ours": asdict(one.ours),
        "unit": one.unit,
        "claimed": None if one.claimed is None else one.claimed.model_dump(),
        "holds": one.holds,
    }


def _write(found: Audit, folder: Path) -> list[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written ({error.strerror})") from None
    files = []
    for language in LANGUAGES:
        for suffix, text in (("md", markdown(found, language)), ("html", html(found, language))):
            files.append(folder / f"audit.{language}.{suffix}")
            write_atomically(files[-1], text, "--out")
    write_json(str(folder / "audit.json"), to_json(found))
    return [*files, folder / "audit.json"]
