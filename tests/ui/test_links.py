"""What a browser does with a page: links that restore it, downloads, clicks, keys, and files that are refused."""

import re
from pathlib import Path

import pytest

from sim.scenario.load import load
from tests.ui.app import SMALL
from tests.ui.browser import MAIN, open_tab, small

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"


@pytest.fixture(scope="module")
def link(server: str) -> str:
    return f"{server}/?{small(replicas='1', rate='12')}"


def test_a_link_restores_the_page_and_navigation_keeps_the_scenario(chromium, link, server) -> None:
    with open_tab(chromium, link) as tab:
        tab.answered()
        said = tab.headline()
        assert said.startswith("1 replica of 1 x A100: $4.12 an hour")
        assert tab.page.get_by_role("spinbutton", name="Replicas").input_value() == "1"
        assert tab.page.get_by_role("spinbutton", name="Request rate, requests/s").input_value() == "12"
        tab.page.get_by_role("button", name="Copy link").click()
        copied = tab.page.locator("[data-testid=stPopoverBody] code").inner_text().strip()
        tab.page.keyboard.press("Escape")
        tab.page.get_by_role("link", name="Triangle").click()
        tab.page.wait_for_url(re.compile("/triangle.*rate=12"))
        tab.page.get_by_text("in all three").first.wait_for(timeout=60_000)
        assert tab.page.get_by_role("spinbutton", name="Replicas").input_value() == "1"
        tab.page.go_back()
        tab.page.get_by_role("heading", name=said).wait_for(timeout=60_000)
    with open_tab(chromium, copied.replace("localhost", "127.0.0.1")) as tab:
        tab.answered()
        assert tab.headline() == said


def test_the_yaml_resolves_to_the_hash_on_the_page(chromium, link, tmp_path: Path) -> None:
    with open_tab(chromium, link) as tab:
        tab.answered()
        with tab.page.expect_download() as download:
            tab.page.get_by_role("button", name="YAML").click()
        saved = tmp_path / download.value.suggested_filename
        download.value.save_as(saved)
        assert saved.name == "small.yaml"
        assert load(saved).sha256[:12] in tab.page.locator(MAIN).inner_text()


def test_a_change_of_the_rate_refines_in_place(chromium, link) -> None:
    """The headline stays where it is while the answer to another rate is worked out."""
    with open_tab(chromium, link) as tab:
        tab.settle()
        before = tab.page.locator(f"{MAIN} h2").first.bounding_box()
        tab.page.get_by_role("spinbutton", name="Request rate, requests/s").fill("13")
        tab.page.keyboard.press("Enter")
        tab.page.get_by_role("button", name="Cancel").wait_for()
        assert abs(tab.page.locator(f"{MAIN} h2").first.bounding_box()["y"] - before["y"]) <= 8
        tab.page.wait_for_url(re.compile("rate=13"))
        tab.settle()
        assert abs(tab.page.locator(f"{MAIN} h2").first.bounding_box()["y"] - before["y"]) <= 8


def test_the_triangle_has_whole_corners_and_a_click_selects(chromium, server) -> None:
    with open_tab(chromium, f"{server}/triangle?{small()}") as tab:
        tab.settle()
        ternary = tab.page.locator(".js-plotly-plot").first
        assert [ternary.locator(f".{one}title").text_content() for one in "abc"] == [
            "Performance",
            "Cost",
            "Flexibility",
        ]
        selected = tab.page.get_by_role("combobox", name="Selected design")
        other = ternary.locator(".scatterlayer .trace").nth(2).locator("path.point").first
        other.hover(force=True)
        told = ternary.locator(".hoverlayer .hovertext").text_content()
        assert "tokens/s per user" in told
        assert "of goodput kept under stress" in told
        assert not re.search(r"\b[ABC]: ", told)
        box = other.bounding_box()
        tab.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        tab.page.wait_for_url(re.compile("design="))
        tab.settle()
        assert selected.input_value() in told
        assert tab.page.locator(".js-plotly-plot path[style*='220, 61, 67']").count() == 4  # the ring, in each chart


def test_keys_alone_reach_pin(chromium, link) -> None:
    with open_tab(chromium, link) as tab:
        tab.answered()
        tab.page.get_by_role("button", name="YAML").focus()
        for _ in range(4):
            tab.page.keyboard.press("Tab")
            if tab.page.evaluate("document.activeElement.innerText").strip().endswith("Pin"):
                break
        ring = tab.page.evaluate(
            "getComputedStyle(document.activeElement).boxShadow + getComputedStyle(document.activeElement).outline"
        )
        assert "rgb" in ring
        tab.page.keyboard.press("Enter")
        tab.page.get_by_role("button", name="Pins: 1").wait_for()
        charts = tab.page.locator("[data-testid=stPlotlyChart]")
        assert "Share of requests within the SLO" in charts.first.evaluate("one => one.outerHTML")


def test_the_sidebar_of_a_phone_opens_and_closes(chromium, link) -> None:
    with open_tab(chromium, link, width=390, height=844) as tab:
        tab.answered()
        rate = tab.page.get_by_role("spinbutton", name="Request rate, requests/s")
        assert not rate.is_visible() or rate.bounding_box()["x"] < 0
        tab.page.get_by_test_id("stExpandSidebarButton").click()
        tab.page.wait_for_function("document.querySelector('[data-testid=stSidebar]').getBoundingClientRect().x >= 0")
        assert rate.bounding_box()["x"] >= 0


def test_hostile_files_are_refused_in_a_sentence_and_the_server_lives(chromium, server, link, tmp_path: Path) -> None:
    bomb, huge, billion = tmp_path / "bomb.yaml", tmp_path / "huge.csv", tmp_path / "billion.yaml"
    bomb.write_text(BOMB)
    billion.write_text(SMALL.replace("num_prompts: 120", "num_prompts: 1000000000"))
    with huge.open("wb") as file:
        file.truncate(200 << 20)
    with open_tab(chromium, link) as tab:
        tab.answered()
        tab.page.get_by_text("Open a file").click()
        scenario, trace = tab.page.locator("[data-testid=stSidebar] input[type=file]").all()
        trace.set_input_files(huge)
        tab.page.get_by_text("File must be 50.0MB or smaller").wait_for()
        for file, sentence in ((bomb, "YAML anchor or alias"), (billion, "num_prompts")):
            scenario.set_input_files(file)
            tab.page.get_by_test_id("stAlert").get_by_text(sentence).wait_for()
    with open_tab(chromium, link) as tab:
        tab.answered()
        assert "1 replica of 1 x A100" in tab.headline()


def test_html_of_a_link_is_text(chromium, server) -> None:
    text = SMALL + "description: '<img src=x onerror=\"document.title=1\"> ![x](http://evil.example/a.png)'\n"
    text = text.replace("pool: base", "pool: '<b>base</b>'")
    with open_tab(chromium, f"{server}/?{small(text, scenario_file='<script>')}") as tab:
        tab.page.locator(f"{MAIN} :is(h1, h2)").first.wait_for()
        assert tab.page.locator(f"{MAIN} img").count() == 0
        assert tab.page.title() != "1"
