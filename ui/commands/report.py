"""`trilemma report`: a saved run as one HTML file that opens offline."""

from pathlib import Path

from sim import rundir
from ui.files import check_file, write_atomically


def report(directory: Path, out: Path | None) -> None:
    """Write the report of a run and print where it is.

    Args:
        directory: that `trilemma run` saved.
        out: the file; default report.html beside the run's files.

    Raises:
        InputError: there is no run, plotly is not installed, or the file cannot be written.
    """
    target = directory / "report.html" if out is None else out
    if out is not None:
        check_file(out, "--out", ".html")
    run = rundir.read(directory)
    from ui.htmlreport import page  # noqa: PLC0415  # imports the simulator

    write_atomically(target, page(run), "--out")
    print(target)
