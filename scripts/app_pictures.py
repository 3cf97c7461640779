"""Take the README's picture of the browser app: Plan as it opens.

pip install "trilemma[test]" && PYTHONPATH=. python scripts/app_pictures.py    (needs a Chromium: scripts/browser.sh)
"""

from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.ui.browser import CHROMIUM, open_tab, serving

PORT = 8599
OUT = Path(__file__).parents[1] / "docs" / "figures" / "plan.png"


def main() -> None:
    """Open the app, wait until it has refined its answers, keep what is in sight."""
    with sync_playwright() as play, serving(PORT) as server:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        with open_tab(browser, server, width=1440, height=900) as tab:
            tab.settle()
            picture = Image.open(BytesIO(tab.page.screenshot())).convert("RGB")
        browser.close()
    picture.quantize(256, Image.Quantize.FASTOCTREE).save(OUT, optimize=True)
    print(OUT)


if __name__ == "__main__":
    main()
