"""`trilemma ui`: what it asks of Streamlit, and its refusals."""

import socket
import sys

import pytest
from streamlit.web import bootstrap

from ui.app import opening
from ui.cli import main


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What Streamlit is told, instead of a server."""
    told: dict[str, object] = {}
    monkeypatch.setattr(bootstrap, "load_config_options", told.update)
    monkeypatch.setattr(bootstrap, "run", lambda *_: None)
    monkeypatch.setattr(opening, "begin", lambda: None)
    return told


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_listens_on_this_machine_alone_and_reports_to_nobody(asked, capsys) -> None:
    port = _free_port()
    assert main(["ui", "--port", str(port)]) == 0
    assert (asked["server_address"], asked["server_port"]) == ("127.0.0.1", port)
    assert asked["browser_gatherUsageStats"] is False
    assert f"http://localhost:{port}" in capsys.readouterr().out


def test_another_address_only_when_told(asked) -> None:
    assert main(["ui", "--port", str(_free_port()), "--host", "0.0.0.0"]) == 0
    assert asked["server_address"] == "0.0.0.0"


def test_a_taken_port_is_a_sentence(asked, capsys) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["ui", "--port", str(taken.getsockname()[1])]) == 2
    assert "expected a free port of this machine" in capsys.readouterr().err
    assert not asked


@pytest.mark.parametrize("missing", ["streamlit.web.bootstrap", "plotly"])
def test_without_the_extra_it_says_what_to_install(asked, missing, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["ui"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said == ['trilemma: the app needs streamlit and plotly, found none: pip install "trilemma[ui]"']
