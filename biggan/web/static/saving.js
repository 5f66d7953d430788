// Files, code to copy, and messages.

import { Refusal, ask, file } from "/api.js";
import { $, active, drawBody, pathBody, state, translated, wholePictures } from "/scene.js";

const FPS = 12;

export function busy(text) {
  $("busy").textContent = text;
}

export function alertUser(text) {
  $("alert").textContent = text;
  $("alert").hidden = false;
}

export function hideAlert() {
  $("alert").hidden = true;
}

const fileName = (model) => model.name.replace(/[^\w.]+/g, "-");

function save(url, name) {
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
}

function saveBlob(blob, name) {
  const url = URL.createObjectURL(blob);
  save(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// Do something that takes a moment, with the button that asked for it out of reach.
async function patiently(button, action) {
  button.disabled = true;
  hideAlert();
  busy("Preparing …");
  try {
    await action();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    alertUser(error.message);
  } finally {
    button.disabled = false;
    busy("");
  }
}

export const zip = () => patiently($("zip"), async () => {
  const pictures = wholePictures();
  for (const model of active()) {
    saveBlob(await file("/api/zip", drawBody(model, pictures), undefined, busy), `${fileName(model)}-seed${pictures[0].seed}.zip`);
  }
});

export const animate = (format) => patiently($(format), async () => {
  for (const model of active()) {
    if (state.ends.some((end) => !translated(end.picture, model))) continue;
    saveBlob(await file("/api/animation", { ...pathBody(model), format, fps: FPS }, undefined, busy), `${fileName(model)}-path.${format}`);
  }
});

export function png() {
  for (const [column, img] of [...$("centre").children].entries()) {
    if (img.src) save(img.src, `${fileName(active()[column])}-seed${state.centre.seed}.png`);
  }
}

export const showCode = () => patiently($("code"), async () => {
  const pictures = wholePictures();
  const blocks = [];
  for (const model of active()) {
    const code = state.view === "path"
      ? await ask("/api/code/animation", { ...pathBody(model), format: "gif", fps: FPS })
      : await ask("/api/code", drawBody(model, pictures));
    const of = active().length > 1 ? `, ${model.name}` : "";
    if (code.command) blocks.push(codeBlock(`Command${of}`, code.command));
    blocks.push(codeBlock(`Python${of}`, code.python));
  }
  $("code-blocks").replaceChildren(...blocks);
  $("code-dialog").showModal();
});

function codeBlock(name, text) {
  const block = document.createElement("section");
  const head = Object.assign(document.createElement("div"), { className: "row" });
  const copy = Object.assign(document.createElement("button"), { type: "button", textContent: "Copy" });
  const pre = Object.assign(document.createElement("pre"), { textContent: text, tabIndex: 0 });
  copy.setAttribute("aria-label", `Copy ${name}`);
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {                       // not allowed here: select it, and the keyboard can
      getSelection().selectAllChildren(pre);
      copy.textContent = "Selected";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });
  head.append(Object.assign(document.createElement("h3"), { textContent: name }), copy);
  block.append(head, pre);
  return block;
}
