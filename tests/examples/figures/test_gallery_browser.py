"""The page of all figures works in a browser: from disk and from a server, by pointer, keyboard and touch."""

import contextlib
import json

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from examples.figures import gallery
from tests.examples.figures.gallery_runs import FRAMES, hostile_page, write_all
from tests.examples.figures.in_browser import CONTRASTS, DECODED, chromium, open_page, served, wait

PIXEL = "return document.querySelector('canvas').getContext('2d').getImageData(5, 5, 1, 1).data[0]"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    directory = tmp_path_factory.mktemp("page")
    gallery.make(write_all(tmp_path_factory.mktemp("runs")), directory)
    return directory


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def opened(browser, address, **options):
    """Opens the page; returns its manifold, in the middle of the window."""
    open_page(browser, address, **options)
    dome = browser.find_elements(By.CLASS_NAME, "dome")
    if dome:
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", dome[0])
    return dome and dome[0]


def frame(dome):
    return dome.get_attribute("data-frame")


def is_moving(browser, dome):
    wait(browser, lambda: frame(dome))
    now = frame(dome)
    wait(browser, lambda: frame(dome) != now)
    return dome.get_attribute("aria-pressed") == "true"


def is_still(browser, dome):
    wait(browser, lambda: dome.get_attribute("aria-pressed") == "false")
    frames = "new Promise((done) => setTimeout(() => done(arguments[0].dataset.frame ?? null), 150))"
    return len({browser.execute_script(f"return await {frames}", dome) for _ in range(3)}) == 1


@pytest.mark.parametrize("server", [False, True], ids=["from disk", "from a server"])
def test_loads_cleanly(browser, page, server):
    with served(page) if server else contextlib.nullcontext(page.as_uri() + "/") as address:
        opened(browser, address + gallery.PAGE)
        images = browser.execute_async_script(DECODED)
        assert len(images) == 12
        assert all(width > 0 and alt for width, alt in images)
        links = len(browser.find_elements(By.CLASS_NAME, "zoom"))
        assert links == 15  # The animation and what captions lead to are links too.
        browser.find_element(By.CLASS_NAME, "zoom").send_keys(Keys.ENTER)
        large = "const i = document.querySelector('dialog img'); return i.complete && i.naturalWidth > 0 && i.src"
        shown = set()
        for _ in range(links):
            wait(browser, lambda: browser.execute_script(large) not in {False, *shown})
            shown.add(browser.execute_script(large))
            ActionChains(browser).send_keys(Keys.ARROW_RIGHT).perform()
        assert {link.get_attribute("href") for link in browser.find_elements(By.CLASS_NAME, "zoom")} == shown
        events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        assert browser.get_log("browser") == []
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert len(asked) > links
    assert all(url.startswith((address, "data:image/svg+xml")) for url in asked)
    assert not [e for e in events if e["method"] == "Network.loadingFailed"]
    responses = [e["params"]["response"] for e in events if e["method"] == "Network.responseReceived"]
    assert {response["status"] for response in responses} <= {0, 200}


def test_pointer_turns_the_manifold(browser, page):
    with served(page) as address:
        dome = opened(browser, address)
        assert frame(dome) is None  # Frames are loaded when they are asked for.
        ActionChains(browser).move_to_element(dome).perform()
        assert is_moving(browser, dome)
        assert browser.execute_script(PIXEL) in {40 * i for i in range(FRAMES)}
        ActionChains(browser).move_to_element(browser.find_element(By.TAG_NAME, "h2")).perform()
        assert is_still(browser, dome)
        assert browser.execute_script(PIXEL) == 40 * int(frame(dome))


def test_keyboard_turns_the_manifold(browser, page):
    with served(page) as address:
        dome = opened(browser, address)
        for key in (Keys.ENTER, Keys.SPACE):
            dome.send_keys(key)
            assert is_moving(browser, dome)
            dome.send_keys(key)
            assert is_still(browser, dome)
        for key, step in ((Keys.ARROW_RIGHT, 1), (Keys.ARROW_LEFT, -1)):
            for _ in range(FRAMES + 1):
                expected = (int(frame(dome)) + step) % FRAMES
                dome.send_keys(key)
                wait(browser, lambda expected=expected: frame(dome) == str(expected))
                assert browser.execute_script(PIXEL) == 40 * expected
        dome.send_keys(Keys.ENTER, Keys.TAB)
        assert is_still(browser, dome)


