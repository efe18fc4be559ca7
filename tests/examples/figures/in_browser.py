"""Opens pages in a real browser without a display: a headless Chromium, which Selenium drives."""

import contextlib
import functools
import http.server
import shutil
import subprocess
import threading

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

from tests.time_limits import HANG_SECONDS

ARGUMENTS = """headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking
    disable-component-update disable-sync disable-dev-shm-usage hide-scrollbars"""

# Returns the contrast, as WCAG defines it, of every element that has words of its own with what is behind it.
CONTRASTS = """
const rgba = (text) => (text.match(/[0-9.]+/g) ?? []).map(Number);
const over = ([r, g, b, a = 1], below) => [r, g, b].map((c, i) => a * c + (1 - a) * below[i]);
const behind = (element) => element
  ? over(rgba(getComputedStyle(element).backgroundColor), behind(element.parentElement)) : [255, 255, 255];
const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
document.querySelectorAll("details").forEach((details) => { details.open = true; });
return [...document.body.querySelectorAll("*")]
  .filter((e) => e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
  .map((e) => {
    const below = behind(e), two = [light(over(rgba(getComputedStyle(e).color), below)), light(below)];
    return [(Math.max(...two) + 0.05) / (Math.min(...two) + 0.05), e.outerHTML.slice(0, 80)];
  });
"""
DECODED = """
const done = arguments[0];
(async () => {
  for (const image of document.images) { image.scrollIntoView(); await image.decode(); }
  return [...document.images].map((image) => [image.naturalWidth, image.getAttribute("alt")]);
})().then(done, (error) => done(String(error)));
"""


@contextlib.contextmanager
def chromium(profile):
    """A browser with a new profile in this directory; skips the test where there is no Chromium."""
    binary, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not chromedriver:
        pytest.skip("no chromium or no chromedriver on this machine: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ARGUMENTS.split():
        options.add_argument(f"--{argument}")
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # Selenium is told where the driver is, so that it downloads none.
    driver = webdriver.Chrome(options=options, service=Service(chromedriver, log_output=subprocess.DEVNULL))
    driver.set_script_timeout(HANG_SECONDS)
    driver.set_page_load_timeout(HANG_SECONDS)
    try:
        yield driver
    finally:
        driver.quit()


@contextlib.contextmanager
def served(directory):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=directory)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def open_page(browser, address, *, width=1280, height=800, mobile=False, scheme="light", motion="no-preference"):
    """Opens a page; what the browser logged before is dropped."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": mobile})
    features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
    features = {"features": [{"name": name, "value": value} for name, value in features.items()]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
    browser.get("about:blank")
    for log in ("browser", "performance"):
        browser.get_log(log)
    # The cache may hold the page of another test that had the same port.
    browser.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
    browser.get(address)
    loaded = "return document.readyState === 'complete' && document.querySelector('h1') !== null"
    wait(browser, lambda: browser.execute_script(loaded))


def wait(browser, condition):
    return WebDriverWait(browser, HANG_SECONDS, poll_frequency=0.05).until(lambda _: condition())
