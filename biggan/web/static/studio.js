// The page: its three views and drawing them. The views share one grid of tiles.
//
//   pictures  a grid of consecutive seeds
//   around    one picture, and neighbours of it in the grid
//   path      frames from one picture to another

import { Refusal, ask, lines } from "/api.js";
import { ClassPicker } from "/classes.js";
import { alertUser, animate, busy, hideAlert, png, showCode, zip } from "/saving.js";
import { $, active, className, describe, gridPictures, law, pathBody, random, setModels, state, translated } from "/scene.js";

const FPS = 12;
const COUNTS = [12, 24, 48];
const FARTHEST = 15;                // steps away from a seed; the API takes one more

let drawing = new AbortController();
let watching = 0;
let playing = 0;

// ---- drawing -------------------------------------------------------------------------------------------

// Draw the view anew. Whatever is being drawn is given up, on the server too.
async function show({ focus } = {}) {
  drawing.abort();
  drawing = new AbortController();
  const { signal } = drawing;
  clearTimeout(watching);
  stop();
  layOut();
  const slots = state.view === "path" ? pathSlots() : gridSlots();
  if (focus) $("grid").querySelector(".tile")?.focus();
  busy("Drawing …");
  hideAlert();
  try {
    const headers = await Promise.all(active().map((model, column) => fill(model, column, slots, signal)));
    busy("");
    await statistics(["failed", "pending"].find((state) => headers.includes(state)), signal);
  } catch (error) {
    if (signal.aborted) return;
    busy("");
    if (!(error instanceof Refusal)) throw error;
    alertUser(error.message);
  }
}

// Ask one model for its column of the slots; returns which statistics it drew with.
async function fill(model, column, slots, signal) {
  const wanted = slots.map(({ picture }) => picture && translated(picture, model));
  let body, places;
  if (state.view === "path") {
    if (state.ends.some((end) => !translated(end.picture, model))) return "own";
    body = pathBody(model);
    places = slots.map((_, k) => k);
  } else {
    places = [...wanted.keys()].filter((k) => wanted[k]);
    if (!places.length) return "own";
    body = { model: model.index, law: law(), pictures: places.map((k) => wanted[k]) };
  }
  let header = "own";
  for await (const line of lines(state.view === "path" ? "/api/path" : "/api/draw", body, signal, busy)) {
    if (signal.aborted) return header;
    if (line.statistics) header = line.statistics;
    else slots[places[line.index]].put(column, `data:image/png;base64,${line.png}`);
  }
  return header;
}

// Say which batch statistics these are; while the law's own are being measured look again.
async function statistics(other, signal) {
  const { kind, value } = law();
  const own = kind === "normal" ? "z from N(0, 1), with its batch statistics."
    : kind === "threshold" ? `|z| at most ${value}, with batch statistics of its own.`
    : `z from ${value} × N(0, 1) cut at 2, with batch statistics of its own.`;
  const failed = `With the statistics of N(0, 1): those of ${value} could not be measured; the terminal says why.`;
  if (other !== "pending") {
    $("statistics").textContent = other ? failed : own;
    return;
  }
  const { measuring } = await ask("/api/status", undefined, signal);
  const mine = measuring.filter((one) => one.law.kind === kind && one.law.value === value);
  if (!mine.length) {
    await show();
    return;
  }
  const done = Math.min(...mine.map((one) => one.passes));
  $("statistics").textContent = `A preview with the statistics of N(0, 1); those of ${value} are being measured: ${done} of ${mine[0].of}.`;
  watching = setTimeout(() => statistics("pending", signal).catch((error) => signal.aborted || alertUser(error.message)), 400);
}

// ---- views -----------------------------------------------------------------------------------------------

function layOut() {
  const path = state.view === "path", around = state.view === "around";
  $("around").hidden = !around;
  $("path").hidden = !path;
  $("grid").hidden = path;
  $("back").hidden = state.view === "pictures";
  $("zip").hidden = path;
  $("title").textContent = path ? "Path" : around ? "Around a picture" : "Pictures";
  $("legend").textContent = active().length > 1 ? `${active()[0].name} left, ${active()[1].name} right` : "";
  $("size-value").textContent = Number($("size").value).toFixed(1);
  $("truncation-value").textContent = law().kind === "normal" ? "off" : law().value.toFixed(2);
  $("truncation").setAttribute("aria-valuetext", law().kind === "normal" ? "off" : String(law().value));
  $("grid").style.setProperty("--columns", active().length);
  drawTray();
}

