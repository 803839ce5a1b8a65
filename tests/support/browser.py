"""A browser without a window, for pages."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1000,700",
)


@contextmanager
def browser(profile: Path) -> Iterator[Any]:
    """Start Debian's Chromium; skip where it is not installed."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="it is in the extra [test]")
    driver = shutil.which("chromedriver")
    if driver is None or shutil.which("chromium") is None:
        pytest.skip("no Chromium: apt-get install chromium chromium-driver (.ci/run does)")
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.binary_location = str(shutil.which("chromium"))
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    page = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield page
    finally:
        page.quit()


def errors(page: Any) -> list[str]:
    """List what went wrong on the page, but for tiles of the base map that cannot be reached."""
    return [
        entry["message"]
        for entry in page.get_log("browser")
        if entry["level"] in ("SEVERE", "WARNING")
        and "tile.openstreetmap.org" not in entry["message"]
    ]


def screenshot(page: Any) -> np.ndarray:
    """Look at the page: red, green, blue, 0 to 1."""
    from matplotlib.image import imread

    pixels: np.ndarray = imread(io.BytesIO(page.get_screenshot_as_png()))[..., :3]
    return pixels


def wait_for(page: Any, seen: Callable[[], bool]) -> None:
    """Look again until the page shows what it should: how long it draws depends on the machine.

    After two minutes it will not come any more.
    """
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(page, 120).until(lambda _: seen())
