"""The page of a comparison in headless Chromium: no error, no request, every figure drawn."""

import os
import shutil

import pytest

from contsym.differences import run
from contsym.differences.page import make_page
from contsym.differences.run import diff
from contsym.report.render import to_html

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install 'contsym[dev]'"
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to look at a page with")


def test_every_view_of_every_figure_is_drawn_without_a_complaint_or_a_request(
    trained, damaged, pairs_file, tmp_path, monkeypatch
):
    monkeypatch.setattr(run, "BUNDLED_TASKS", ())
    page_of = make_page(diff(trained, damaged, {"toy": pairs_file}))
    html = tmp_path / "report.html"
    html.write_text(to_html(page_of), "utf-8")
    figures = [figure for section in page_of.sections for figure in section.figures]
    assert [figure.name for figure in figures] == ["changes", "groups", "where", "returned"]
    complaints, requests = [], []
    # Chromium's sandbox refuses to run as root, which containers often are.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(html.as_uri())
        for figure in figures:
            for i, view in enumerate(figure.views):
                if i:
                    page.select_option(f"#choose-{figure.name}", str(i))
                drawn = page.evaluate(f"document.getElementById('plot-{figure.name}')._fullData.length")
                assert drawn == len(view.traces)
        browser.close()
    assert complaints == [] and requests == [html.as_uri()]
