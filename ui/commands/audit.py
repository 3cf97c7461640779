"""`trilemma audit`: the article's claims, answered."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sim.audit.answer import Answer
from sim.audit.audit import audit as answer_claims
from sim.errors import InputError
from sim.study.executor import LocalExecutor
from ui.audit.html import html
from ui.audit.markdown import markdown
from ui.audit.words import LANGUAGES, Language
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
        answers = answer_claims([name.upper() for name in names], LocalExecutor(workers), step)
    files = _write(answers, out or FOLDER) if out is not None or not names else []
    if json_to is not None:
        write_json(json_to, [to_json(one) for one in answers])
    if json_to != "-":
        print_audit(answers, language, files)


def to_json(one: Answer) -> dict[str, Any]:
    """An answer as JSON data."""
    return {
        "claim": one.claim.model_dump(mode="json"),
        "verdict": one.ruling.verdict.value,
        "verdict_if_open_readings_hold": one.ruling.could_be.value,
        "inputs": dict(one.inputs),
        "readings": [
            {
                "name": reading.name,
                "words": reading.words.model_dump(),
                "rests_on": reading.rests.value,
                "ours": asdict(reading.ours),
                "unit": reading.unit,
                "claimed": None if reading.claimed is None else reading.claimed.model_dump(),
                "holds": reading.holds,
            }
            for reading in one.evidence.readings
        ],
        "matters_most": [asdict(found) for found in one.matters],
        "true_if": {language: one.true_if(language) for language in LANGUAGES},
    }


def _write(answers: list[Answer], folder: Path) -> list[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written ({error.strerror})") from None
    files = []
    for language in LANGUAGES:
        for suffix, text in (("md", markdown(answers, language)), ("html", html(answers, language))):
            files.append(folder / f"audit.{language}.{suffix}")
            write_atomically(files[-1], text, "--out")
    write_json(str(folder / "audit.json"), [to_json(one) for one in answers])
    return [*files, folder / "audit.json"]
