"""The README's table of errors against measured serving points: op database, priors and calibration side by side.

    python scripts/serving_table.py PATH/serving_1k1k_hopper.csv

All three serve the same requests in the same simulator; only the step times differ. The calibrated column is read from
the shipped calibrations' cards: every point predicted from a fit that had not seen its concurrency.
"""

import sys
from pathlib import Path

import numpy as np
from ship_calibrations import SHIPPED

from calibrate import serving
from calibrate.points import Bench, Point
from sim.calibration import Calibration, load
from sim.scenario.steptime import OpDatabase, Roofline, StepTime


def errors(point: Point, step_time: StepTime) -> tuple[float, float]:
    """Signed relative errors of mean TTFT and TPOT."""
    scenario = point.loaded.scenario.model_copy(update={"step_time": step_time})
    means = Bench(point.with_scenario(scenario)).as_deployed().means
    return means["ttft"] / point.measured["ttft"] - 1, means["tpot"] / point.measured["tpot"] - 1


def held_out(calibration: Calibration, metric: str) -> str:
    """Mean absolute error of points whose concurrency the fit had not seen."""
    return next(f"{one.mape:.1%}" for one in calibration.card if (one.held_out, one.metric) == ("concurrency", metric))


def main() -> None:
    """Print the table as Markdown."""
    print("| points | | aiconfigurator-core, uncorrected | priors alone | calibrated, held out |")
    print("|---|---|---|---|---|")
    for name, (where, _engine) in SHIPPED.items():
        points = serving.read(Path(sys.argv[1]), where).points
        columns = [
            np.abs([errors(point, step_time) for point in points]).mean(axis=0)
            for step_time in (OpDatabase(kind="opdb"), Roofline(kind="roofline"))
        ]
        calibration = load(name, Path())
        for row, metric in enumerate(("ttft", "tpot")):
            cells = " | ".join(f"{column[row]:.1%}" for column in columns)
            label = f"{name} ({len(points)})" if row == 0 else ""
            print(f"| {label} | {metric.upper()} | {cells} | {held_out(calibration, metric)} |", flush=True)


if __name__ == "__main__":
    main()