// Images of one picture, a model each; the old ones stay, faint, until the new ones come.
function images(holder, pixelated) {
  const count = active().length;
  while (holder.children.length > count) holder.lastChild.remove();
  while (holder.children.length < count) holder.append(Object.assign(document.createElement("img"), { alt: "", draggable: false }));
  [...holder.children].forEach((img, column) => {
    img.classList.add("stale");
    img.classList.toggle("pixelated", pixelated);
    img.title = count > 1 ? active()[column].name : "";
  });
  return (column, url) => {
    const img = holder.children[column];
    if (!img) return;
    img.src = url;
    img.classList.remove("stale");
  };
}

const small = () => state.models[0].resolution < 128;

function gridSlots() {
  const pictures = gridPictures(), grid = $("grid");
  while (grid.children.length > pictures.length) grid.lastChild.remove();
  while (grid.children.length < pictures.length) grid.append(makeTile());
  const slots = pictures.map((picture, k) => {
    const tile = grid.children[k];
    tile.picture = picture;
    tile.setAttribute("aria-label", `${describe(picture)}. Explore around it`);
    tile.querySelector(".caption").textContent = state.view === "pictures" ? `${className(picture)} · ${picture.seed}` : "";
    const known = active().every((model) => translated(picture, model));
    tile.classList.toggle("unknown", !known);
    tile.title = known ? describe(picture) : "The other model has no class of this name.";
    return { picture, put: images(tile.querySelector(".images"), small()) };
  });
  if (!grid.querySelector(".tile[tabindex='0']")) rove(grid.firstChild, false);
  if (state.view === "around") {
    slots.push({ picture: state.centre, put: images($("centre"), small()) });
    $("centre-caption").textContent = describe(state.centre);
  }
  return slots;
}

function makeTile() {
  const tile = Object.assign(document.createElement("button"), { type: "button", className: "tile", tabIndex: -1 });
  const holder = Object.assign(document.createElement("span"), { className: "images" });
  tile.append(holder, Object.assign(document.createElement("span"), { className: "caption" }));
  tile.addEventListener("click", () => explore(tile.picture));
  tile.addEventListener("focus", () => rove(tile, false));
  return tile;
}

function pathSlots() {
  state.frames = Array.from({ length: state.length }, () => []);
  $("scrub").max = state.length - 1;
  const put = images($("frame"), small());
  state.put = put;
  return state.frames.map((frame, k) => ({
    picture: null,
    put: (column, url) => {
      frame[column] = url;
      if (k === state.at) put(column, url);
    },
  }));
}

function scrub(at) {
  state.at = at;
  $("scrub").value = at;
  $("scrub").setAttribute("aria-valuetext", `${Math.round((100 * at) / (state.length - 1))} %`);
  state.frames[at]?.forEach((url, column) => state.put(column, url));
}

function play() {
  if (playing) return stop();
  let direction = 1;
  playing = setInterval(() => {
    if (state.at + direction < 0 || state.at + direction >= state.length) direction = -direction;
    scrub(state.at + direction);
  }, 1000 / FPS);
  $("play").textContent = "Pause";
  $("play").setAttribute("aria-pressed", "true");
  return undefined;
}

function stop() {
  clearInterval(playing);
  playing = 0;
  $("play").textContent = "Play";
  $("play").setAttribute("aria-pressed", "false");
}

function explore(picture) {
  if (picture.steps.length >= FARTHEST) return alertUser("This is as far as steps go. Go back, or re-roll.");
  state.trail.push({ view: state.view, centre: state.centre, steps: state.steps });
  Object.assign(state, { view: "around", centre: picture, steps: random() });
  stageInView();
  return show({ focus: true });
}

function back() {
  const before = state.trail.pop() ?? { view: "pictures", centre: null, steps: state.steps };
  Object.assign(state, before);
  show({ focus: true });
}

// On a phone the settings stand above the stage.
function stageInView() {
  const { top } = $("stage").getBoundingClientRect();
  if (top < 0 || top > innerHeight / 3) $("stage").scrollIntoView();
}

function home() {
  Object.assign(state, { view: "pictures", centre: null, trail: [] });
}

// ---- the ends of a path ----------------------------------------------------------------------------------

function setEnd(which, picture, url) {
  state.ends[which] = { picture, url };
  if (state.ends[0] && state.ends[1]) openPath();
  else drawTray();
}

function openPath() {
  if (state.view !== "path") state.trail.push({ view: state.view, centre: state.centre, steps: state.steps });
  Object.assign(state, { view: "path", at: 0 });
  $("scrub").value = 0;
  stageInView();
  show();
  $("scrub").focus();
}

