"""The scenario bar: widgets whose values stand in the URL, and the scenario that they make."""

from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import TypeVar, get_args
from urllib.parse import parse_qsl

import streamlit as st

from sim import catalog
from sim.errors import InputError
from sim.scenario.load import load
from sim.scenario.workload import TraceFormat
from sim.shipped import scenario_names, shipped_scenario
from sim.study.evaluation import Design
from ui.app import whatif
from ui.app.jobs import resolve
from ui.app.scene import Scene
from ui.app.store import refuse_paths, safe_name, store
from ui.app.whatif import KEEP, LENGTHS, SLOS, Bar, Data
from ui.app.words import WORDS

T = TypeVar("T", str, int)
OPENED = "opened"
"""The choice of an uploaded scenario."""
DEFAULT = "quickstart"
_MB = 1 << 20
MOST_TRACE_MB = 50
MOST_TRACE_REQUESTS = 100_000
"""Of an uploaded trace, simulated at most."""


def scenario_bar() -> Scene:
    """Draw the bar and return what it says.

    Raises:
        InputError: the scenario cannot be; the bar is drawn all the same.
    """
    for uploaded in ("scenario", "trace"):
        st.session_state.setdefault(uploaded, st.query_params.get(uploaded, ""))
    name = st.selectbox(
        "Scenario", _presets(), key="preset", bind="query-params", on_change=_begin_anew, help="Where to begin."
    )
    problem: InputError | None = None
    try:
        base, trace = _base(name, _code(), _named())
    except InputError as error:
        problem, (base, trace) = error, _base(DEFAULT)
    bar = _widgets(base)
    _open_files()
    if problem is not None or (problem := st.session_state.pop("upload_problem", None)) is not None:
        raise problem
    return _scene(base, bar, trace, _query(name, _code(), _named()))


def _presets() -> list[str]:
    return [*_shipped(), OPENED] if _code() else list(_shipped())


@cache
def _shipped() -> tuple[str, ...]:
    names = [DEFAULT, *(name for name in scenario_names() if name != DEFAULT)]
    variants = {name: load(shipped_scenario(name)).variants for name in names}
    return tuple(one for name in names for one in (name, *(f"{name}/{variant}" for variant in variants[name])))


def _base(name: str, code: str = "", named: str = "") -> tuple[Data, Path | None]:
    """The scenario as opened, and the uploaded trace that it rests on.

    Args:
        name: a choice of `_presets`.
        code: of the uploaded scenario.
        named: "FORMAT:HASH/NAME" of the uploaded trace.
    """
    trace = _trace(named)
    if name == OPENED:
        data = _stated(store().scenario(whatif.unpack(code), trace), None)
        refuse_paths(data, trace)
    else:
        shipped, _, variant = name.partition("/")
        data = _stated(shipped_scenario(shipped), variant or None)
    if trace is not None:
        data["workload"] = {
            "kind": "trace",
            "path": trace.name,
            "format": named.partition(":")[0],
            "max_requests": MOST_TRACE_REQUESTS,
        }
    return data, trace


def _stated(path: Path, variant: str | None) -> Data:
    try:
        return load(path, (), variant).scenario.model_dump(mode="json", exclude_unset=True)
    except InputError as error:
        raise InputError(_without_path(error, path)) from None


def _without_path(error: InputError, path: Path) -> str:
    """The sentence, with "scenario" for a file of the app's own."""
    return str(error).replace(str(path), "scenario")


def _widgets(base: Data) -> Bar:
    was = whatif.bar_of(base)
    trace = base["workload"]["kind"] == "trace"
    gpus = [one for one in catalog.gpu_ids() if not one.startswith("cpu") or one == was.gpu]
    model = _choice("Model", "model", _with(was.model, catalog.model_ids()), was.model, "Catalogue id.")
    gpu = _choice("GPU", "gpu", _with(was.gpu, gpus), was.gpu, "Catalogue id; colours on all pages go by it.")
    left, right = st.columns(2)
    with left:
        tp = _choice("Tensor parallel", "tp", sorted({1, 2, 4, 8, 16, was.tp}), was.tp, "`--tensor-parallel-size`")
    with right:
        replicas = st.number_input(
            "Replicas", 1, 1000, max(was.replicas, 1), key="replicas", bind="query-params", help="Engines of this kind."
        )
    spot = st.slider("On spot, %", 0, 100, was.spot, 5, key="spot", bind="query-params", help=WORDS["spot"])
    rate = st.number_input(
        whatif.rate_label(base),
        0.0,
        1e6,
        was.rate,
        0.5,
        format="%g",
        key="rate",
        bind="query-params",
        help="How much traffic comes. The scenario's other times and counts stay.",
    )
    lengths = _choice(
        "Lengths, tokens in/out",
        "lengths",
        [KEEP, *LENGTHS],
        KEEP,
        "Azure's conversation and code traces of 2023, or InferenceMAX's cells; a trace has its own.",
        disabled=trace,
    )
    slo = _choice(
        "SLO, TTFT/TPOT in ms",
        "slo",
        [KEEP, *SLOS],
        KEEP,
        "Limits of MLPerf Inference. The percentage that must keep them stays the scenario's.",
    )
    return Bar(model, gpu, tp, replicas, spot, rate, KEEP if trace else lengths, slo)


