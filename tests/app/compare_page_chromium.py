#!/usr/bin/env python3
"""Opens pages of cogvx-compare in a headless Chromium (Debian's chromium-driver) and looks at their players.

Makes clips whose frames carry their number as bars, and reads it from every player: at chosen frames, while they play,
and after a pause. Then it puts a clip that is one frame late in place of TEST's player and sees that found.
With --page it opens that page alone, for a --screenshot."""

import argparse
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BITS = 6
FRAMES = 60  # two seconds at the fastest rate, so that a second of playing does not loop


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "app", "cogvx-compare"))
    parser.add_argument("--page", help="open this page instead of made ones")
    parser.add_argument("--screenshot", help="write a PNG of the page to this file")
    parser.add_argument("--width", type=int, default=1280, help="of the screenshot's window, in pixels")
    parser.add_argument("--height", type=int, help="the same; without it the whole page's")
    parser.add_argument("--frame", type=int, default=0, help="that the screenshot shows")
    parser.add_argument("--dark", action="store_true", help="the screenshot in dark colours")
    return parser.parse_args()


class Failure(Exception):
    pass


def require(met, words):
    if not met:
        raise Failure(words)


class Browser:
    """A session of WebDriver; https://www.w3.org/TR/webdriver2 has the calls."""

    def __init__(self, folder):
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.session = ""
        self.base = f"http://127.0.0.1:{self.port()}"
        arguments = [
            "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
            "--no-first-run", "--disable-background-networking", "--window-size=1280,1000",
            f"--user-data-dir={os.path.join(folder, 'profile')}",
        ]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")
        capabilities = {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
        }
        answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self.session = f"/session/{answer['sessionId']}"

    def port(self):
        for line in self.driver.stdout:
            found = re.search(r"started successfully on port (\d+)", line)
            if found:
                return int(found.group(1))
        raise Failure("chromedriver ended without naming its port")

    def call(self, method, path, body=None):
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(
            self.base + self.session + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            # A proxy of the environment is none for this machine.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise Failure(f"WebDriver {method} {path}: {json.load(error)['value']['message']}") from error

    def open(self, path):
        self.call("POST", "/url", {"url": "file://" + urllib.request.pathname2url(os.path.abspath(path))})

    def run(self, script, *arguments):
        """The value that the script's promise holds."""
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def click(self, selector):
        (element,) = self.call("POST", "/element", {"using": "css selector", "value": selector}).values()
        self.call("POST", f"/element/{element}/click")

    def press(self, key):
        keys = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": keys}]})

    def devtools(self, command, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def log(self, kind):
        return self.call("POST", "/se/log", {"type": kind})

    def close(self):
        if self.session:
            self.call("DELETE", "")
        self.driver.terminate()
        self.driver.wait()


# Functions that the scripts below share. Bars of REF and TEST are in their upper half; the difference's, as the TEST
# differs from REF there, in the lower one.
READERS = """
const players = [...document.querySelectorAll("video")];
const canvas = document.createElement("canvas");
canvas.width = 192; canvas.height = 128;
const context = canvas.getContext("2d", {willReadFrequently: true});
const digits = (player, index) => {
  context.drawImage(player, 0, 0, canvas.width, canvas.height);
  const row = index > 0 && index % 2 === 0 ? 96 : 32;
  const bar = (index) => context.getImageData((index + 0.5) * canvas.width / (BITS + 2), row, 1, 1).data[1];
  const bright = bar(0);  // always on, as the next one never is
  if (bright < 40 || bar(1) > bright / 3) return -1;
  let number = 0;
  for (let bit = 0; bit < BITS; ++bit)
    number += bar(2 + bit) > bright / 2 ? 1 << bit : 0;
  return number;
};
const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
const settled = async () => {
  for (let tries = 0; players.some((p) => p.seeking || p.readyState < 2) && tries < 600; ++tries) await drawn();
  await drawn();
};
""".replace("BITS", str(BITS))

READ_AT = READERS + """
const slider = document.getElementById("frame");
slider.value = arguments[0];
slider.dispatchEvent(new Event("input", {bubbles: true}));
await settled();
return players.map(digits);
"""

READ_NOW = READERS + "await settled(); return [Number(document.getElementById('frame').value), ...players.map(digits)];"

# What all players show, at every repaint of so many milliseconds.
WATCH = READERS + """
const seen = [], end = performance.now() + arguments[0];
while (performance.now() < end) {
  seen.push(players.map(digits));
  await new Promise(requestAnimationFrame);
}
return seen;
"""


def clip(path, size, rate, codec, late=0, lower=0):
    """FRAMES frames; `lower` is the brightness of a second row of bars, `late` delays all by so many frames."""
    width, height = size
    data = bytearray()
    for frame in range(FRAMES):
        number = max(0, frame - late)
        bars = [1, 0] + [number >> bit & 1 for bit in range(BITS)]
        row = bytes(v for x in range(width) for v in [bars[x * len(bars) // width] * 230] * 3)
        below = bytes(v * lower // 230 for v in row)
        data += row * (height // 2) + below * (height - height // 2)
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", rate]
        + ["-i", "-", *codec, path],
        input=bytes(data), check=True,
    )


def make_page(program, page, reference, tests):
    command = [program, reference, *tests, "--html", page]
    done = subprocess.run(command, capture_output=True, text=True)
    require(done.returncode == 1, f"{' '.join(command)} ended with {done.returncode}, wanted 1: {done.stderr}")


def check_frames(browser, tests=1):
    for frame in [0, FRAMES - 1, 1, 7, 8, 9, FRAMES - 2, 32, 0]:
        seen = browser.run(READ_AT, frame)
        require(seen == [frame] * (1 + 2 * tests), f"slider at {frame}: REF, each TEST and its difference show {seen}")


def check_keys(browser):
    browser.run(READ_AT, 12)
    for key, wanted in [("\ue014", 13), ("\ue014", 14), ("\ue012", 13), ("\ue010", FRAMES - 1), ("\ue011", 0)]:
        browser.press(key)
        seen = browser.run(READ_NOW)
        require(set(seen) == {wanted}, f"after a key at frame {wanted}: slider and players show {seen}")


def spread(frames):
    return max(frames) - min(frames)


def check_playing(browser, rate):
    browser.run(READ_AT, 2)
    browser.click("#play")
    time.sleep(0.3)
    seen = browser.run(WATCH, 1000)
    browser.press(" ")
    require(len(seen) >= 10, f"only {len(seen)} repaints in a second")
    require(min(min(frames) for frames in seen) >= 0, f"a player shows no frame while playing: {seen}")
    apart = max(spread(frames) for frames in seen)
    require(apart <= 1, f"players are {apart} frames apart while playing: {seen}")
    ran = seen[-1][0] - seen[0][0]
    require(ran > 0.5 * rate, f"REF ran {ran} frames in a second at {rate} frames a second")
    paused = browser.run(READ_NOW)
    require(spread(paused) == 0, f"after the pause slider and players show {paused}")
    later = browser.run(READ_NOW)
    require(later == paused, f"after the pause the players go on: {paused}, then {later}")
    together = sum(spread(frames) == 0 for frames in seen) / len(seen)
    print(f"  played: {ran} frames in a second, never more than {apart} apart, {together:.0%} of repaints on one frame")


def check_slow(browser, rate):
    browser.run("const s = document.getElementById('speed'); s.value = '0.25'; s.dispatchEvent(new Event('change'));")
    browser.run(READ_AT, 0)
    browser.click("#play")
    seen = browser.run(WATCH, 1500)
    browser.press(" ")
    ran = seen[-1][0] - seen[0][0]
    require(0 < ran <= 0.25 * 1.5 * rate + 1, f"at a quarter of the speed REF ran {ran} frames in 1.5 seconds")
    browser.run("const s = document.getElementById('speed'); s.value = '1'; s.dispatchEvent(new Event('change'));")


def check_loop(browser):
    browser.run(READ_AT, FRAMES - 2)
    browser.press(" ")
    seen = [frames[0] for frames in browser.run(WATCH, 1200)]
    require(any(frame < FRAMES - 2 for frame in seen), f"does not loop: {seen}")
    browser.click("#loop")
    browser.run(READ_AT, FRAMES - 3)
    browser.press(" ")
    for _ in range(100):
        state = browser.run("return document.getElementById('play').textContent")
        if state == "Play":
            break
        time.sleep(0.1)
    seen = browser.run(READ_NOW)
    require(state == "Play" and set(seen) == {FRAMES - 1}, f"without loop it ends {state} with {seen}")


def check_chart(browser):
    """A click at two thirds of the chart's width."""
    browser.run("document.querySelector('.chart').scrollIntoView({block: 'center'})")
    at = browser.run("""
        const chart = document.querySelector(".chart"), {left, right} = chart.dataset;
        const x = Number(left) + (right - left) * 20 / arguments[0];
        const {x: clientX, y: clientY} = new DOMPoint(x, 100).matrixTransform(chart.getScreenCTM());
        return [Math.round(clientX), Math.round(clientY)];""", FRAMES - 1)
    moves = [{"type": "pointerMove", "x": at[0], "y": at[1], "duration": 0}]
    moves += [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
    browser.call("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": moves}]})
    seen = browser.run(READ_NOW)
    require(set(seen) == {20}, f"a click on frame 20 of the chart shows {seen}")
    wanted, mark, dot = browser.run("""
        const chart = document.querySelector(".chart"), {left, right} = chart.dataset;
        return [Number(left) + (right - left) * 20 / arguments[0],
                Number(chart.querySelector(".mark").getAttribute("x1")),
                Number(chart.querySelector(".dot").getAttribute("cx"))];""", FRAMES - 1)
    require(abs(mark - wanted) < 0.1 and mark == dot, f"the mark is at {mark}, the dot at {dot}, frame 20 at {wanted}")


def check_network(browser):
    entries = browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    asked = [name for name in entries if not name.startswith("data:")]
    for entry in browser.log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    outside = [url for url in asked if not url.startswith(("data:", "file:"))]
    require(not outside, f"the page asks for {outside}")
    require(sum(url.startswith("file:") for url in asked) == 1, f"the page asks for other files: {asked}")
    said = [entry["message"][:300] for entry in browser.log("browser")]
    require(not said, f"the browser says {said}")


def check_page(browser, page, rate, tests):
    browser.log("performance")
    browser.open(page)
    check_frames(browser, tests)
    check_keys(browser)
    check_playing(browser, rate)
    check_slow(browser, rate)
    check_loop(browser)
    check_chart(browser)
    check_network(browser)


def with_late_test(page, late_page):
    """The page with the TEST player of another one."""
    copy = re.compile(rb'src="data:video/mp4;base64,[^"]*"')
    with open(page, "rb") as file:
        text = file.read()
    with open(late_page, "rb") as file:
        late = copy.findall(file.read())[1]
    own = copy.findall(text)[1]
    require(own != late, "the late clip is the same")
    return text.replace(own, late, 1)


def check_late_is_found(browser, program, folder, page):
    paths = {name: os.path.join(folder, name) for name in ("ref.mkv", "late.mkv", "late.html", "false.html")}
    clip(paths["late.mkv"], (96, 64), "12", ["-c:v", "ffv1"], late=1, lower=120)
    make_page(program, paths["late.html"], paths["ref.mkv"], [paths["late.mkv"]])
    with open(paths["false.html"], "wb") as file:
        file.write(with_late_test(page, paths["late.html"]))
    browser.open(paths["false.html"])
    try:
        check_frames(browser)
    except Failure as found:
        print(f"a TEST that is one frame late is found: {found}")
        return
    raise Failure("a page whose TEST player is one frame late was not found")


def photograph(browser, options):
    features = [{"name": "prefers-color-scheme", "value": "dark" if options.dark else "light"}]
    browser.devtools("Emulation.setEmulatedMedia", features=features)
    view = {"width": options.width, "deviceScaleFactor": 1, "mobile": False}
    browser.devtools("Emulation.setDeviceMetricsOverride", height=1000, **view)
    browser.run(READ_AT, options.frame)
    height = options.height or browser.run("return document.documentElement.scrollHeight")
    browser.devtools("Emulation.setDeviceMetricsOverride", height=height, **view)
    browser.run(READ_NOW)
    wide = browser.run("return document.documentElement.scrollWidth")
    require(wide <= options.width, f"the page is {wide} pixels wide in a window of {options.width}")
    with open(options.screenshot, "wb") as file:
        file.write(base64.b64decode(browser.call("GET", "/screenshot")))


def check_made_pages(browser, options, folder):
    lossless, lossy = ["-c:v", "ffv1"], ["-c:v", "libx264", "-pix_fmt", "yuv420p"]
    cases = [((96, 64), "12", 12, lossless, "mkv", 1), ((97, 65), "30000/1001", 30, lossless, "mkv", 1),
             ((240, 160), "8", 8, lossy, "mp4", 1), ((96, 64), "24", 24, lossless, "mkv", 3)]
    for number, (size, rate, per_second, codec, ending, tests) in enumerate(cases):
        print(f"clips of {size[0]}x{size[1]} at {rate} frames a second, TESTs: {tests}")
        names = [f"{name}{number or ''}.{end}" for name, end in (("ref", ending), ("test", ending), ("page", "html"))]
        reference, test, page = (os.path.join(folder, name) for name in names)
        clip(reference, size, rate, codec)
        clip(test, size, rate, codec, lower=120)
        make_page(options.program, page, reference, [test] * tests)
        check_page(browser, page, per_second, tests)
    check_late_is_found(browser, options.program, folder, os.path.join(folder, "page.html"))
    browser.open(os.path.join(folder, "page.html"))


def main():
    options = parse_options()
    for tool in ["chromedriver", "ffmpeg"]:
        if not shutil.which(tool):
            sys.exit(f"compare_page_chromium.py: no {tool} here; install the packages chromium-driver and ffmpeg")
    with tempfile.TemporaryDirectory() as folder:
        browser = Browser(folder)
        try:
            if options.page:
                browser.open(options.page)
            else:
                check_made_pages(browser, options, folder)
            if options.screenshot:
                photograph(browser, options)
        except Failure as failure:
            sys.exit(f"compare_page_chromium.py: FAILED: {failure}")
        finally:
            browser.close()
    print("compare_page_chromium: good")


main()
