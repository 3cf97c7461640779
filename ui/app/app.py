"""The frame of the app: navigation, the scenario bar, the strip, the page. Streamlit runs this file for every tab."""

from pathlib import Path
from urllib.parse import urlencode, urlsplit

import streamlit as st

from sim.errors import InputError
from ui.app import bar, frame
from ui.app.scene import Scene

# By file under views/, which is also the path of its URL. (No docstring: Streamlit would print it.)
PAGES = {
    "plan": ("Plan", ":material/straighten:"),
    "triangle": ("Triangle", ":material/change_history:"),
    "replay": ("Replay", ":material/replay:"),
    "resilience": ("Resilience", ":material/shield:"),
    "compare": ("Compare", ":material/compare_arrows:"),
    "calibration": ("Calibration", ":material/rule:"),
    "audit": ("Audit", ":material/fact_check:"),
}

STYLE = """<style>
[data-testid=stMainBlockContainer] {padding-top: 4.25rem; padding-bottom: 3rem}
[data-stale=true] {opacity: 1 !important}
[data-testid=stCaptionContainer] {color: inherit !important; opacity: 0.8}
.js-plotly-plot :is(.xtick text, .ytick text, text[class$=title], .legendtext, .annotation-text)
    {fill: currentcolor !important; fill-opacity: 1 !important}
</style>"""
# A page that refines says so by its progress bar; it need not fade twice a second. Streamlit's greys for captions and
# charts are below a contrast of 4.5.

HERE = Path(__file__).parent


def main() -> None:
    """Draw what every page has, then the page."""
    st.set_page_config("Trilemma", str(HERE / "icon.svg"), layout="wide")
    st.html(STYLE)
    there = [(name, *how) for name, how in PAGES.items() if (HERE / "views" / f"{name}.py").is_file()]
    page = st.navigation(
        [
            st.Page(HERE / "views" / f"{name}.py", title=title, icon=icon, url_path=name, default=name == "plan")
            for name, title, icon in there
        ]
    )
    with st.sidebar:
        try:
            scene = bar.scenario_bar()
        except InputError as error:
            scene, said = None, str(error)
    if scene is None:
        st.title(page.title)
        frame.problem(said)
        st.caption("Change the scenario on the left, or choose another one.")
        return
    if st.session_state.get("scene") is None or st.session_state["scene"].sha256 != scene.sha256:
        st.session_state["every"] = frame.EVERY_S
    st.session_state["scene"] = scene
    frame.strip(scene, link(scene))
    page.run()


def link(scene: Scene) -> str:
    """This page with this scenario and the pins."""
    query = urlencode([*scene.query.items(), *(("pin", one) for one in frame.pinned())])
    return urlsplit(st.context.url or "")._replace(query=query).geturl()


main()
