"""The scenario bar: what stands in the URL, what is downloaded, and what is refused."""

from pathlib import Path

import pytest
import yaml
from streamlit.testing.v1 import AppTest

from sim.scenario.load import load
from sim.shipped import shipped_scenario
from tests.ui.app import APP, PATIENCE_S, SMALL, open_app
from ui.app import whatif

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"


def _page(**parameters: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=PATIENCE_S)
    for key, value in parameters.items():
        app.query_params[key] = value
    return app.run()


def _yaml(app: AppTest) -> str:
    return app.session_state["scene"].text


def _upload(app: AppTest, name: str, content: bytes) -> AppTest:
    return app.file_uploader(key="scenario_file").upload(name, content, "application/yaml").run()


def test_opens_on_the_quickstart_unchanged(tmp_path: Path) -> None:
    app = _page()
    (tmp_path / "again.yaml").write_text(_yaml(app))
    assert load(tmp_path / "again.yaml").sha256 == load(shipped_scenario("quickstart")).sha256


@pytest.mark.parametrize(
    ("parameters", "key", "value"),
    [
        ({"model": "deepseek-v2-lite"}, "model", "deepseek-v2-lite"),
        ({"gpu": "h200-sxm-141gb"}, "fleet.0.gpu", "h200-sxm-141gb"),
        ({"tp": "8"}, "fleet.0.tensor_parallel_size", 8),
        ({"replicas": "7"}, "fleet.0.replicas", 7),
        ({"rate": "7.5"}, "workload.arrivals.request_rate", 7.5),
        ({"slo": "interactive 450/40"}, "slo.ttft_ms", 450.0),
        ({"lengths": "8k/1k"}, "workload.lengths.input.tokens", 8192),
        ({"spot": "100"}, "fleet.0.market", "spot"),
        ({"preset": "azure-conv/r1-h200"}, "model", "deepseek-r1"),
        ({"preset": "azure-conv", "rate": "10"}, "workload.rate_scale", 10.0),
    ],
)
def test_every_widget_is_in_the_url_and_in_the_yaml(parameters: dict[str, str], key: str, value: object) -> None:
    app = _page(**parameters)
    assert not app.exception
    found = yaml.safe_load(_yaml(app))
    for step in key.split("."):
        found = found[int(step) if step.isdecimal() else step]
    assert found == value
    assert dict(app.session_state["scene"].query) == parameters


def test_yaml_resolves_to_the_hash_that_the_page_shows(tmp_path: Path) -> None:
    app = _page(spot="50", rate="4", gpu="h200-sxm-141gb", tp="2", slo="reasoning 2000/80")
    (tmp_path / "mine.yaml").write_text(_yaml(app))
    loaded = load(tmp_path / "mine.yaml")
    assert f"fingerprint: {loaded.sha256[:12]}" in app.markdown[0].value
    assert [(pool.market, pool.replicas) for pool in loaded.scenario.fleet] == [("on_demand", 1), ("spot", 1)]


def test_another_scenario_begins_with_its_own_settings() -> None:
    app = _page(replicas="5", rate="9")
    app.selectbox(key="preset").set_value("mooncake").run()
    assert app.number_input(key="replicas").value == 8
    assert app.selectbox(key="gpu").value == "h200-sxm-141gb"
    assert dict(app.session_state["scene"].query) == {"preset": "mooncake"}


def test_an_uploaded_scenario_goes_into_the_link() -> None:
    app = _upload(_page(replicas="5"), "small.yaml", SMALL.encode())
    assert app.selectbox(key="preset").value == "opened"
    assert app.number_input(key="replicas").value == 2
    query = dict(app.session_state["scene"].query)
    again = _page(**query)
    assert again.session_state["scene"].sha256 == app.session_state["scene"].sha256


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (BOMB.encode(), "YAML anchor or alias"),
        (b"x" * 200_000, "expected at most 100,000"),
        (b"\xff\xfe\x00", "no UTF-8 text"),
        (b"- 1\n- 2\n", "expected the keys of a scenario"),
        (b"[" * 40_000, "nested more than 32 deep"),
        (b"!!python/object/apply:os.system [id]", "expected a plain value"),
        (SMALL.replace("seed: 1", f"seed: {'9' * 6000}").encode(), "expected one of 64 bits"),
        (SMALL.replace("request_rate: 20", "request_rate: .nan").encode(), "expected a finite number"),
        (SMALL.replace("num_prompts: 120", "num_prompts: 1000000000").encode(), "num_prompts"),
        (SMALL.replace("num_prompts: 120", "num_prompts: 90000000").encode(), "the app's limit"),
        (SMALL.replace("replicas: 2", "replicas: 9999").encode(), "the app's limit"),
        (SMALL.replace("name: small", "name: <img src=x onerror=alert(1)>").encode(), "name: found"),
        (SMALL.replace("deepseek-llm-7b", "/etc/passwd").encode(), "found the file"),
        (SMALL.replace("deepseek-llm-7b", "../config.json").encode(), "found the file"),
    ],
)
def test_a_hostile_upload_is_refused_in_a_sentence(content: bytes, sentence: str) -> None:
    app = _upload(_page(), "bad.yaml", content)
    assert not app.exception
    assert sentence in app.error[0].value.replace("\\", "")
    assert app.selectbox(key="preset").value == "quickstart"
    app.run()
    assert app.session_state["scene"].name == "quickstart"


