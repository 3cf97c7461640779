"""`trilemma check`: say what is wrong with a scenario, or worth knowing, before it is run."""

from sim.errors import InputError
from sim.preflight import check as preflight
from sim.scenario.load import load
from sim.shipped import find_scenario


def check(name: str) -> None:
    """Check a scenario file and each scenario named in it, and print the findings.

    Raises:
        InputError: the first thing that is wrong, in one sentence.
    """
    path = find_scenario(name)
    for variant in (None, *load(path).variants):
        loaded = load(path, scenario=variant)
        where = f"{path}{f' --scenario {variant}' if variant else ''}"
        try:
            findings = preflight(loaded)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        print(f"{where}: ok")
        for finding in findings:
            print(f"  {finding}")
