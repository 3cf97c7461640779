"""The console command. Commands import what they need when called, so that `trilemma --help` is quick.

Exit codes: 0 fine, 1 a measurement or runs of a campaign failed, 2 usage or bad input (one sentence on stderr),
3 SLO missed with --fail-on-slo, 130 Ctrl-C.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from sim.errors import InputError
from ui import cli_harness, cli_plan
from ui.options import Named, Sets, Variant

BAD_INPUT = 2

app = typer.Typer(
    help="How many of which GPUs serve this DeepSeek traffic on vLLM within its SLO, and at what cost.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data = typer.Typer(help="Public traces: list, get.", rich_markup_mode=None)
app.add_typer(data, name="data")
app.add_typer(cli_harness.app)
app.add_typer(cli_plan.app)


@app.command()
def run(
    scenario: Named,
    *,
    variant: Variant = None,
    sets: Sets = None,
    seed: Annotated[int | None, typer.Option(help="Same as --set run.seed=N.")] = None,
    replications: Annotated[int | None, typer.Option(help="Same as --set run.replications=N.")] = None,
    json_to: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write vLLM bench's result JSON; - for stdout.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Save the run here, or in DIR-2, ... beside another run."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    fail_on_slo: Annotated[bool, typer.Option("--fail-on-slo", help="Exit with 3 if the SLO is missed.")] = False,
) -> int:
    """Simulate a scenario and print the report."""
    from ui.commands.run import run

    settings = list(sets or ())
    settings += [] if seed is None else [f"run.seed={seed}"]
    settings += [] if replications is None else [f"run.replications={replications}"]
    return run(scenario, settings, variant, json_to=json_to, out=out, quiet=quiet, fail_on_slo=fail_on_slo)


@app.command()
def check(scenario: Named, *, variant: Variant = None, sets: Sets = None) -> None:
    """Check a scenario file: its keys, whether it fits, whether it can keep up."""
    from ui.commands.check import check

    check(scenario, list(sets or ()), variant)


@app.command()
def market(
    instance: Annotated[str | None, typer.Argument(metavar="[INSTANCE]", help="Default: all that are known.")] = None,
) -> int:
    """Show spot discounts and how often spot nodes are taken back."""
    from ui.commands.market import market

    return market(instance)


@app.command()
def schema(*, study: Annotated[bool, typer.Option("--study", help="Of a study file.")] = False) -> None:
    """Print the JSON Schema of a scenario file."""
    from sim.scenario.schema import schema_json
    from sim.study.study import schema_json as study_json

    typer.echo(study_json() if study else schema_json(), nl=False)


@app.command()
def compare(
    sim_run: Annotated[Path, typer.Argument(metavar="SIM_RUN", help="A directory that `trilemma run` saved.")],
    real_run: Annotated[Path, typer.Argument(metavar="REAL_RUN", help="A directory that `trilemma measure` saved.")],
    *,
    json_to: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the comparison as JSON; - for stdout.")
    ] = None,
) -> None:
    """Hold a simulated run against a measured one of the same requests."""
    from ui.commands.compare import compare

    compare(sim_run, real_run, json_to)


@app.command()
def calibrate(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="What `trilemma profile` or `trilemma measure` saved, vllm bench JSON, or a CSV of serving points.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="FILE.yaml", help="Write the calibration here.")],
    name: Annotated[str | None, typer.Option(help="Its name; default the file's.")] = None,
    engine: Annotated[str | None, typer.Option(help="What was measured, with its version.")] = None,
    scenario: Annotated[
        str | None, typer.Option(metavar="SCENARIO", help="How the servers of bench JSON were run and loaded.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Rows of the table; may be repeated.")
    ] = None,
    prior: Annotated[
        str | None, typer.Option(metavar="CALIBRATION", help="An earlier calibration to start from.")
    ] = None,
    holdout: Annotated[
        list[Path] | None,
        typer.Option(metavar="SOURCE", help="A run to predict and score, never to fit; may be repeated."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Fit step times to measurements, with an error card."""
    from ui.commands.calibrate import calibrate

    calibrate(
        sources,
        out=out,
        name=name,
        engine=engine,
        where=where or (),
        prior=prior,
        scenario=scenario,
        holdout=holdout or (),
        quiet=quiet,
    )


@app.command()
def card(
    calibration: Annotated[
        str, typer.Argument(metavar="CALIBRATION", help="A calibration file, or the name of a shipped one.")
    ],
    *,
    out: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write it as a page with plots.")] = None,
) -> None:
    """Show how wrong a calibration is."""
    from ui.commands.card import card

    card(calibration, out)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A directory that `trilemma run` saved.")],
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write it here; default report.html in RUN.")
    ] = None,
) -> None:
    """Write a saved run as one HTML page with charts that opens offline."""
    from ui.commands.report import report

    report(run, out)


@app.command()
def audit(
    *,
    claims: Annotated[
        list[str] | None, typer.Option("--claim", metavar="C13", help="Only this claim; may be repeated.")
    ] = None,
    language: Annotated[Literal["en", "zh"], typer.Option("--lang", help="Of what is printed.")] = "en",
    json_to: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the answers as JSON; - for stdout.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write Markdown and HTML here; default runs/audit for all claims together."),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; default one a core.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Test the claims of the article on the impossible triangle."""
    from ui.commands.audit import audit

    audit(claims or (), language=language, json_to=json_to, out=out, workers=workers, quiet=quiet)


@app.command("ui")
def serve_app(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where to listen.")] = 8501,
    host: Annotated[str, typer.Option(help="Address to listen on; the default is this machine alone.")] = "127.0.0.1",
) -> int:
    """Serve the planner as a page for the browser, until Ctrl-C."""
    from ui.commands.ui import ui

    return ui(port, host)


@data.command("list")
def list_traces() -> None:
    """List the named traces and where they lie."""
    from ui.commands.data import show_traces

    show_traces()


@data.command()
def get(trace: Annotated[str, typer.Argument(metavar="ID", help="A name from `trilemma data list`.")]) -> None:
    """Download a named trace into the cache."""
    from ui.commands.data import get

    get(trace)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (default: the process's own) and return the exit code."""
    try:
        return app(argv, prog_name="trilemma", standalone_mode=False) or 0
    except typer.TyperException as error:
        problem = f"{error.format_message().rstrip('.')} (see trilemma --help)"
    except InputError as error:
        problem = str(error)
    except MemoryError as error:
        problem = f"not enough memory on this machine ({error}): expected fewer replicas, requests or replications"
    except OSError as error:  # files of the user's are dealt with where they are opened
        problem = f"cannot write the output: {error}"
    print("trilemma:", " ".join(problem.split()), file=sys.stderr)
    return BAD_INPUT
