"""Plan and Triangle as a browser shows them: three widths, light and dark."""

import pytest

from tests.ui import looks
from tests.ui.browser import SIZES, agree, open_tab, scrolls_sideways, small, unlike_golden


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("page", ["plan", "triangle"])
def test_looks_as_it_should(chromium, server, page, width, height) -> None:
    path = "" if page == "plan" else page
    with open_tab(chromium, f"{server}/{path}?{small()}", width=width, height=height) as tab:
        tab.settle()
        unlike = []
        for scheme in ("light", "dark"):
            tab.page.emulate_media(color_scheme=scheme)
            assert looks.wrong(tab.page) == []
            assert not scrolls_sideways(tab.page)
            unlike += unlike_golden(tab, f"{page}-{width}-{scheme}")
        agree(unlike)