def test_a_trace_path_in_a_link_is_refused() -> None:
    scenario = yaml.safe_load(SMALL)
    scenario["workload"] = {"kind": "trace", "path": "/etc/passwd", "format": "csv"}
    app = open_app(yaml.safe_dump(scenario))
    assert "found the file" in app.error[0].value


def test_zero_rate_is_a_sentence() -> None:
    app = _page(rate="0")
    assert "At a rate of 0 nothing is asked of the fleet" in app.error[0].value.replace("\\", "")


def test_a_description_is_shown_as_it_is() -> None:
    app = open_app(SMALL + "description: '![x](http://evil.example/a.png) <script>alert(1)</script>'\n")
    assert not app.error
    assert not any("<script>" in text.value or "](http" in text.value for text in app.markdown)


@pytest.mark.parametrize("code", ["x", "eJwDAAAAAAE", "A" * 400, "%%%"])
def test_a_damaged_link_is_a_sentence(code: str) -> None:
    app = _page(preset="opened", scenario=code)
    assert not app.exception
    assert app.error[0].value.startswith("The link's scenario") or "expected the keys" in app.error[0].value


def test_unknown_values_in_a_link_are_left_out() -> None:
    app = _page(gpu="nonsense", replicas="-4", tp="3", preset="none")
    assert app.session_state["scene"].sha256 == load(shipped_scenario("quickstart")).sha256


def test_vllm_line_and_link_of_the_strip() -> None:
    app = _page(tp="8", replicas="3")
    link, command = (block.value for block in app.code)
    assert link.endswith("?tp=8&replicas=3")
    assert "vllm serve deepseek-ai/deepseek-llm-67b" in command.lower()
    assert "--tensor-parallel-size 8" in command
    assert "3 times, each on 8 x h100-sxm-80gb" in command


def test_pins_stand_in_the_link_and_come_back() -> None:
    app = _page(replicas="3")
    next(button for button in app.button if button.label == "Pin").click().run()
    assert app.multiselect(key="pin").value == ["replicas=3"]
    assert app.code[0].value.endswith("?replicas=3&pin=replicas%3D3")
    again = _page(pin="replicas=3")
    assert again.multiselect(key="pin").value == ["replicas=3"]


def test_uploaded_trace_is_the_traffic_and_its_yaml_names_it() -> None:
    rows = "".join(f"{second / 10},{400},{40}\n" for second in range(40))
    app = _page()
    app.selectbox(key="trace_format").set_value("csv").run()
    content = f"arrival_s,input_tokens,output_tokens\n{rows}".encode()
    app.file_uploader(key="trace_file").upload("my trace.csv", content, "text/csv").run()
    workload = yaml.safe_load(_yaml(app))["workload"]
    assert workload == {"kind": "trace", "path": "my_trace.csv", "format": "csv", "max_requests": 100_000}
    again = _page(**dict(app.session_state["scene"].query))
    assert again.session_state["scene"].sha256 == app.session_state["scene"].sha256


def test_a_trace_that_the_server_lacks_is_a_sentence() -> None:
    app = _page(trace="csv:0123456789abcdef/x.csv")
    assert "upload the trace again" in app.error[0].value


def test_a_bomb_in_a_link_is_refused() -> None:
    assert "longer than" in _page(preset="opened", scenario=whatif.pack("a" * 5_000_000)).error[0].value
