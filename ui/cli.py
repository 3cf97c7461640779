"""The console command. Commands import what they need when called, so that `trilemma --help` is quick.

Exit codes: 0 fine, 2 usage or bad input (one sentence on stderr), 3 SLO missed with --fail-on-slo, 130 Ctrl-C.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sim.errors import InputError

BAD_INPUT = 2

app = typer.Typer(
    help="How many of which GPUs serve this DeepSeek traffic on vLLM within its SLO, and at what cost.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data = typer.Typer(help="Public traces: list, get.", rich_markup_mode=None)
app.add_typer(data, name="data")

Named = Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario file, or the name of a shipped one.")]

Variant = Annotated[
    str | None, typer.Option("--scenario", metavar="NAME", help="A named scenario of the file's `scenarios:`.")
]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Set one value; may be repeated.")
]


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
def schema() -> None:
    """Print the JSON Schema of a scenario file."""
    from sim.scenario.schema import schema_json

    typer.echo(schema_json(), nl=False)


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
