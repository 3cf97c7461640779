"""What every page has: the strip above it, and how it asks for simulations."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from sim.errors import InputError
from sim.scenario.steptime import Calibrated
from sim.study.evaluation import Evaluation
from ui.app.jobs import Answer, Task, workshop
from ui.app.scene import Scene
from ui.app.words import WORDS, plain
from ui.vllm_serve import serve_command

EVERY_S = 0.5
"""How often a page that waits looks for answers; less often where many wait, since drawing takes the server's time."""
MOST_PINS = 4


def current() -> Scene:
    """The what-if of this run of the page."""
    scene: Scene = st.session_state["scene"]
    return scene


def session() -> str:
    """The browser tab."""
    context = get_script_run_ctx()
    return context.session_id if context else "none"


def ask(part: str, tasks: Sequence[Task]) -> list[Answer]:
    """What is known of the tasks' answers now; what is not known is worked on, unless the user has cancelled."""
    own = str(current().source)  # a file of the app's, of which the user knows nothing
    answers = workshop().ask(session(), part, tasks, start=not cancelled())
    return [replace(one, problem=one.problem.replace(own, "scenario")) if one.problem else one for one in answers]


def cancelled() -> bool:
    """Whether the user broke off the simulations of this very scenario."""
    return bool(st.session_state.get("cancelled") == current().sha256)


def live(draw: Callable[[], bool]) -> None:
    """Draw a part of the page now, and again and again until it says that all its answers are there.

    Args:
        draw: draws, and returns whether it still waits for answers.
    """
    every = st.session_state.get("every", EVERY_S)

    @st.fragment(run_every=None if cancelled() else every)
    def part() -> None:
        wished = EVERY_S * (1 + workshop().waiting() // 3) if draw() else None
        if wished != st.session_state.get("every", EVERY_S):
            st.session_state["every"] = wished
            st.rerun()

    part()


def progress(answers: Sequence[Answer], what: str) -> bool:
    """Say how far the simulations are, with Cancel; returns whether some are still to come."""
    done = sum(one.state in {"done", "failed"} for one in answers)
    open_ = done < len(answers)
    with st.container(height=64, border=False):
        if open_ and cancelled():
            left, right = st.columns([5, 1])
            left.caption(f"Cancelled after {done} of {len(answers)} {what}; what is shown is coarse or lacks some.")
            right.button("Go on", on_click=_go_on, width="stretch", key=f"go_on_{what}")
        elif open_:
            left, right = st.columns([5, 1])
            words = "" if workshop().ready else " (loading the simulator; the first time it is compiled, some 30 s)"
            left.progress(done / len(answers), f"Refining: {done} of {len(answers)} {what}{words}")
            right.button("Cancel", on_click=_cancel, width="stretch", key=f"cancel_{what}")
        else:
            st.caption(f"All {len(answers)} {what} done.")
    return open_ and not cancelled()


def _cancel() -> None:
    st.session_state["cancelled"] = current().sha256


def _go_on() -> None:
    st.session_state["cancelled"] = None
    st.session_state["every"] = EVERY_S


def problem(words: str) -> None:
    """A mistake, in a sentence."""
    st.error(plain(words), icon=":material/error:")


def badge(scene: Scene) -> None:
    """Where the step times come from."""
    step_time = scene.loaded.scenario.step_time
    label, colour = "roofline only", "orange"
    if isinstance(step_time, Calibrated):
        label, colour = f"calibrated: {step_time.calibration}", "green"
    elif step_time.kind not in {"roofline", "split"}:
        label, colour = step_time.kind, "green"
    outside = st.session_state.get("outside", {}).get(scene.sha256)
    if outside:
        label, colour = f"{label}, outside what was measured", "red"
    st.badge(plain(label), color=colour, help=WORDS["step_time"])  # type: ignore[arg-type]


def note_hull(scene: Scene, one: Evaluation) -> None:
    """Remember whether the scenario's own evaluation says that step times are extrapolated."""
    beyond = any("extrapolated" in warning for warning in one.summary["warnings"])
    st.session_state.setdefault("outside", {})[scene.sha256] = beyond


def vllm_lines(scene: Scene) -> str:
    """A `vllm serve` line for each pool's replicas, to paste into a shell."""
    lines = []
    for pool in scene.loaded.scenario.fleet:
        try:
            alone = scene.loaded.scenario.model_copy(update={"fleet": (pool,)})
            command = serve_command(alone, scene.loaded.base_dir)
        except InputError as error:
            lines.append(f"# pool {pool.pool}: {error}")
            continue
        gpus = pool.tensor_parallel_size * pool.pipeline_parallel_size
        lines.append(f"# pool {pool.pool}: {pool.replicas} times, each on {gpus} x {pool.gpu}")
        lines.append(command)
    return "\n".join(lines)


def strip(scene: Scene, link: str) -> None:
    """The hash, where step times come from, and what can be done with the scenario."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(scene.sha256[:12], color="gray", icon=":material/fingerprint:", help=WORDS["hash"])
        badge(scene)
        with st.popover("Copy link", icon=":material/link:"):
            st.caption("This page with this scenario; opens to the same numbers.")
            st.code(link, language=None, wrap_lines=True)
        st.download_button(
            "YAML",
            scene.text,
            f"{scene.name}.yaml",
            "application/yaml",
            on_click="ignore",
            icon=":material/download:",
            help="For `trilemma run`; resolves to the same hash.",
        )
        with st.popover("vllm serve", icon=":material/terminal:"):
            st.code(vllm_lines(scene), language="bash", wrap_lines=True)
        pin_button("Pin", scene.link())
        pins = pinned()
        with st.popover(f"Pins: {len(pins)}"):
            st.multiselect(
                f"Scenarios for Compare, at most {MOST_PINS}",
                pins,
                key="pin",
                bind="query-params",
                max_selections=MOST_PINS,
                help="Each is what its link has behind the question mark.",
            )


def use(gpu: str, tp: int, spot: int, replicas: int) -> None:
    """Set the scenario bar to another fleet."""
    for key, value in {"gpu": gpu, "tp": tp, "spot": spot, "replicas": replicas}.items():
        st.session_state[key] = value


def pinned() -> list[str]:
    """Pinned scenarios, each as what follows the "?" of its link."""
    pins = st.session_state.get("pin")
    return list(st.query_params.get_all("pin") if pins is None else pins)[:MOST_PINS]


def pin(link: str) -> None:
    """Keep a scenario for Compare; for callbacks."""
    if link not in pinned():
        st.session_state["pin"] = [*pinned(), link]


def unpin(link: str) -> None:
    """Keep it no longer; for callbacks."""
    st.session_state["pin"] = [one for one in pinned() if one != link]


def pin_button(label: str, link: str) -> None:
    """A button that keeps a scenario for Compare."""
    pins = pinned()
    st.button(
        label,
        icon=":material/keep:",
        on_click=pin,
        args=(link,),
        disabled=link in pins or len(pins) >= MOST_PINS,
        help=f"Keep it for Compare; at most {MOST_PINS}.",
    )
