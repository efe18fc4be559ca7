"""The reference is built without a warning, and its pages work in a browser."""

import html.parser
import pathlib
import subprocess
import sys
import urllib.parse

import pytest

from tests.examples.figures.in_browser import chromium

pytest.importorskip("sphinx")
ROOT = pathlib.Path(__file__).parents[1]
pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    directory = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", ".docs", str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return directory


class _Page(html.parser.HTMLParser):
    """The links of a page, and what can be linked to in it."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = set(), {""}
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.anchors.add(value)
            if tag in ("a", "link", "script", "img") and name in ("href", "src") and value:
                self.links.add(value)


def test_every_public_name_is_there(pages):
    import tfp_realnvp

    anchors = set().union(*(_Page(path).anchors for path in pages.glob("*.html")))
    assert {f"tfp_realnvp.{name}" for name in tfp_realnvp.__all__ if name != "PRESETS"} <= anchors
    assert {"tfp_realnvp.keras3.FlowModel", "tfp_realnvp.FlowModel.fit"} <= anchors


def test_no_link_leads_nowhere_and_nothing_is_fetched_from_elsewhere(pages):
    for path in pages.rglob("*.html"):
        for link in _Page(path).links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme in ("http", "https"):
                assert not link.endswith((".js", ".css")), (path, link)
                continue
            if parts.scheme:
                continue
            target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), (path, link)
            if parts.fragment and target.suffix == ".html":
                assert urllib.parse.unquote(parts.fragment) in _Page(target).anchors, (path, link)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.mark.parametrize("width", [1400, 520])
def test_pages_fit_and_raise_no_error_in_a_browser(width, pages, browser):
    browser.set_window_size(width, 1000)
    for path in sorted(pages.rglob("*.html")):
        browser.get(path.as_uri())
        for theme in ("light", "dark"):
            browser.execute_script("document.body.dataset.theme = arguments[0]", theme)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, path
        errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        assert not errors, (path, errors)
