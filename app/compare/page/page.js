"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const last = Number(document.body.dataset.last);
  const [numerator, denominator] = document.body.dataset.rate.split("/").map(Number);
  const rate = numerator / denominator;

  // The first, REF's, leads; the others follow it.
  const players = all("video");
  const leader = players[0];
  const playButton = byId("play"), slider = byId("frame"), speed = byId("speed");
  let frame = 0;
  let playing = false;

  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  // In the middle of the frame no rounding of times shows its neighbour.
  const timeOf = (index) => (index + 0.5) / rate;
  const frameAt = (time) => clamp(Math.floor(time * rate + 1e-6), 0, last);

  // Chart and legend.
  const chart = document.querySelector(".chart");
  const mark = chart.querySelector(".mark");
  const lines = [...chart.querySelectorAll(".test")].map((line) => line.points);
  const dots = [...chart.querySelectorAll(".dot")];
  const entries = all(".legend li").map((entry) => ({
    entry,
    lists: ["psnr", "ssim", "max"].map((name) => [name, entry.dataset[name].split(",")]),
  }));

  function render() {
    slider.value = frame;
    byId("where").value = `frame ${frame} of 0 to ${last} \u00b7 ${(frame / rate).toFixed(2)} s`;
    playButton.textContent = playing ? "Pause" : "Play";
    lines.forEach((points, index) => {
      const { x, y } = points.getItem(frame);
      dots[index].setAttribute("cx", x);
      dots[index].setAttribute("cy", y);
      mark.setAttribute("x1", x);
      mark.setAttribute("x2", x);
    });
    for (const { entry, lists } of entries) {
      for (const [name, values] of lists) entry.querySelector(`.${name}`).value = values[frame];
    }
  }

  function show(index) {
    pause();
    frame = clamp(index, 0, last);
    for (const player of players) player.currentTime = timeOf(frame);
    render();
  }

  function pause() {
    if (!playing) return;
    playing = false;
    for (const player of players) {
      player.pause();
      player.currentTime = timeOf(frame);
    }
    render();
  }

  const settled = (player) =>
    new Promise((done) => {
      if (!player.seeking && player.readyState >= 2) return done();
      const look = () => {
        if (player.seeking || player.readyState < 2) return;
        for (const name of ["seeked", "loadeddata"]) player.removeEventListener(name, look);
        done();
      };
      for (const name of ["seeked", "loadeddata"]) player.addEventListener(name, look);
    });

  // All start on one frame. A pause in between ends this start: it is no longer `started`.
  let started = 0;
  async function play(from) {
    const own = ++started;
    playing = true;
    frame = from;
    for (const player of players) player.currentTime = timeOf(frame);
    render();
    await Promise.all(players.map(settled));
    if (!playing || own !== started) return;
    setSpeed();
    // A pause refuses what has not begun to play.
    await Promise.all(players.map((player) => player.play().catch(() => {})));
    if (playing && own === started) requestAnimationFrame(() => follow(own));
  }

  function setSpeed() {
    for (const player of players) player.playbackRate = Number(speed.value);
  }

  // One that is more than half a frame away is put back; a smaller lead or lag is worked off.
  function keepInStep(player) {
    if (player.seeking || player.ended) return;
    const lead = (player.currentTime - leader.currentTime) * rate;
    if (Math.abs(lead) > 0.5) player.currentTime = leader.currentTime;
    const wanted = Number(speed.value) * (Math.abs(lead) < 0.1 ? 1 : 1 - Math.sign(lead) * 0.05);
    if (player.playbackRate !== wanted) player.playbackRate = wanted;
  }

  function follow(own) {
    if (!playing || own !== started) return;
    if (leader.ended) {
      if (byId("loop").checked) return play(0);
      return show(last);
    }
    players.slice(1).forEach(keepInStep);
    const now = frameAt(leader.currentTime);
    if (now !== frame) {
      frame = now;
      render();
    }
    requestAnimationFrame(() => follow(own));
  }

  const toggle = () => (playing ? pause() : play(frame === last ? 0 : frame));

  playButton.addEventListener("click", toggle);
  byId("back").addEventListener("click", () => show(frame - 1));
  byId("forth").addEventListener("click", () => show(frame + 1));
  slider.addEventListener("input", () => show(Number(slider.value)));
  speed.addEventListener("change", setSpeed);
  for (const button of all(".jump"))
    button.addEventListener("click", () => show(Number(button.dataset.frame)));
  // So that the space bar still plays after a click on another button; the keyboard's focus stays.
  document.addEventListener("pointerup", () =>
    setTimeout(() => {
      const { tagName, type } = document.activeElement ?? {};
      if (tagName === "BUTTON" || type === "checkbox") document.activeElement.blur();
    })
  );

  const keys = {
    " ": toggle,
    ArrowLeft: () => show(frame - 1),
    ArrowRight: () => show(frame + 1),
    Home: () => show(0),
    End: () => show(last),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || !(event.key in keys)) return;
    const tag = event.target.tagName;
    if (tag === "SELECT" || tag === "SUMMARY") return;
    if (event.key === " " && (tag === "BUTTON" || event.target.type === "checkbox")) return;
    event.preventDefault();
    keys[event.key]();
  });

  function frameUnder(event) {
    const point = new DOMPoint(event.clientX, event.clientY);
    const { x } = point.matrixTransform(chart.getScreenCTM().inverse());
    const left = Number(chart.dataset.left), right = Number(chart.dataset.right);
    return Math.round(((x - left) / (right - left)) * last);
  }
  chart.addEventListener("pointerdown", (event) => show(frameUnder(event)));
  chart.addEventListener("pointermove", (event) => {
    if (event.buttons & 1) show(frameUnder(event));
  });

  // Pixels stay squares where a small video is magnified.
  function sharpen() {
    const { width } = leader.parentElement.getBoundingClientRect();
    const magnified = width > 1.5 * Number(document.body.style.getPropertyValue("--width"));
    for (const player of players) player.parentElement.classList.toggle("magnified", magnified);
  }
  addEventListener("resize", sharpen);

  for (const player of players)
    player.addEventListener("error", () => (byId("no-video").hidden = false));
  sharpen();
  show(0);
})();
