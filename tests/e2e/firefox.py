"""A real headless Firefox, driven over Marionette, its own protocol: WebDriver's commands as JSON on
a socket. What WebDriver lacks is done by scripts in the browser itself: firefox_parent.js, and
firefox_process.js in each process that has pages.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile

from browser import WebDriver, WebDriverError
from harness import DEADLINE, wait_until

HERE = os.path.dirname(__file__)
PREFERENCES = {
    "marionette.port": 0,  # a free one, which Firefox writes to MarionetteActivePort
    "ui.prefersReducedMotion": 0,
    # No traffic, pages or questions of its own.
    "app.normandy.enabled": False,
    "app.update.auto": False,
    "browser.aboutwelcome.enabled": False,
    "browser.chrome.site_icons": False,
    "browser.newtabpage.enabled": False,
    "browser.sessionstore.resume_from_crash": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.ipc.processPrelaunch.enabled": False,
    "extensions.enabledScopes": 0,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.unified": False,
}

# WebDriver's requests by Marionette's names.
COMMANDS = {
    ("POST", "/url"): "WebDriver:Navigate",
    ("POST", "/back"): "WebDriver:Back",
    ("POST", "/forward"): "WebDriver:Forward",
    ("POST", "/refresh"): "WebDriver:Refresh",
    ("POST", "/window/new"): "WebDriver:NewWindow",
    ("GET", "/window"): "WebDriver:GetWindowHandle",
    ("GET", "/window/handles"): "WebDriver:GetWindowHandles",
    ("POST", "/window"): "WebDriver:SwitchToWindow",
    ("DELETE", "/window"): "WebDriver:CloseWindow",
    ("POST", "/window/minimize"): "WebDriver:MinimizeWindow",
    ("POST", "/window/rect"): "WebDriver:SetWindowRect",
    ("POST", "/frame"): "WebDriver:SwitchToFrame",
    ("POST", "/execute/sync"): "WebDriver:ExecuteScript",
    ("POST", "/actions"): "WebDriver:PerformActions",
    ("GET", "/screenshot"): "WebDriver:TakeScreenshot",
}


class Firefox(WebDriver):
    """One Firefox with a profile of its own."""

    def __init__(self, **preferences):
        self.profile = tempfile.mkdtemp(prefix="presence-firefox-")
        with open(os.path.join(self.profile, "user.js"), "w") as file:
            for name, value in {**PREFERENCES, **preferences}.items():
                file.write(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n")
        self.process = subprocess.Popen(
            ["firefox-esr", "--headless", "--marionette", "--remote-allow-system-access",
             "--no-remote", "--profile", self.profile],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, env={**os.environ, "HOME": self.profile})
        self.socket = self.answers = None
        self.last_id = 0
        try:
            port = wait_until(self.started, "Firefox to start")
            self.socket = socket.create_connection(("127.0.0.1", port), timeout=2 * DEADLINE)
            self.answers = self.socket.makefile("rb")
            self.receive()  # its greeting
            self.command("WebDriver:NewSession")
            self.inject()
        except BaseException:
            self.close()
            raise

    def started(self):
        if self.process.poll() is not None:
            raise AssertionError(f"Firefox ended with {self.process.returncode}")
        with contextlib.suppress(FileNotFoundError, ValueError):
            with open(os.path.join(self.profile, "MarionetteActivePort")) as file:
                return int(file.read())

    def inject(self):
        with open(os.path.join(HERE, "firefox_process.js")) as process:
            with open(os.path.join(HERE, "firefox_parent.js")) as parent:
                self.chrome(parent.read(), process.read())

    def close(self):
        with contextlib.suppress(Exception):
            if self.socket:
                self.command("Marionette:Quit", flags=["eForceQuit"])
        if self.answers:
            self.answers.close()
        if self.socket:
            self.socket.close()
        try:
            self.process.wait(timeout=DEADLINE if self.socket else 0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def receive(self):
        length = b""
        while (digit := self.answers.read(1)) != b":":
            if not digit:
                raise WebDriverError("Firefox closed the connection")
            length += digit
        return json.loads(self.answers.read(int(length)))

    def command(self, name, **parameters):
        self.last_id += 1
        message = json.dumps([0, self.last_id, name, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, value = self.receive()
        if error:
            raise WebDriverError(f"{name}: {error['error']}: {error['message']}")
        return value["value"] if isinstance(value, dict) and list(value) == ["value"] else value

    def call(self, method, path, body=None):
        body = dict(body or {})
        if path == "/execute/sync":
            body["sandbox"] = None  # in the page itself
        return self.command(COMMANDS[method, path], **body)

    def chrome(self, script, *arguments):
        """Run the body of a function in the browser, with all rights. `test` is what
        firefox_parent.js has left there."""
        script = f"const {{ presenceTest: test }} = Cu.getGlobalForObject(Services); {script}"
        self.command("Marionette:SetContext", value="chrome")
        try:
            return self.run(script, *arguments)
        finally:
            self.command("Marionette:SetContext", value="content")

    def preference(self, name, value):
        kind = {bool: "Bool", int: "Int", str: "String"}[type(value)]
        self.chrome(f"Services.prefs.set{kind}Pref(...arguments)", name, value)

    def new_window(self, url=None, kind="window"):
        """Open a window, never a tab: of the tabs in a window, all but one are hidden."""
        return super().new_window(url, "window")

    def new_private_window(self):
        old = self.windows()
        self.chrome("OpenBrowserWindow({ private: true })")
        handle = wait_until(lambda: next((each for each in self.windows() if each not in old), None),
                            "a private window")
        self.switch(handle)
        wait_until(lambda: self.chrome("return gBrowserInit.delayedStartupFinished"),
                   "a private window to be ready")
        return handle

    def before_pages(self, script):
        """Run a script in every page of the current window, before the page's own."""
        self.chrome("test.before(gBrowser.selectedBrowser.browsingContext, arguments[0])", script)

    def media(self, prefers_reduced_motion="no-preference"):
        """Emulate media features, in all windows."""
        self.preference("ui.prefersReducedMotion", int(prefers_reduced_motion == "reduce"))

    def picture(self, whole):
        return self.call("GET", "/screenshot", {"full": whole})

    def new_messages(self):
        return self.chrome("return test.messages.splice(0)")
