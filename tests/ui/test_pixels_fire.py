"""Resilience, Compare and Calibration as a browser shows them: three widths, light and dark; and their links."""

from urllib.parse import urlencode

import pytest
import yaml

from tests.ui import looks
from tests.ui.app import SMALL
from tests.ui.browser import SIZES, agree, open_tab, scrolls_sideways, small, unlike_golden
from ui.app import whatif

FIRE = yaml.safe_load(SMALL)
FIRE["workload"] |= {"num_prompts": 900, "arrivals": {"kind": "poisson", "request_rate": 5}}
FIRE["slo"]["availability"] = 99
FIRE["fleet"][0] |= {"replicas": 9}
FIRE = yaml.safe_dump(FIRE)

OPENED = {"preset": "opened", "scenario": whatif.pack(SMALL)}
PINS = [urlencode(OPENED | {"replicas": 1}), urlencode(OPENED | {"gpu": "l40s-48gb", "spot": 100})]

PATHS = {
    "resilience": f"resilience?{small(FIRE, resilience_drill='replica crash')}",
    "compare": f"compare?{small()}&{urlencode([('pin', pin) for pin in PINS])}",
    "calibration": f"calibration?{small(calibration_name='h200-vllm-fp8', calibration_metric='TPOT')}",
}


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("page", PATHS)
def test_looks_as_it_should(chromium, server, page, width, height):
    with open_tab(chromium, f"{server}/{PATHS[page]}", width=width, height=height) as tab:
        tab.settle()
        unlike = []
        for scheme in ("light", "dark"):
            tab.page.emulate_media(color_scheme=scheme)
            assert looks.wrong(tab.page) == []
            assert not scrolls_sideways(tab.page)
            unlike += unlike_golden(tab, f"{page}-{width}-{scheme}")
        agree(unlike)


def test_a_link_restores_the_drill(chromium, server):
    with open_tab(chromium, f"{server}/{PATHS['resilience']}") as tab:
        tab.settle()
        said = tab.headline()
        assert said.startswith("Replica crash: ")
        tab.page.reload()
        tab.settle()
        assert tab.headline() == said


def test_a_link_restores_the_pins(chromium, server):
    with open_tab(chromium, f"{server}/{PATHS['compare']}") as tab:
        tab.settle()
        assert tab.page.get_by_text("Pins: 2").count() == 1
        said = tab.headline()
        tab.page.get_by_role("link", name="Calibration").click()
        tab.page.get_by_text("What was learnt").wait_for()
        tab.page.get_by_role("link", name="Compare").click()
        tab.page.get_by_text("Side by side").wait_for()
        tab.settle()
        assert tab.headline() == said
        with open_tab(chromium, tab.page.url) as other:
            other.settle()
            assert other.headline() == said


def test_a_link_restores_the_calibration(chromium, server):
    with open_tab(chromium, f"{server}/{PATHS['calibration']}") as tab:
        tab.settle()
        assert tab.page.get_by_text("How wrong h200-vllm-fp8 is").count() == 1
        assert tab.page.get_by_text("Measured TPOT, ms").count() == 2
