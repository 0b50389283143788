"""A picture of the top of a report, as in docs/report.png.

    python benchmarks/report_picture.py mlruns/reports/NAME/report.html docs/report.png

Needs playwright (`pip install -e '.[dev]'`) and a Chromium on the PATH.
"""

import os
import shutil
import sys
from pathlib import Path

WIDTH = 1200


def main(report: Path, picture: Path) -> None:
    from playwright.sync_api import sync_playwright

    found = [
        path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))
    ]
    if not found:
        sys.exit("no Chromium on the PATH; install one, as with: apt-get install chromium")
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found[0], args=options)
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        page.set_default_timeout(120_000)
        page.goto(report.resolve().as_uri())
        page.wait_for_function(
            "() => document.querySelectorAll('.plot .main-svg').length >= document.querySelectorAll('.plot').length"
        )
        # From the question to the end of the trade-off, without the tables in between.
        page.add_style_tag(content="details { display: none } #paper, #paper details { display: block }")
        page.wait_for_timeout(1000)
        box = page.locator("#trade-off figcaption, #trade-off > p").last.bounding_box()
        height = round(box["y"] + box["height"]) + 24 if box else 2000
        page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": WIDTH, "height": height}, full_page=True)
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