function drawTray() {
  const [a, b] = state.ends;
  $("tray").hidden = !a && !b;
  $("interpolate").disabled = !a || !b;
  $("interpolate").hidden = state.view === "path";
  for (const [id, end, letter] of [["end-a", a, "A"], ["end-b", b, "B"]]) {
    const img = end?.url && Object.assign(document.createElement("img"), { src: end.url, alt: describe(end.picture) });
    if (img) img.classList.toggle("pixelated", small());
    $(id).replaceChildren(letter, img || Object.assign(document.createElement("i"), { textContent: "open a picture, press " + letter }));
  }
}

// ---- keys --------------------------------------------------------------------------------------

// One tile at a time can be reached by Tab; arrows move between them.
function rove(tile, focus = true) {
  for (const other of $("grid").children) other.tabIndex = other === tile ? 0 : -1;
  if (focus) tile.focus();
}

function arrow(event) {
  const tiles = [...$("grid").children], here = tiles.indexOf(document.activeElement);
  const columns = tiles.findIndex((tile) => tile.offsetTop > tiles[0].offsetTop);
  const across = columns < 0 ? tiles.length : columns;
  const move = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
  if (here < 0 || !move || !tiles[here + move]) return;
  event.preventDefault();
  rove(tiles[here + move]);
}

function shortcut(event) {
  const target = event.target;
  const typing = target.matches("input:not([type=range], [type=radio], [type=checkbox]), select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || typing || $("code-dialog").open) return;
  const key = event.key.toLowerCase();
  const tile = target.closest?.(".tile");
  const picture = tile?.picture ?? (state.view === "around" ? state.centre : null);
  const img = tile?.querySelector("img") ?? $("centre").querySelector("img");
  if (key === "r") reroll();
  else if (key === "/" && !$("search-box").hidden) { event.preventDefault(); $("search").focus(); }
  else if (key === "escape" && state.view !== "pictures") back();
  else if ((key === "a" || key === "b") && picture) setEnd(key === "a" ? 0 : 1, picture, img?.src);
}

function reroll() {
  if (state.view === "around") {
    state.steps = random();
  } else {
    $("seed").value = random();
    home();
  }
  show();
}

function listen() {
  let timer = 0;
  const soon = () => { layOut(); clearTimeout(timer); timer = setTimeout(show, 120); };
  const on = (id, event, action) => $(id).addEventListener(event, action);
  $("settings").addEventListener("submit", (event) => event.preventDefault());
  on("truncation", "input", soon);
  on("size", "input", soon);
  on("seed", "change", () => { home(); show(); });
  on("count", "change", () => { state.count = Number($("count").value); home(); show(); });
  on("compare", "change", () => show());
  on("reroll", "click", reroll);
  on("other", "click", reroll);
  on("back", "click", back);
  on("set-a", "click", () => setEnd(0, state.centre, $("centre").querySelector("img")?.src));
  on("set-b", "click", () => setEnd(1, state.centre, $("centre").querySelector("img")?.src));
  on("interpolate", "click", openPath);
  on("clear", "click", () => { state.ends = [null, null]; if (state.view === "path") back(); else drawTray(); });
  on("swap", "click", () => { state.ends.reverse(); show(); });
  on("scrub", "input", () => { stop(); scrub(Number($("scrub").value)); });
  on("play", "click", play);
  on("gif", "click", () => animate("gif"));
  on("webp", "click", () => animate("webp"));
  on("png", "click", png);
  on("zip", "click", zip);
  on("code", "click", showCode);
  on("grid", "keydown", arrow);
  document.querySelectorAll("input[name=moving]").forEach((radio) => radio.addEventListener("change", () => show()));
  document.addEventListener("keydown", shortcut);
  return soon;
}

async function start() {
  const most = setModels(await ask("/api/models"));
  const counts = COUNTS.filter((count) => count <= most);
  $("count").replaceChildren(...(counts.length ? counts : [most]).map((count) => new Option(count, count)));
  state.count = counts[1] ?? counts[0] ?? most;
  $("count").value = state.count;
  $("models").textContent = state.models.map(({ name, resolution, class_names: { length } }) =>
    `${name}: ${resolution} px, ${length} class${length > 1 ? "es" : ""}`).join(" | ");
  $("compare-row").hidden = state.models.length < 2;
  $("truncation").max = state.models[0].values.length;
  $("truncation").value = state.models[0].values.length;
  $("seed").value = 0;
  const soon = listen();
  state.picker = new ClassPicker(state.models[0].class_names, (slowly) => { home(); if (slowly) soon(); else show(); });
  await show();
}

start().catch((error) => { busy(""); alertUser(error.message); });
