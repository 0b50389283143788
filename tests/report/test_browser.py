"""A report in headless Chromium: no error, no request, and everything that can be pressed does its work."""

import os
import shutil
from contextlib import contextmanager

import pytest

from contsym.report.collect import collect
from contsym.report.render import make_report, to_html
from tests.stored_results import store_sweep

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install 'contsym[dev]'"
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no Chromium here to look at a report with; the file itself is checked by test_render.py",
)

VISIBLE = "name => document.getElementById(name)._fullData.map(t => [t.meta && t.meta.variant, t.visible])"
EVIL = "</script><script>window.evil = 1</script><img src=x onerror='window.evil = 2'>]]>"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    output = tmp_path_factory.mktemp("sweep")
    relations = {"symmetric": (EVIL, "borders"), "antisymmetric": ("is the father of", "is located in")}
    store_sweep(output, relations=relations)
    return make_report(collect(output, []), 0.99)


@pytest.fixture(scope="module")
def page_url(report, tmp_path_factory):
    # Without the figures as files, which no page shows.
    html = tmp_path_factory.mktemp("report") / "report.html"
    html.write_text(to_html(report), "utf-8")
    return html.as_uri()


@pytest.fixture(scope="module")
def figures(report):
    return [figure.name for section in report.sections for figure in section.figures]


@pytest.fixture(scope="module")
def chromium():
    # Chromium's sandbox refuses to run as root, which containers often are.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@contextmanager
