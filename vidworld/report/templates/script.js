// Videos of one row start together, stay together and can be stepped; without this script they simply loop.
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
const HOLD_MS = 700; // the last frame stays a moment, so that an outcome can be read
const SPEEDS = [1, 0.5, 0.25];

function runTogether(rollout) {
  const videos = [...rollout.querySelectorAll("video")];
  const fps = Number(rollout.dataset.fps);
  const context = Number(rollout.dataset.context);
  const bar = rollout.querySelector(".controls-bar");
  const slider = bar.querySelector("input");
  const button = (name) => bar.querySelector(`[data-do=${name}]`);
  let playing = !calm, seen = false, speed = 0, hold = 0, frames = 1, shown = -1;

  const frameNow = () => Math.min(frames - 1, Math.floor(videos[0].currentTime * fps + 1e-3));
  function show(frame) {
    if (frame === shown) return;
    shown = frame;
    const predicted = frame >= context;
    rollout.classList.toggle("predicted", predicted);
    slider.value = frame;
    slider.setAttribute("aria-valuetext", `frame ${frame + 1} of ${frames}, ${predicted ? "predicted" : "context"}`);
    bar.querySelector("output").textContent = `frame ${frame + 1} of ${frames} · ${predicted ? "predicted" : "context"}`;
    for (const figure of rollout.querySelectorAll(".video"))
      figure.querySelector(".phase").textContent = predicted ? figure.dataset.shows : "context";
  }
  function seek(frame) {
    for (const video of videos) video.currentTime = (frame + 0.5) / fps;
    show(frame);
  }
  function apply() {
    clearTimeout(hold);
    button("play").textContent = playing ? "Pause" : "Play";
    button("play").setAttribute("aria-label", playing ? "Pause" : "Play");
    for (const video of videos) {
      video.playbackRate = SPEEDS[speed];
      if (playing && seen) video.play().catch(() => {});
      else video.pause();
    }
    if (playing && seen) requestAnimationFrame(follow);
  }
  function follow() {
    if (!playing || !seen) return;
    show(frameNow());
    const leader = videos[0];
    for (const video of videos.slice(1))
      if (!video.ended && Math.abs(video.currentTime - leader.currentTime) > 0.5 / fps) video.currentTime = leader.currentTime;
    if (videos.every((video) => video.ended)) hold = setTimeout(() => { seek(0); apply(); }, HOLD_MS);
    else requestAnimationFrame(follow);
  }
  function step(by) {
    playing = false;
    apply();
    seek((shown + by + frames) % frames);
  }

  bar.addEventListener("click", (event) => {
    const action = event.target.dataset.do;
    if (action === "back") step(-1);
    if (action === "next") step(1);
    if (action === "play") { playing = !playing; if (playing && videos.every((v) => v.ended)) seek(0); apply(); }
    if (action === "speed") { speed = (speed + 1) % SPEEDS.length; event.target.textContent = ["1×", "½×", "¼×"][speed]; apply(); }
  });
  slider.addEventListener("input", () => { playing = false; apply(); seek(Number(slider.value)); });

  for (const video of videos) { video.loop = false; video.autoplay = false; video.pause(); }
  const ready = (video) => video.readyState >= 2 ? Promise.resolve()
    : new Promise((done) => ["loadeddata", "error"].forEach((name) => video.addEventListener(name, done, { once: true })));
  let prepared = null; // once the row is first seen: a page may hold many videos
  const prepare = () => Promise.all(videos.map(ready)).then(() => {
    frames = Math.max(1, Math.round(Math.min(...videos.map((video) => video.duration || Infinity)) * fps)) || 1;
    slider.max = frames - 1;
    bar.hidden = false;
    seek(0);
  });
  new IntersectionObserver(([entry]) => {
    seen = entry.isIntersecting;
    if (seen) prepared ??= prepare();
    prepared?.then(apply);
  }).observe(rollout);
}
document.querySelectorAll(".rollout").forEach(runTogether);
