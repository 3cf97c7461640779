"""Commands that look for a design: plan, capacity, sweep."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ui.options import Named, Sets, Variant

app = typer.Typer()

Json = Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write it as JSON; - for stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
Workers = Annotated[int | None, typer.Option(metavar="N", help="Processes; default one a core.")]
Confidence = Annotated[float, typer.Option(help="Of the interval over the replications.")]


@app.command()
def plan(
    scenario: Named,
    *,
    gpus: Annotated[
        list[str] | None,
        typer.Option("--gpu", metavar="ID", help="May be repeated; default all GPUs with a price."),
    ] = None,
    markets: Annotated[
        list[str] | None,
        typer.Option("--market", help="on_demand, spot, reserved, owned; may be repeated; default all but owned."),
    ] = None,
    sizes: Annotated[
        list[int] | None, typer.Option("--tp", metavar="N", help="May be repeated; default 1, 2, 4, 8.")
    ] = None,
    most: Annotated[int, typer.Option("--max-replicas", metavar="N", help="Look no further than this.")] = 128,
    confidence: Confidence = 0.95,
    variant: Variant = None,
    sets: Sets = None,
    json_to: Json = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the scenario of each fleet here; default runs/plan-NAME-..."),
    ] = None,
    workers: Workers = None,
    quiet: Quiet = False,
) -> int:
    """Find the cheapest fleets that keep the scenario's SLO; exit with 3 if there is none."""
    from ui.commands.plan import plan

    return plan(
        scenario,
        list(sets or ()),
        variant,
        gpus=gpus or (),
        markets=markets or (),
        sizes=sizes or (),
        most=most,
        confidence=confidence,
        json_to=json_to,
        out=out,
        workers=workers,
        quiet=quiet,
    )


@app.command()
def capacity(
    scenario: Named,
    *,
    confidence: Confidence = 0.95,
    tolerance: Annotated[float, typer.Option(help="Stop this close, as a share of the rate.")] = 0.01,
    variant: Variant = None,
    sets: Sets = None,
    json_to: Json = None,
    workers: Workers = None,
    quiet: Quiet = False,
) -> int:
    """Search the highest rate at which the scenario's fleet keeps its SLO; exit with 3 if there is none."""
    from ui.commands.capacity import capacity

    return capacity(
        scenario,
        list(sets or ()),
        variant,
        confidence=confidence,
        tolerance=tolerance,
        json_to=json_to,
        workers=workers,
        quiet=quiet,
    )


@app.command()
def sweep(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A study file, or the name of a shipped one.")],
    *,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the study here; designs that are done there are not simulated again."),
    ] = None,
    executor: Annotated[
        Literal["local", "ray"], typer.Option(help="Processes of this machine, or a Ray cluster of yours.")
    ] = "local",
    workers: Workers = None,
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Of the Ray cluster; default the one at hand.")
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Simulate all designs of a study and compare them; the same command goes on after a stop."""
    from ui.commands.sweep import sweep

    return sweep(study, out=out, executor=executor, workers=workers, address=address, quiet=quiet)


@app.command()
def search(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A search file, or the name of a shipped one.")],
    *,
    trials: Annotated[
        int | None, typer.Option(metavar="N", help="Designs to try in all; default as the file says.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="An Optuna storage that several machines share; default a file in --out."),
    ] = None,
    workers: Workers = None,
    json_to: Json = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep all of it here, and go on from there; default runs/NAME-..."),
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Search a space of designs for those that no other beats; exit with 3 if none keeps the SLO."""
    from ui.commands.search import search

    return search(study, trials=trials, storage=storage, workers=workers, json_to=json_to, out=out, quiet=quiet)
