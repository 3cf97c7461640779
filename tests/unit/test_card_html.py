"""The error card: as text on the terminal, and as a page that stands alone."""

import re
import sys
from html.parser import HTMLParser

import pytest

from sim.calibration import Draws, Parity, Residuals, Score
from tests.unit.calibration_files import calibration, write
from ui.card import page
from ui.cli import main

pytest.importorskip("plotly", reason='the page needs plotly: pip install "trilemma[ui]"')

SCORE = Score(
    held_out="concurrency",
    metric="tpot",
    points=2,
    mape=0.0312,
    bias=-0.0102,
    p50=0.021,
    p90=0.052,
    p99=0.071,
    worst="llama <70b> c=16: -7.4%",
    coverage=0.94,
)


def parity(point: str, measured: float, predicted: float, **changes) -> Parity:
    row = {"point": point, "metric": "tpot", "held_out": "concurrency", "measured": measured, "predicted": predicted}
    return Parity(**(row | {"low": 0.9 * predicted, "high": 1.1 * predicted} | changes))


FULL = {
    "card": (SCORE,),
    "parity": (
        parity("llama <70b> c=16", 10.0, 9.26),
        parity("c=32", 200.0, 203.0, saturated=True),
        parity("c=16", 80.0, 90.0, metric="ttft", low=None, high=None),
    ),
    "draws": Draws(names=("memory",), rows=((0.79,), (0.8,), (0.81,))),
    "residuals": Residuals(tokens=(8, 64), mixed=(1.1, 0.987), seqs=(1,), decode=(1.0,)),
    "dropped": ("3 rows: impossible layout",),
}


class Page(HTMLParser):
    """Text outside scripts, tags with their attributes, and whether they nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags, self._open = "", [], []
        self.feed(html)
        assert not self._open, self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "script" not in self._open and "style" not in self._open:
            self.text += data


def test_the_page_says_all_that_the_calibration_holds():
    text = Page(page(calibration(**FULL))).text
    for words in (
        "tested",
        "vLLM 0.0",
        "3.1%",  # MAPE
        "-1.0%",  # bias
        "94%",  # coverage
        "llama <70b> c=16: -7.4%",
        "llama-3.1-70b",
        "8,192",
        "0.79",  # of the interval
        "0.987",
        "3 rows: impossible layout",
        "a test",
    ):
        assert words in text, words


def test_the_page_needs_nothing_from_elsewhere():
    html = page(calibration(**FULL))
    tags = Page(html).tags
    assert not [
        attrs for tag, attrs in tags if tag in {"script", "link", "img", "iframe"} and {"src", "href"} & set(attrs)
    ]
    assert html.count("plotly.js v") == 1  # one script for all plots


def test_every_metric_has_a_parity_and_an_error_plot_with_its_points():
    html = page(calibration(**FULL))
    assert html.count("Plotly.newPlot(") == 4
    assert "llama &lt;70b&gt; c=16" in html or "llama \\u0026lt;70b" in html
    assert "<70b>" not in html
    assert "circle-open" in html  # the saturated point


def test_a_calibration_without_any_held_out_point_says_so(tmp_path):
    html = page(calibration())
    assert "nothing is known of its errors" in html
    assert "Plotly" not in html


def test_the_terminal_shows_the_same_numbers(tmp_path, capsys):
    path = write(tmp_path, calibration(**FULL))
    assert main(["card", str(path)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"concurrency\s+TPOT\s+2\s+3\.1%\s+-1\.0%\s+2\.1%\s+5\.2%\s+7\.1%\s+94%", printed)
    assert re.search(r"memory\s+0\.8\s+0\.8\s+0\.79\d* to 0\.8\d*", printed)
    assert "dropped: 3 rows" in printed
    assert max(map(len, printed.splitlines())) <= 100


def test_the_page_is_written_whole_or_not_at_all(tmp_path, capsys, monkeypatch):
    path = write(tmp_path, calibration(**FULL))
    out = tmp_path / "card.html"
    assert main(["card", str(path), "--out", str(out)]) == 0
    assert out.read_text().startswith("<!doctype html>")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["card.html", "tested.yaml"]
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    assert main(["card", str(path), "--out", str(tmp_path / "other.html")]) == 2
    assert 'pip install "trilemma[ui]"' in capsys.readouterr().err
    assert not (tmp_path / "other.html").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["h100-vlm"], "neither a file nor shipped"), (["a.yaml", "--out", "card.pdf"], "ends in .html")],
)
def test_a_mistake_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert main(["card", *arguments]) == 2
    assert says in capsys.readouterr().err
