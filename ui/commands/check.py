"""`trilemma check`: say what is wrong with a scenario, or worth knowing, before it is run."""

from collections.abc import Sequence

from sim.errors import InputError
from sim.preflight import check as preflight
from sim.scenario.load import load
from sim.shipped import find_scenario


def check(name: str, sets: Sequence[str], variant: str | None) -> None:
    """Check a scenario file, and each scenario named in it unless `variant` picks one; print the findings.

    Raises:
        InputError: the first thing that is wrong, in one sentence.
    """
    path = find_scenario(name)
    variants = [variant] if variant is not None else [None, *load(path, sets).variants]
    for chosen in variants:
        loaded = load(path, sets, chosen)
        where = f"{path}{f' --scenario {chosen}' if chosen else ''}"
        try:
            findings = preflight(loaded)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        print(f"{where}: ok")
        for finding in findings:
            print(f"  {finding}")
