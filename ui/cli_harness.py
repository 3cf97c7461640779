"""The commands that measure the real vLLM; ui.cli has the others. They too import what they need when called."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ui.options import Named, Sets, Variant

app = typer.Typer()

ServeFlags = Annotated[
    list[str] | None,
    typer.Option("--serve-flag", metavar="--FLAG=VALUE", help="A further vllm serve flag; may be repeated."),
]
ReadyTimeout = Annotated[
    float | None,
    typer.Option("--ready-timeout", metavar="SECONDS", min=1, help="How long the server may take to start."),
]


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
    minutes: Annotated[
        float | None, typer.Option(help="Time for all, the engine's start too; default a coarse grid.")
    ] = None,
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
