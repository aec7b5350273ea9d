"""Debian's Chromium, driven by its own driver through W3C WebDriver; both run in an overlay of the machine's root."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from tests.host.overlay import Overlay
from tests.host.packages import layer
from tests.redis_server import free_port

CHROMIUM = ("chromium", "chromium-driver", "fonts-dejavu-core")
"""The packages of the overlay's layer."""

PATIENCE_SECONDS = 90.0
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key of an element in the protocol (W3C WebDriver, section 12)."""

_open = build_opener(ProxyHandler({})).open


class Browser:
    """A window of Chromium; `close` ends it."""

    def __init__(self, driver: str, *more: str) -> None:
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", *more]
        options = {"binary": "/usr/bin/chromium", "args": arguments}
        wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}}
        self._session = driver + "/session"
        self._session += "/" + str(self._ask("POST", "", wanted)["sessionId"])

    def close(self) -> None:
        self._ask("DELETE", "")

    def open(self, address: str) -> None:
        """Open a page, and return when it has been loaded."""
        self._ask("POST", "/url", {"url": address})

    def forget(self) -> None:
        """Leave the page once it is loaded, because a request on its way would bring cookies back, and remove them."""
        self.wait_for_answers()
        self.open("about:blank")
        self.command("Network.clearBrowserCookies")

    def run(self, script: str, *arguments: object) -> Any:
        """Return what `script`, the body of a function, returns in the page."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    @property
    def text(self) -> str:
        """The text of the page that can be seen."""
        return str(self.run("return document.body.innerText"))

    def click(self, selector: str) -> None:
        """Click the element of a CSS selector like a user: it must be there and visible."""
        found = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        self._ask("POST", f"/element/{found[ELEMENT]}/click", {})

    def type(self, selector: str, text: str) -> None:
        """Type into an element."""
        found = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        self._ask("POST", f"/element/{found[ELEMENT]}/value", {"text": text})

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Poll until `condition` holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{what}\n{self.text}"
            time.sleep(0.2)

    def wait_for_text(self, text: str) -> None:
        """Wait until the page shows `text`."""
        self.wait_for(lambda: text in self.text, f"the page does not show {text!r}")

    def wait_for_answers(self) -> None:
        """Wait until the page has loaded what workers or the broker answer."""
        self.wait_for(lambda: self.run("return !document.querySelector('[aria-busy=true]')"), "it is loaded")

    def open_until(self, address: str, text: str) -> None:
        """Open a page again and again, until it shows `text`."""

        def shows() -> bool:
            self.open(address)
            return text in self.text

        self.wait_for(shows, f"{address} does not show {text!r}")

    def resize(self, width: int, height: int) -> None:
        """Give the page the size of a screen, whatever the smallest window is."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **size)

    def prefer(self, scheme: str) -> None:
        """Let the page know whether the user prefers `light` or `dark` colours."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.command("Emulation.setEmulatedMedia", features=features)

    def command(self, name: str, **parameters: Any) -> Any:
        """Send a command of the DevTools protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def photograph(self, path: Path) -> None:
        """Write the page to a PNG file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self._ask("GET", "/screenshot")))

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._session + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with _open(request, timeout=PATIENCE_SECONDS) as answer:
                return json.load(answer)["value"]
        except HTTPError as error:
            raise AssertionError(error.read().decode()) from None


@contextmanager
def running_driver() -> Iterator[str]:
    """Run Chromium's driver, and yield its address. Raises HostError if this machine cannot run it."""
    with Overlay(layer(CHROMIUM)) as overlay, _driver_in(overlay) as address:
        yield address


@contextmanager
def _driver_in(overlay: Overlay) -> Iterator[str]:
    port = free_port()
    words = ["env", "-i", "PATH=/usr/bin:/bin", "HOME=/root", "LANG=C.UTF-8", "chromedriver", f"--port={port}"]
    quiet = subprocess.DEVNULL
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(overlay.entering(words), stdin=quiet, stdout=quiet, stderr=quiet) as driver:
        try:
            _wait_until_it_answers(address, driver)
            yield address
        finally:
            driver.kill()


def _wait_until_it_answers(address: str, driver: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with _open(f"{address}/status", timeout=PATIENCE_SECONDS) as answer:
                if json.load(answer)["value"]["ready"]:
                    return
        except OSError:
            pass
        assert driver.poll() is None, "chromedriver exited"
        assert time.monotonic() < deadline, "chromedriver does not answer"
        time.sleep(0.1)
