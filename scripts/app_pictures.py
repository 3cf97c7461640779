"""Take the README's pictures of the browser app: Plan and Triangle as they open.

pip install "trilemma[test]" && python scripts/app_pictures.py    (needs a Chromium: scripts/browser.sh)
"""

from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.ui.browser import CHROMIUM, open_tab, serving

PORT = 8599
PAGES = {"plan": "", "triangle": "triangle"}
OUT = Path(__file__).parents[1] / "docs" / "figures"


def main() -> None:
    """Open each page, wait until it has refined its answers, keep what is in sight."""
    with sync_playwright() as play, serving(PORT) as server:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, path in PAGES.items():
            with open_tab(browser, f"{server}/{path}", width=1440, height=900) as tab:
                tab.settle()
                picture = Image.open(BytesIO(tab.page.screenshot())).convert("RGB")
            target = OUT / f"{name}.png"
            picture.quantize(256, Image.Quantize.FASTOCTREE).save(target, optimize=True)
            print(target)
        browser.close()


if __name__ == "__main__":
    main()
