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
ServeFlags = Annotated[
    list[str] | None,
    typer.Option("--serve-flag", metavar="--FLAG=VALUE", help="A further vllm serve flag; may be repeated."),
]
ReadyTimeout = Annotated[
    float | None,
    typer.Option("--ready-timeout", metavar="SECONDS", min=1, help="How long the server may take to start."),
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


@app.command()
def measure(
    scenario: Named,
    *,
    variant: Variant = None,
    sets: Sets = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Save the run here; default runs/measured-NAME-N.")
    ] = None,
    base_url: Annotated[str | None, typer.Option(metavar="URL", help="Use a server that runs already.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Of the server; default a free one.")] = None,
    serve_flag: ServeFlags = None,
    replication: Annotated[int, typer.Option(min=0, help="Which of the scenario's replications to send.")] = 0,
    vllm_bench: Annotated[bool, typer.Option("--vllm-bench", help="Let `vllm bench serve` send the load.")] = False,
    ready_timeout: ReadyTimeout = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be run, run nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> int:
    """Start vLLM as the scenario says, send it the scenario's requests, and save what came of it."""
    from ui.commands.measure import run

    return run(
        scenario,
        list(sets or ()),
        variant,
        out=out,
        base_url=base_url,
        port=port,
        serve_flag=serve_flag or (),
        replication=replication,
        vllm_bench=vllm_bench,
        ready_timeout_s=ready_timeout,
        dry_run=dry_run,
        quiet=quiet,
    )


@app.command()
def startup(
    scenario: Named,
    *,
    variant: Variant = None,
    sets: Sets = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Save the result here; default runs/startup-NAME.")
    ] = None,
    serve_flag: ServeFlags = None,
    repeats: Annotated[int, typer.Option(min=1, help="Starts.")] = 1,
    ready_timeout: ReadyTimeout = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be run, run nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Time the start-up of vLLM, stage by stage to the first token."""
    from ui.commands.startup import run

    run(
        scenario,
        list(sets or ()),
        variant,
        out=out,
        serve_flag=serve_flag or (),
        repeats=repeats,
        ready_timeout_s=ready_timeout,
        dry_run=dry_run,
        quiet=quiet,
    )


@app.command()
def collectives(
    *,
    gpus: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="Groups of so many GPUs; default all that there are.")
    ] = None,
    ranks: Annotated[
        int | None, typer.Option(min=2, max=1024, help="Processes on the CPU instead; 2 where there are no GPUs.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Save it here; default runs/collectives.")] = None,
    largest: Annotated[int | None, typer.Option(min=1024, help="Largest message, bytes.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be measured, measure nothing.")] = False,
) -> None:
    """Time all-reduce, all-gather, reduce-scatter and all-to-all by message size (NCCL, or gloo on a CPU)."""
    from ui.commands.collectives import run

    run(gpus, ranks, out=out, largest=largest, dry_run=dry_run)


@app.command()
def tiny_model(
    kind: Annotated[Literal["llm", "moe", "v2", "v3"], typer.Argument(help="Which architecture.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write it.")],
) -> None:
    """Make a tiny model of one of DeepSeek's architectures, to be served with --load-format=dummy."""
    from harness.tiny import make_tiny

    typer.echo(make_tiny(kind, folder))


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
def campaign(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="A plan file, or the name of a shipped one.")],
    *,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the runs lie, finished ones too; default campaigns/<name>."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print every command and its time, run none.")] = False,
    job: Annotated[
        Literal["slurm", "kubernetes", "skypilot", "ray"] | None,
        typer.Option(help="Print a job that runs the plan on a GPU node instead."),
    ] = None,
) -> int:
    """Make all measurements of a plan; started again it goes on where it was stopped."""
    from ui.commands.campaign import campaign, show_job

    return campaign(plan, out, dry_run=dry_run) if job is None else show_job(job, plan)


@app.command()
def profile(
    scenario: Named,
    *,
    variant: Variant = None,
    sets: Sets = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the profile lies, an unfinished one too; default profiles/<name>."),
    ] = None,
    serve_flags: Annotated[
        list[str] | None,
        typer.Option("--serve-flag", metavar="FLAG", help="A further flag of vllm serve; may be repeated."),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Time for all; default a coarse grid only.")] = None,
    repeats: Annotated[int, typer.Option(min=3, max=1000, help="How often each step is measured.")] = 3,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run, run nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> int:
    """Measure single steps of the real engine, in this process."""
    from ui.commands.profile import run_profile

    return run_profile(
        scenario,
        list(sets or ()),
        variant,
        out=out,
        serve_flags=serve_flags or (),
        minutes=minutes,
        repeats=repeats,
        dry_run=dry_run,
        quiet=quiet,
    )


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
