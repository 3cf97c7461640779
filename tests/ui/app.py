"""The app run without a browser, on a scenario that takes milliseconds."""

import json
import time
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from ui.app import whatif

APP = Path(__file__).parents[2] / "ui" / "app" / "app.py"
PATIENCE_S = 120

SMALL = """schema_version: 1
name: small
model: deepseek-llm-7b
workload:
  kind: synthetic
  num_prompts: 120
  arrivals: {kind: poisson, request_rate: 20}
  lengths:
    kind: separate
    input: {kind: uniform, tokens: 400, range_ratio: 0.5}
    output: {kind: uniform, tokens: 60, range_ratio: 0.5}
engine: {dtype: bfloat16}
fleet:
  - {pool: base, gpu: a100-sxm-80gb, tensor_parallel_size: 1, replicas: 2}
slo: {ttft_ms: 500, tpot_ms: 50, percentile: 90}
run: {seed: 1, replications: 3}
"""


def open_app(text: str = SMALL, page: str = "", **parameters: str) -> AppTest:
    """Open the app on a scenario, as its link would; `page`: a file under views/."""
    app = AppTest.from_file(str(APP), default_timeout=PATIENCE_S)
    for key, value in {"preset": "opened", "scenario": whatif.pack(text), **parameters}.items():
        app.query_params[key] = value
    app.run()
    if page:
        app.switch_page(f"views/{page}.py")
        app.run()
    return app


def settled(app: AppTest) -> AppTest:
    """Wait until all simulations of the page are done."""
    until = time.monotonic() + PATIENCE_S
    while any(button.label == "Cancel" for button in app.button):
        assert time.monotonic() < until, "the page still waits for simulations"
        time.sleep(0.2)
        app.run()
    assert not app.exception, app.exception[0].value
    return app


def charts(app: AppTest) -> list[dict[str, Any]]:
    """The figures of all charts, as Plotly's JSON, in the page's order."""
    return [json.loads(element.proto.spec) for element in app.get("plotly_chart")]


def traces(figure: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A figure's traces by their names."""
    return {trace["name"]: trace for trace in figure["data"]}


def alts(app: AppTest) -> list[str]:
    """What the charts say to those who cannot see them."""
    return [element.proto.alt for element in app.get("plotly_chart")]
