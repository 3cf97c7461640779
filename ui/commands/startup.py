"""`trilemma startup`: how long a server takes to serve again."""

import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from harness import realrun
from harness.flags import serve_flags
from harness.server import READY_TIMEOUT_S, command
from harness.startup import Starts, Startup, report, start
from sim.scenario.load import load
from sim.shipped import find_scenario
from ui.commands.progress import progress

MEANING = {
    "process_s": "until the engine begins (Python, imports)",
    "weights_s": "weights read",
    "model_s": "model loaded, weights included",
    "compile_s": "torch.compile",
    "graph_capture_s": "CUDA graphs captured",
    "engine_init_s": "profile run, KV cache, compilation, graphs",
    "healthy_s": "until /health answers",
    "first_token_s": "until the first token",
}
_PORT_SHOWN = 8000


def run(
    name: str,
    sets: Sequence[str],
    variant: str | None,
    *,
    out: Path | None,
    serve_flag: Sequence[str],
    repeats: int,
    ready_timeout_s: float | None,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Start and stop the server `repeats` times; print the stages, save startup.json and the servers' logs.

    Raises:
        InputError: the user's mistake, or a server that does not start, in one sentence.
    """
    loaded = load(find_scenario(name), sets, variant)
    if dry_run:
        argv = command(serve_flags(loaded.scenario, loaded.base_dir, serve_flag), _PORT_SHOWN)
        print(f"{repeats} times: {shlex.join(argv)}")
        return
    target = out or realrun.free_name(Path("runs") / f"startup-{loaded.scenario.name}")
    realrun.check_target(target)
    made: list[Startup] = []
    with realrun.whole(target) as draft, progress("starts", quiet=quiet) as step:
        for number in range(repeats):
            step(number, repeats)
            log = target.with_name(f"{target.name}.server-{number}.log")  # stays there if the server does not start
            if not quiet:
                print(f"starting the server, its log is {log}", file=sys.stderr)
            one, version, flags = start(loaded, serve_flag, log, ready_timeout_s or READY_TIMEOUT_S)
            made.append(one)
            shutil.move(log, draft / f"server-{number}.log")
        step(repeats, repeats)
        data = report(loaded, Starts(version, flags, tuple(made)))
        (draft / "startup.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    for stage, what in MEANING.items():
        seconds = data["median"][stage]
        print(f"{what:<45}{'-' if seconds is None else f'{seconds:.1f} s':>10}")
    print(f"Saved in {target}")
