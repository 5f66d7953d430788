// The class picker: chips for a few classes, a searched list for many, and weights for mixtures.

const CHIPS = 16;                   // up to so many classes all are shown as chips
const FOUND = 60;                   // matches listed at once
const EVEN = 0.5;                   // a weight at first, with room both ways
const MIXED = 3;             // classes in a mixture, at most

const $ = (id) => document.getElementById(id);

export class ClassPicker {
  constructor(names, changed) {
    this.names = names;
    this.changed = changed;
    this.chosen = [];               // labels, in the order in which they were chosen; none: all classes
    this.weights = new Map();
    this.few = names.length <= CHIPS;
    this.matches = [];
    this.at = 0;
    $("search-box").hidden = this.few;
    $("search").placeholder = `Find one of ${names.length.toLocaleString("en")} classes`;
    $("search").addEventListener("input", () => this.find());
    $("search").addEventListener("focus", () => this.find());
    $("search").addEventListener("blur", () => this.close());
    $("search").addEventListener("keydown", (event) => this.key(event));
    $("mixing").addEventListener("change", () => { this.draw(); this.changed(); });
    this.draw();
  }

  get mixed() {
    return this.mixable && document.querySelector("input[name=mix]:checked").value === "mix";
  }

  get mixable() {
    return this.chosen.length > 1 && this.chosen.length <= MIXED;
  }

  // The classes of the k-th of `count` pictures, as the API takes them.
  of(k, count) {
    if (this.mixed) return this.chosen.map((label) => ({ label, weight: this.weights.get(label) ?? EVEN }));
    if (this.chosen.length) return [{ label: this.chosen[k % this.chosen.length], weight: 1 }];
    const n = this.names.length;
    return [{ label: n <= count ? k % n : Math.floor((k * n) / count), weight: 1 }];
  }

  toggle(label) {
    this.chosen = this.chosen.includes(label) ? this.chosen.filter((other) => other !== label) : [...this.chosen, label];
    this.draw();
    this.changed();
  }

  draw() {
    const focused = document.activeElement?.dataset?.label;
    const shown = this.few ? this.names.map((_, label) => label) : this.chosen;
    const all = chip("All", this.chosen.length === 0, () => { this.chosen = []; this.draw(); this.changed(); });
    all.dataset.label = "all";
    $("chips").replaceChildren(all, ...shown.map((label) => {
      const on = this.chosen.includes(label);
      const made = chip(this.names[label], on, () => this.toggle(label));
      made.dataset.label = label;
      if (!this.few) {
        made.append(" ✕");
        made.setAttribute("aria-label", `Remove ${this.names[label]}`);
      }
      return made;
    }));
    if (focused !== undefined) $("chips").querySelector(`[data-label="${focused}"]`)?.focus();
    $("mixing").hidden = !this.mixable;
    $("class-hint").textContent = this.chosen.length > MIXED ? `In turn. Two or three can be mixed.`
      : this.chosen.length === 1 && this.few ? "Choose another one to mix them." : "";
    $("weights").replaceChildren(...(this.mixed ? this.chosen.map((label) => this.weight(label)) : []));
  }

  weight(label) {
    const row = document.createElement("label");
    const input = Object.assign(document.createElement("input"),
      { type: "range", min: "0.05", max: "1", step: "0.05", value: this.weights.get(label) ?? EVEN });
    input.setAttribute("aria-label", `Weight of ${this.names[label]}`);
    const share = document.createElement("output");
    row.append(this.names[label], input, share);
    input.addEventListener("input", () => {
      this.weights.set(label, Number(input.value));
      this.shares();
      this.changed(true);
    });
    queueMicrotask(() => this.shares());
    return row;
  }

  shares() {
    const rows = [...$("weights").children];
    const total = rows.reduce((sum, row) => sum + Number(row.querySelector("input").value), 0);
    for (const row of rows) {
      row.querySelector("output").textContent = `${Math.round((100 * row.querySelector("input").value) / total)} %`;
    }
  }

  // ---- the list of matches ---------------------------------------------------------------------------

  find() {
    const text = $("search").value.trim().toLowerCase();
    const rank = (name) => name.startsWith(text) ? 0 : name.includes(` ${text}`) ? 1 : name.includes(text) ? 2 : 3;
    this.matches = this.names
      .map((name, label) => [rank(name.toLowerCase()), label])
      .filter(([found]) => found < 3)
      .sort((a, b) => a[0] - b[0] || a[1] - b[1])
      .slice(0, FOUND)
      .map(([, label]) => label);
    this.at = 0;
    this.list();
  }

  list() {
    const rows = this.matches.map((label, k) => {
      const row = document.createElement("li");
      Object.assign(row, { id: `match-${k}`, role: "option", textContent: this.names[label] });
      row.setAttribute("aria-selected", this.chosen.includes(label));
      row.classList.toggle("active", k === this.at);
      row.addEventListener("pointerdown", (event) => { event.preventDefault(); this.at = k; this.take(); });
      return row;
    });
    if (!rows.length) {
      rows.push(Object.assign(document.createElement("li"), { className: "none", textContent: "No class has this name." }));
    }
    $("matches").replaceChildren(...rows);
    $("matches").hidden = false;
    $("search").setAttribute("aria-expanded", "true");
    if (this.matches.length) $("search").setAttribute("aria-activedescendant", `match-${this.at}`);
    $("matches").children[this.at]?.scrollIntoView({ block: "nearest" });
  }

  take() {
    if (this.matches.length) this.toggle(this.matches[this.at]);
    $("search").value = "";
    this.close();
  }

  close() {
    $("matches").hidden = true;
    $("search").setAttribute("aria-expanded", "false");
    $("search").removeAttribute("aria-activedescendant");
  }

  key(event) {
    if (event.key === "Escape") {
      event.stopPropagation();
      return this.close();
    }
    if (event.key === "Enter") {
      event.preventDefault();
      return $("matches").hidden ? this.find() : this.take();
    }
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!move) return undefined;
    event.preventDefault();
    if ($("matches").hidden) return this.find();
    this.at = Math.min(Math.max(this.at + move, 0), this.matches.length - 1);
    return this.list();
  }
}

function chip(text, on, action) {
  const made = Object.assign(document.createElement("button"), { type: "button", className: "chip", textContent: text });
  made.setAttribute("aria-pressed", on);
  made.addEventListener("click", action);
  return made;
}