def windows(chromium, page_url, figures):
    """Opens the report in a window of its own; whatever it complains of or asks for fails the test."""
    contexts, complaints, requests = [], [], []

    def opened(**options):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        # Generous: a busy machine is no failure.
        context.set_default_timeout(120_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(page_url)
        page.wait_for_function(
            "n => document.querySelectorAll('.plot .main-svg').length >= n", arg=len(figures)
        )
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert set(requests) == {page_url}


@pytest.fixture
def open_page(chromium, page_url, figures):
    with windows(chromium, page_url, figures) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_page(chromium, page_url, figures):
    """One window for the tests that leave it as they found it: all figures are drawn anew in each, for seconds."""
    with windows(chromium, page_url, figures) as opened:
        yield opened()


@pytest.fixture(scope="module")
def narrow_page(chromium, page_url, figures):
    with windows(chromium, page_url, figures) as opened:
        yield opened(viewport={"width": 400, "height": 800})


def visible(page, figure):
    """Whether each strategy's line is shown: name to true, or "legendonly" where it is not."""
    return {variant: shown for variant, shown in page.evaluate(VISIBLE, f"plot-{figure}") if variant}


def colour(page, selector, what):
    return page.eval_on_selector(selector, f"element => getComputedStyle(element).{what}")


def test_every_figure_is_drawn_and_names_are_only_names(shared_page, figures):
    page = shared_page
    assert len(figures) > 5
    for name in figures:
        marks = page.eval_on_selector_all(
            f"#plot-{name} .trace path, #plot-{name} .hm image, #plot-{name} .heatmaplayer path",
            "all => all.length",
        )
        assert marks > 0, name
        assert page.get_attribute(f"#plot-{name}", "role") == "img"
        assert len(page.get_attribute(f"#plot-{name}", "aria-label")) > 40
    assert page.evaluate("window.evil === undefined && document.querySelector('main img') === null")
    page.evaluate("document.querySelector('#table-relations-wikidata').open = true")
    # Set apart as text, whole, in the table.
    assert page.get_by_role("rowheader", name=EVIL).count() == 4
    page.evaluate("document.querySelector('#table-relations-wikidata').open = false")


def test_a_click_on_the_legend_hides_a_strategy_and_another_shows_it(shared_page):
    page = shared_page
    assert visible(page, "accuracy")["random_labels"] is True
    toggle = page.locator("#plot-accuracy .legend .traces", has_text="random_labels").locator(".legendtoggle")
    for shown in ("legendonly", True):
        toggle.click()
        page.wait_for_function(
            f"wanted => ({VISIBLE})('plot-accuracy').find(([v]) => v === 'random_labels')[1] === wanted",
            arg=shown,
        )
    assert visible(page, "accuracy")["knn_fixed"] is True


def test_strategies_are_hidden_everywhere_by_keyboard(shared_page):
    page = shared_page
    box = page.get_by_role("checkbox", name="knn_fixed")
    box.focus()
    page.keyboard.press("Space")
    for figure in ("accuracy", "trade-off", "kinds", "learning"):
        assert visible(page, figure)["knn_fixed"] == "legendonly", figure
        assert visible(page, figure)["fine_tune"] is True, figure
    page.keyboard.press("Space")
    assert visible(page, "kinds")["knn_fixed"] is True


def test_the_task_is_chosen_by_keyboard_and_a_hidden_strategy_stays_hidden(shared_page):
    page = shared_page
    values = (
        "() => document.getElementById('plot-accuracy')._fullData.find(t => t.name === 'random_labels').y"
    )
    assert page.evaluate(values) == pytest.approx([0.75, 0.9, 0.975, 1.0])
    page.get_by_role("checkbox", name="fine_tune").uncheck()
    choice = page.get_by_label("task", exact=True).first
    choice.focus()
    page.keyboard.press("ArrowDown")
    assert choice.evaluate("select => select.selectedOptions[0].textContent") == "MNLI, at the end"
    assert page.evaluate(values) == pytest.approx([0.76, 0.75, 0.74, 0.72])
    assert visible(page, "accuracy")["fine_tune"] == "legendonly"
    choice.select_option(index=0)
    page.get_by_role("checkbox", name="fine_tune").check()


def test_dark_mode_turns_page_and_figures_dark(open_page, shared_page):
    dark, light = open_page(color_scheme="dark"), shared_page
    text, paper = "#plot-accuracy .xtick text", "body"
    assert colour(light, paper, "backgroundColor") == "rgb(255, 255, 255)"
    assert colour(light, text, "fill") == "rgb(29, 31, 35)"
    assert colour(dark, paper, "backgroundColor") == "rgb(21, 23, 27)"
    assert colour(dark, text, "fill") == "rgb(232, 234, 238)"
    for page in (dark, light):
        assert colour(page, "#plot-accuracy .main-svg", "backgroundColor") == "rgba(0, 0, 0, 0)"
        # A number in a heat map stands on its cell, not on the page.
        fills = page.eval_on_selector_all(
            "#plot-matrices .textpoint text",
            "all => [...new Set(all.map(t => getComputedStyle(t).fill))]",
        )
        assert "rgb(255, 255, 255)" in fills and len(fills) == 2


@pytest.mark.slow
def test_print_is_light_whole_and_without_controls(open_page):
    page = open_page(color_scheme="dark")
    n_folded = "document.querySelectorAll('details:not([open])').length"
    before = page.evaluate(n_folded)
    assert before > 0
    # In braces, so that Playwright does not wait for the promise.
    page.evaluate("""() => { window.printed = new Promise(done => addEventListener('beforeprint', () => done(
        [document.querySelectorAll('details:not([open])').length,
         document.getElementById('plot-accuracy')._fullLayout.width]), {once: true})) }""")
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF") and len(pdf) > 50_000
    assert page.evaluate("window.printed") == [0, 690]
    assert page.evaluate(n_folded) == before
    page.emulate_media(media="print", color_scheme="dark")
    assert colour(page, "body", "backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("select, input, .modebar").filter(visible=True).count()
    assert page.locator("#chosen-accuracy").is_visible()


def test_a_telephone_s_width_needs_no_sideways_scrolling(narrow_page):
    page = narrow_page
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    # But for what stands side by side, which is scrolled within its figure.
    narrow = ".plot:not(#plot-matrices, #plot-relations, #plot-embeddings) .main-svg"
    widths = page.eval_on_selector_all(narrow, "all => all.map(s => s.getBoundingClientRect().right)")
    assert max(widths) <= 400
    width = page.eval_on_selector("#plot-matrices .main-svg", "s => s.getBoundingClientRect().width")
    assert width >= 500
    assert page.eval_on_selector("#figure-matrices", "f => f.scrollWidth > f.clientWidth")


def test_a_wide_table_on_a_telephone_shows_that_there_is_more_and_where(narrow_page):
    page = narrow_page
    table = "#table-cost"
    assert page.locator(f"{table} .more").is_visible()
    assert "gradient" in colour(page, f"{table} .scroll", "maskImage")
    page.eval_on_selector(f"{table} .scroll", "scroll => { scroll.scrollLeft = scroll.scrollWidth }")
    page.wait_for_function(
        f"getComputedStyle(document.querySelector('{table} .scroll')).maskImage === 'none'"
    )
    last = page.locator(f"{table} tbody tr").first.locator("td").last.bounding_box()
    assert last["x"] + last["width"] <= 400
    # The names of the strategies are still there.
    assert page.locator(f"{table} tbody th").first.bounding_box()["x"] >= 0


def test_links_to_files_follow_the_view_that_is_chosen(shared_page):
    page = shared_page
    links = "#files-accuracy a"
    assert page.locator(links).first.get_attribute("href") == "figures/accuracy-wikidata-at-the-end.svg"
    page.get_by_label("task", exact=True).first.select_option("MNLI, at the end")
    hrefs = page.eval_on_selector_all(links, "all => all.map(a => a.getAttribute('href'))")
    assert hrefs == [f"figures/accuracy-mnli-at-the-end.{ending}" for ending in ("svg", "pdf", "png")]
    page.get_by_label("task", exact=True).first.select_option(index=0)
