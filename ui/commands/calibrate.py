"""`trilemma calibrate`: fit step times to measurements and say how wrong they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from calibrate import profiles, results
from calibrate.fit import Progress
from calibrate.measurements import from_measurements
from calibrate.profiles import Profile
from calibrate.request import Request
from calibrate.results import Result
from sim.calibration import Calibration, load
from sim.errors import InputError
from sim.scenario.load import Loaded
from sim.scenario.load import load as load_scenario
from sim.shipped import find_scenario
from ui.commands.card import render, show
from ui.commands.progress import progress
from ui.files import check_file, write_atomically


def calibrate(
    sources: Sequence[Path],
    *,
    out: Path,
    name: str | None,
    engine: str | None,
    where: Sequence[str],
    prior: str | None,
    scenario: str | None,
    holdout: Sequence[Path],
    quiet: bool,
) -> None:
    """Fit, write the calibration, print its card.

    Raises:
        InputError: the user's mistake, in one sentence.
    """
    check_file(out, "--out", ".yaml")
    earlier = None if prior is None else load(prior, Path())
    served = None if scenario is None else load_scenario(find_scenario(scenario))
    tables = [one for one in sources if one.suffix == ".csv"]
    with progress("calibrating", quiet=quiet) as step:
        if tables:
            _alone(sources, holdout, scenario, prior)
            fitted = _from_table(tables[0], _pairs(where), name or out.stem, engine, step)
        else:
            if where:
                raise InputError(f"--where {where[0]}: expected a CSV table, whose rows it chooses")
            fitted = _from_measurements(sources, holdout, served, name or out.stem, engine, earlier, step)
    write_atomically(out, fitted.to_yaml(), "--out")
    show(render(fitted))
    print(
        f"\nSaved in {out}\nUse it in a scenario beside it: step_time: {{kind: calibrated, calibration: {out.name}}}\n"
        f"See it: trilemma card {out} --out {out.with_suffix('.html')}"
    )


def _from_table(path: Path, where: Mapping[str, str], name: str, engine: str | None, step: Progress) -> Calibration:
    from calibrate.table import from_table  # noqa: PLC0415  # only tables need it

    if engine is None:
        raise InputError("--engine is missing, expected what was measured and its version, for example 'vLLM 0.32.0'")
    return from_table(path, where, name, engine, step)


def _from_measurements(
    sources: Sequence[Path],
    holdout: Sequence[Path],
    served: Loaded | None,
    name: str,
    engine: str | None,
    prior: Calibration | None,
    step: Progress,
) -> Calibration:
    read = [_read(path, served) for path in sources]
    unseen = [_read(path, served) for path in holdout]
    request = Request(
        profiles=tuple(one for one in read if isinstance(one, Profile)),
        results=tuple(one for one in read if isinstance(one, Result)),
        unseen=tuple(one for one in unseen if isinstance(one, Result)),
        name=name,
        engine=engine or _engine([*read, *unseen]),
        prior=prior,
    )
    if len(request.unseen) < len(unseen):
        raise InputError("--holdout: found a step profile, expected served runs: a profile holds steps out by itself")
    return from_measurements(request, step)


def _read(path: Path, served: Loaded | None) -> Profile | Result:
    if profiles.is_profile(path):
        return profiles.read(path)
    if path.is_dir() or path.suffix == ".json":
        return results.read(path, served)
    found = "no such file" if not path.exists() else "another file"
    raise InputError(
        f"{path}: found {found}, expected what `trilemma profile` or `trilemma measure` saved, "
        "a result of vllm bench serve (.json), or a table of serving points (.csv)"
    )


def _engine(read: Sequence[Profile | Result]) -> str:
    """What was measured, as the measurements themselves say it."""
    versions = [one.version for one in read if one.version]
    if not versions:
        raise InputError(
            "--engine is missing: a bench result does not say which engine served it, "
            "expected its name and version, for example 'vLLM 0.32.0'"
        )
    return f"vLLM {versions[0]}"


def _alone(sources: Sequence[Path], holdout: Sequence[Path], scenario: str | None, prior: str | None) -> None:
    if len(sources) > 1 or holdout or scenario or prior:
        raise InputError(
            f"{next(one for one in sources if one.suffix == '.csv')}: a table of serving points is calibrated alone, "
            "without other sources, --scenario, --holdout and --prior"
        )


def _pairs(where: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for one in where:
        key, equals, value = one.partition("=")
        if not equals or not key or not value:
            raise InputError(f"--where {one}: expected KEY=VALUE, a column of the table and what it holds")
        pairs[key] = value
    return pairs
