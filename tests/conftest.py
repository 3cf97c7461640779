"""What holds for every test: no deadlines; under CI none is skipped but for want of a GPU or a browser to install."""

import os
import signal

import pytest
from hypothesis import settings

from tests.no_chromium import NO_CHROMIUM

settings.register_profile(
    "untimed", deadline=None, parent=settings.get_profile("ci" if "CI" in os.environ else "default")
)
settings.load_profile("untimed")

# A job in the background of a shell ignores SIGINT, and so would the processes that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _skipped(config: pytest.Config) -> list[pytest.TestReport | pytest.CollectReport]:
    return config.pluginmanager.getplugin("terminalreporter").stats.get("skipped", [])


def _wrongly_skipped(config: pytest.Config) -> list[pytest.TestReport | pytest.CollectReport]:
    if "CI" not in os.environ:
        return []
    return [
        report
        for report in _skipped(config)
        if "gpu" not in getattr(report, "keywords", {}) and NO_CHROMIUM not in str(report.longrepr)
    ]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if hasattr(session.config, "workerinput"):
        return
    if _wrongly_skipped(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    elif exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and _skipped(session.config):
        session.exitstatus = pytest.ExitCode.OK  # all of tests/engine, where the real engine cannot be installed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in _wrongly_skipped(terminalreporter.config):
        terminalreporter.write_line(f"SKIPPED UNDER CI, which counts as failed: {report.nodeid}", red=True)