def test_touch_turns_the_manifold(browser, page):
    dome = opened(browser, (page / gallery.PAGE).as_uri(), width=390, mobile=True)
    for moves in (True, False):
        place = browser.execute_script("return arguments[0].getBoundingClientRect()", dome)
        middle = {"x": place["x"] + place["width"] / 2, "y": place["y"] + place["height"] / 2}
        for kind, points in (("touchStart", [middle]), ("touchEnd", [])):
            browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        assert (is_moving if moves else is_still)(browser, dome)


def test_reduced_motion(browser, page):
    dome = opened(browser, (page / gallery.PAGE).as_uri(), motion="reduce")
    ActionChains(browser).move_to_element(dome).perform()
    assert is_still(browser, dome)
    enlarge = browser.find_element(By.LINK_TEXT, "enlarge")
    enlarge.click()
    assert browser.find_element(By.CSS_SELECTOR, "dialog img").get_attribute("src").endswith("dome.png")
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    wait(browser, lambda: browser.switch_to.active_element == enlarge)
    dome.send_keys(Keys.ENTER)  # A user who asks for motion gets it.
    assert is_moving(browser, dome)


def test_large_pictures(browser, page):
    opened(browser, (page / gallery.PAGE).as_uri())
    links, dialog = browser.find_elements(By.CLASS_NAME, "zoom"), browser.find_element(By.TAG_NAME, "dialog")

    def shows(number):
        image = dialog.find_element(By.TAG_NAME, "img")
        wait(browser, lambda: image.get_property("complete"))
        link = links[number]
        return image.get_property("src") == link.get_property("href") and image.get_attribute("alt") in dialog.text

    assert not dialog.is_displayed()
    links[1].click()
    assert shows(1)
    assert "CIFAR-10: Samples" in dialog.text
    for key, number in ((Keys.ARROW_RIGHT, 2), (Keys.ARROW_LEFT, 1), (Keys.END, -1), (Keys.HOME, 0)):
        ActionChains(browser).send_keys(key).perform()
        assert shows(number)
    ActionChains(browser).send_keys(Keys.ARROW_LEFT).perform()
    assert shows(-1)  # It goes around the end.
    dialog.find_element(By.CSS_SELECTOR, "[aria-label='Next picture']").click()
    assert shows(0)
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    wait(browser, lambda: not dialog.is_displayed())
    wait(browser, lambda: browser.switch_to.active_element == links[0])
    links[3].send_keys(Keys.ENTER)
    assert shows(3)
    # These 10 x 10 pixels are enlarged as often as there is room for, each pixel to a square.
    image = dialog.find_element(By.TAG_NAME, "img")
    assert image.size["width"] == image.size["height"] >= 600
    assert image.size["width"] % 10 == 0
    assert image.value_of_css_property("image-rendering") == "pixelated"
    dialog.find_element(By.CSS_SELECTOR, "[value=close]").click()
    wait(browser, lambda: not dialog.is_displayed())
    small, large = (links[i].find_element(By.TAG_NAME, "img") for i in (3, 0))
    assert small.value_of_css_property("image-rendering") == "pixelated"
    # This one has 700 pixels and is shown smaller, so it is smoothed.
    assert large.value_of_css_property("image-rendering") == "auto"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser, page, scheme):
    opened(browser, (page / gallery.PAGE).as_uri(), scheme=scheme)
    theme = browser.find_element(By.ID, "theme")
    grounds = []
    for label in ("Dark mode", "Light mode") if scheme == "light" else ("Light mode", "Dark mode"):
        assert theme.text == label
        contrasts = browser.execute_script(CONTRASTS)
        assert len(contrasts) > 60
        assert min(contrasts)[0] >= 4.5, min(contrasts)
        grounds.append(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
        theme.click()
    assert len(set(grounds)) == 2
    browser.refresh()  # The choice is not kept.
    assert browser.find_element(By.ID, "theme").text == ("Dark mode" if scheme == "light" else "Light mode")


@pytest.mark.parametrize("width", [320, 360, 768, 1024, 1600])
def test_no_sideways_scroll(browser, page, width):
    opened(browser, (page / gallery.PAGE).as_uri(), width=width, mobile=width < 768)
    browser.execute_script("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    assert browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [width, width]
    lefts = browser.execute_script(
        "return [...document.querySelectorAll('.columns')[0].children].map((e) => e.getBoundingClientRect().left)"
    )
    assert len(set(lefts)) == (6 if width >= 1024 else 3 if width >= 768 else 2)


def test_hostile_text_does_nothing(browser, tmp_path):
    opened(browser, (hostile_page(tmp_path) / gallery.PAGE).as_uri())
    browser.find_element(By.CLASS_NAME, "zoom").click()
    assert "<script>" in browser.find_element(By.TAG_NAME, "dialog").text
    assert browser.execute_script("return window.hacked ?? null") is None
    assert browser.get_log("browser") == []
