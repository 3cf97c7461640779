"""`trilemma ui`: the browser app, served by this machine alone and asking nobody else for anything."""

import importlib
import socket
from pathlib import Path

from sim.errors import InputError
from ui.app.theme import STREAMLIT

APP = Path(__file__).parents[1] / "app" / "app.py"

_OPTIONS = {
    "browser.gatherUsageStats": False,  # no telemetry
    "server.fileWatcherType": "none",
    "server.headless": True,
    "global.developmentMode": False,
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "global.disableWidgetStateDuplicationWarning": True,  # the bar's defaults are the scenario's, and buttons set it
    "logger.hideWelcomeMessage": True,  # it would ask the internet for this machine's address
    "server.maxUploadSize": 60,
}
"""Streamlit's; sizes in MB."""


def ui(port: int, host: str) -> int:
    """Serve the app until Ctrl-C.

    Raises:
        InputError: Streamlit is not installed, or the port is taken.
    """
    try:
        bootstrap = importlib.import_module("streamlit.web.bootstrap")
        importlib.import_module("plotly")
    except ImportError:
        raise InputError('the app needs streamlit and plotly, found none: pip install "trilemma[ui]"') from None
    _refuse_taken(host, port)
    opening = importlib.import_module("ui.app.opening")
    options = _OPTIONS | STREAMLIT | {"server.address": host, "server.port": port}
    flags = {key.replace(".", "_"): value for key, value in options.items()}
    bootstrap.load_config_options(flags)
    opening.begin()
    print(
        f"Trilemma is at http://{'localhost' if host in {'127.0.0.1', '::1'} else host}:{port} (Ctrl-C ends it)",
        flush=True,
    )
    bootstrap.run(str(APP), False, [], flags)
    return 0


def _refuse_taken(host: str, port: int) -> None:
    try:
        kind, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(kind, socket.SOCK_STREAM) as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(address)
    except OSError as error:
        raise InputError(
            f"--host {host} --port {port}: cannot be listened on ({error.strerror}), "
            "expected a free port of this machine"
        ) from None