def _choice(label: str, key: str, options: list[T], default: T, words: str, *, disabled: bool = False) -> T:
    return st.selectbox(
        label, options, options.index(default), key=key, bind="query-params", help=words, disabled=disabled
    )


def _with(mine: str, known: "list[str] | tuple[str, ...]") -> list[str]:
    return [*known] if mine in known else [mine, *known]


def _scene(base: Data, bar: Bar, trace: Path | None, query: dict[str, str]) -> Scene:
    data = whatif.applied(base, bar)
    text = whatif.to_yaml(data)
    source = store().scenario(text, trace)
    try:
        loaded = resolve(Design(str(source)))
    except InputError as error:
        raise InputError(_without_path(error, source)) from None
    return Scene(base, data, bar, text, source, loaded, query | whatif.changes(base, bar))


def _query(name: str, code: str, named: str) -> dict[str, str]:
    """Parameters that say what was opened."""
    query = {} if name == DEFAULT else {"preset": name}
    if name == OPENED:
        query["scenario"] = code
    return query | ({"trace": named} if named else {})


def _begin_anew() -> None:
    """Another scenario is opened: the bar begins with what that says."""
    try:
        base, _ = _base(st.session_state["preset"], _code(), _named())
    except InputError:  # said when the page is drawn
        return
    for key, value in asdict(whatif.bar_of(base)).items():
        st.session_state[key] = value


def _code() -> str:
    """The uploaded scenario."""
    return str(st.session_state.get("scenario") or "")


def _named() -> str:
    """The uploaded trace."""
    return str(st.session_state.get("trace") or "")


def _trace(named: str) -> Path | None:
    if not named:
        return None
    found = store().find_trace(named.partition(":")[2])
    if found is None or named.partition(":")[0] not in get_args(TraceFormat):
        raise InputError("The link rests on a trace that this server does not have: upload the trace again.")
    return found


def _open_files() -> None:
    with st.expander("Open a file"):
        st.file_uploader(
            "Scenario, YAML", type=["yaml", "yml"], key="scenario_file", on_change=_take_scenario, max_upload_size=1
        )
        st.selectbox("Format of the trace", get_args(TraceFormat), key="trace_format")
        st.file_uploader(
            f"Trace, at most {MOST_TRACE_MB} MB",
            type=["csv", "gz", "json", "jsonl"],
            key="trace_file",
            on_change=_take_trace,
            max_upload_size=MOST_TRACE_MB,
        )
        _uploaded("Scenario as links carry it", "scenario")
        _uploaded("Trace, on this server", "trace")
        if _named():
            st.button("Back to the scenario's own traffic", on_click=_drop_trace)


def _uploaded(label: str, key: str) -> None:
    st.text_input(label, key=key, bind="query-params", on_change=_begin_anew)


def _take_scenario() -> None:
    file = st.session_state.get("scenario_file")
    if file is None:
        return
    try:
        text = _text(file.getvalue())
        trace = _trace(_named())
        data = _stated(store().scenario(text, trace), None)
        refuse_paths(data, trace)
        resolve(Design(str(store().scenario(text, trace))))
    except InputError as error:
        st.session_state["upload_problem"] = error
        return
    st.session_state["scenario"] = whatif.pack(text)
    st.session_state["preset"] = OPENED
    _begin_anew()


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("The file is no UTF-8 text, expected a scenario in YAML.") from None
    if len(text) > whatif.MAX_TEXT:
        raise InputError(f"The file has {len(text):,} characters, expected at most {whatif.MAX_TEXT:,}.")
    return text


def _take_trace() -> None:
    file = st.session_state.get("trace_file")
    if file is None:
        return
    content = file.getvalue()
    if len(content) > MOST_TRACE_MB * _MB:
        st.session_state["upload_problem"] = InputError(
            f"The trace has {len(content) / _MB:,.0f} MB, expected at most {MOST_TRACE_MB}, the app's limit."
        )
        return
    path = store().put(content, safe_name(file.name))
    digest = path.parent.name.removeprefix("trace-")
    st.session_state["trace"] = f"{st.session_state['trace_format']}:{digest}/{path.name}"
    _begin_anew()


def _drop_trace() -> None:
    st.session_state["trace"] = ""
    _begin_anew()


def scene_of(link: str) -> Scene:
    """The scenario of a link, read from its parameters alone, as for a pin.

    Raises:
        InputError: there is none such, or it cannot be.
    """
    query = dict(parse_qsl(link))
    name = query.get("preset", DEFAULT)
    code, named = query.get("scenario", ""), query.get("trace", "")
    base, trace = _base(name, code, named)
    was = whatif.bar_of(base)
    try:
        changed = {key: type(getattr(was, key))(query[key]) for key in whatif.KEYS if key in query}
    except ValueError:
        raise InputError(f"The link says {link[:100]}: expected numbers where numbers stand.") from None
    bar = replace(was, **changed)
    if bar.lengths not in (KEEP, *LENGTHS) or bar.slo not in (KEEP, *SLOS):
        raise InputError(f"The link asks for lengths {bar.lengths!r} and SLO {bar.slo!r}: expected known ones.")
    return _scene(base, bar, trace, _query(name, code, named))
