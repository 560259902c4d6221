"""Real headless browsers: what they share, and Chromium, driven over chromedriver's plain HTTP.

Every window is judged: what the console reports as an error, a violation of a content policy or an
exception that nobody caught, is in `complaints()`.
"""

import base64
import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile

from harness import DEADLINE, wait_until

CHROMEDRIVER = shutil.which("chromedriver") or "chromedriver"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element, fixed by WebDriver


class WebDriverError(Exception):
    pass


class WebDriver:
    """The commands that W3C WebDriver has for every browser. A browser knows how to send them
    (`call`), and says what its console has got since it was last asked (`new_messages`)."""

    messages = ()

    def complaints(self):
        """Return the errors on the consoles of all windows since the last call."""
        self.console()
        errors = [text for is_error, text in self.messages if is_error]
        self.messages = ()
        return errors

    def console(self):
        """Return all messages since the last call of complaints()."""
        self.messages = [*self.messages, *self.new_messages()]
        return [text for _, text in self.messages]

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def new_window(self, url=None, kind="window"):
        """Open a window or, faster, a tab: without a screen tabs are all visible."""
        handle = self.call("POST", "/window/new", {"type": kind})["handle"]
        self.switch(handle)
        if url:
            self.open(url)
        return handle

    def window(self):
        return self.call("GET", "/window")

    def windows(self):
        return self.call("GET", "/window/handles")

    def switch(self, handle):
        self.call("POST", "/window", {"handle": handle})

    def close_window(self, handle):
        self.switch(handle)
        self.call("DELETE", "/window")
        wait_until(lambda: handle not in self.windows(), "a window to close")
        rest = self.windows()
        if rest:
            self.switch(rest[0])

    def minimize(self):
        """Hide the current window: its pages see that they are hidden."""
        self.call("POST", "/window/minimize")

    def restore(self):
        self.call("POST", "/window/rect", {"width": 1000, "height": 800})

    def run(self, script, *arguments):
        """Run the body of a function in the page. Return its result."""
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def leave(self, script, *arguments):
        """Run what makes the page go, after the driver has been told the end of this script: otherwise
        chromedriver may run it in the next page, too, up to three times in all."""
        self.run("const { port1, port2 } = new MessageChannel();"
                 f"port1.onmessage = () => {{ port1.close(); {script} }};"
                 "port2.postMessage(null);", *arguments)

    def press(self, *keys):
        """Press keys one after another, where the focus is."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        keyboard = {"type": "key", "id": "keyboard", "actions": actions}
        self.call("POST", "/actions", {"actions": [keyboard]})

    def settle(self):
        """Wait until all finite animations have ended."""
        wait_until(lambda: self.run("""
            return document.getAnimations().every((each) =>
                each.playState !== 'running' || each.effect.getTiming().iterations === Infinity)
        """), "movements to end")

    def back(self):
        self.call("POST", "/back")

    def screenshot(self, path, whole=False):
        """Save the visible part of the page as PNG; all of it if `whole`."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.picture(whole)))


class Browser(WebDriver):
    """One Chromium with a profile of its own."""

    def __init__(self, *arguments):
        self.profile = tempfile.mkdtemp(prefix="presence-chromium-")
        self.log = tempfile.TemporaryFile(mode="w+")
        self.driver = subprocess.Popen(
            [CHROMEDRIVER, "--port=0"], stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            self.port = int(wait_until(self.started, "chromedriver to start"))
            self.session = None
            self.session = wait_until(lambda: self.begin(arguments), "Chromium to start")
        except BaseException:
            self.close()
            raise

    def started(self):
        if self.driver.poll() is not None:
            raise AssertionError(f"chromedriver ended with {self.driver.returncode}")
        with open(f"/proc/self/fd/{self.log.fileno()}") as log:
            found = re.search(r"started successfully on port (\d+)", log.read())
        return found and found[1]

    def begin(self, arguments):
        """Return a new session; None if Chromium has started so slowly that chromedriver gave up."""
        try:
            return self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome",
                "goog:loggingPrefs": {"browser": "ALL"},
                "goog:chromeOptions": {"args": [
                    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                    "--no-first-run", "--disable-background-networking", "--mute-audio",
                    "--disable-component-update", "--hide-scrollbars",
                    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup",  # two pages that nobody sees
                    f"--user-data-dir={self.profile}", *arguments]},
            }}})["sessionId"]
        except WebDriverError as error:
            if "unable to discover open pages" in str(error):
                return None
            raise

    def close(self):
        with contextlib.suppress(Exception):
            if self.session:
                self.call("DELETE", "")
        self.driver.terminate()
        try:
            self.driver.wait(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            self.driver.kill()
            self.driver.wait()
        self.log.close()
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, path, body=None):
        """Send a command of the session, or with a leading /session one of the driver."""
        if not path.startswith("/session"):
            path = f"/session/{self.session}{path}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2 * DEADLINE)
        try:
            connection.request(method, path, json.dumps(body or {}) if method == "POST" else None)
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "error" in value:
            raise WebDriverError(f"{path}: {value['error']}: {value['message']}")
        return value

    def devtools(self, command, **parameters):
        """Send a command of Chromium's DevTools protocol, in the current window."""
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def before_pages(self, script):
        """Run a script in every page of the current window, before the page's own."""
        self.devtools("Page.enable")
        self.devtools("Page.addScriptToEvaluateOnNewDocument", source=script)

    def size(self, width, height, phone=False):
        """Set the size of the page itself, without the window's borders."""
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=2 if phone else 1, mobile=phone)

    def media(self, **features):
        """Emulate media features: prefers_color_scheme="dark"."""
        self.devtools("Emulation.setEmulatedMedia", features=[
            {"name": name.replace("_", "-"), "value": value} for name, value in features.items()])

    def picture(self, whole):
        return self.devtools("Page.captureScreenshot", captureBeyondViewport=whole)["data"]

    def new_messages(self):
        entries = self.call("POST", "/se/log", {"type": "browser"})
        return [(entry["level"] == "SEVERE", entry["message"]) for entry in entries]
