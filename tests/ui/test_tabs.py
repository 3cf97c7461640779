"""Ten tabs of one browser at once, each with a scenario of its own: none errs, and none sees another's."""

from tests.ui.app import SMALL
from tests.ui.browser import MAIN, PATIENCE_MS, small, watched

QUICK = "".join(line for line in SMALL.splitlines(keepends=True) if not line.startswith("slo:"))
QUICK = QUICK.replace("num_prompts: 120", "num_prompts: 30").replace("replications: 3", "replications: 1")
A100 = 4.1171
"""USD a GPU-hour on demand, prices.yaml."""


def _headline(replicas: int) -> str:
    several = "" if replicas == 1 else "s"
    return f"{replicas} replica{several} of 1 x A100: ${replicas * A100:.2f} an hour"


def test_ten_tabs_at_once(chromium, server) -> None:
    with chromium.new_context() as browser:
        tabs = [watched(browser.new_page()) for _ in range(10)]
        for number, tab in enumerate(tabs, 1):
            text = QUICK.replace("name: small", f"name: tab-{number}").replace("replicas: 2", f"replicas: {number}")
            tab.page.goto(f"{server}/?{small(text)}")
        for number, tab in enumerate(tabs, 1):
            tab.page.get_by_role("heading", name=_headline(number)).wait_for(timeout=PATIENCE_MS)
        first = tabs[0].page
        first.get_by_role("spinbutton", name="Replicas").fill("12")
        first.keyboard.press("Enter")
        first.get_by_role("heading", name=_headline(12)).wait_for(timeout=PATIENCE_MS)
        for number, tab in enumerate(tabs[1:], 2):
            assert tab.headline().startswith(_headline(number))
            assert f"tab-{number} on deepseek-llm-7b" in tab.page.locator(MAIN).inner_text()
            assert tab.page.get_by_role("spinbutton", name="Replicas").input_value() == str(number)
        for tab in tabs:
            tab.is_clean()
