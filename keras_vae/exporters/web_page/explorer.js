// The page: reads explorer.json, which says all there is to know of the model, and keeps what
// is shown in step with the latents z.

import { Player } from "./audio.js";
import { Decoder } from "./decoder.js";
import { displayOf } from "./displays.js";
import { LatentMap } from "./map.js";
import { noise } from "./random.js";
import { Sliders } from "./sliders.js";

const $ = (id) => document.getElementById(id);
// More sliders than this are folded away, and those of inactive latents but for two.
const SLIDERS = { most: 12, least: 2 };
// Where a map would take longer than this (ms), it gets fewer tiles, but some a side.
const MAP_PATIENCE = 1500;
const TILES_AT_LEAST = 4;
// Milliseconds of rest before what is not urgent is drawn.
const REST = 120;

class Explorer {
  constructor(config) {
    this.config = config;
    this.decoder = new Decoder(config);
    this.display = displayOf(config);
    const { dim, order, low, high } = config.latent;
    this.state = {
      z: [],
      label: 0,
      axes: order.slice(0, 2),
      low,
      high,
      // Decimals of a slider's step: about a thousandth of its length.
      digits: low.map((l, i) => Math.max(0, Math.ceil(-Math.log10((high[i] - l) / 300)))),
    };
    this.start = config.latent.examples[0] ?? { z: Array(dim).fill(0), label: 0 };
    this.wanted = false;
    this.shown = null;
  }

  async open() {
    await this.decoder.open();
    this.#set(fromAddress(this.config) ?? this.start);
    const move = (moved) => this.move({ z: moved });
    this.sliders = new Sliders(this.state, this.decoder, this.display, move);
    if (this.state.axes.length === 2) {
      const tiles = await this.#tiles();
      this.map = new LatentMap(this.state, this.decoder, this.display, tiles, move);
    }
    this.#write();
    this.#listen();
    await this.#drawExamples();
    await this.move({});
  }

  // How many the map has, across and up.
  async #tiles() {
    const { z, label } = this.state;
    const rows = Array(TILES_AT_LEAST ** 2).fill(z);
    await this.decoder.decode(rows, label); // the first run is slower
    const before = performance.now();
    await this.decoder.decode(rows, label);
    const each = Math.max(performance.now() - before, 0.1) / rows.length;
    const affordable = Math.floor(Math.sqrt(MAP_PATIENCE / each));
    return this.display.tiles.map((most) =>
      Math.min(most, Math.max(affordable, TILES_AT_LEAST)),
    );
  }

  /** Go to other latents or another label. */
  async move(change) {
    this.#set(change);
    this.sliders.place();
    this.map?.place();
    this.#busy();
    this.rest = setTimeout(() => this.#rested(), REST);
    this.wanted = true;
    this.shown ??= this.#show();
    await this.shown;
  }

  #set({ z = this.state.z, label = this.state.label }) {
    // Two decimals more than sliders have: what is written is what is decoded.
    const { digits } = this.state;
    this.state.z = z.map((value, i) => Number(value.toFixed(digits[i] + 2)));
    this.state.label = label ?? 0;
  }

  // Until all is drawn; what was to be drawn at rest is not.
  #busy() {
    $("explorer").ariaBusy = true;
    clearTimeout(this.rest);
    this.rest = null;
  }

  // Decodes once more if z has moved meanwhile; never queues.
  async #show() {
    try {
      while (this.wanted) {
        this.wanted = false;
        const { z, label } = this.state;
        const [x] = await this.decoder.decode([z], label, true);
        this.#paint(x, z, label);
      }
    } catch (error) {
      fail(error);
    } finally {
      this.shown = null;
    }
  }

  #paint(x, z, label) {
    this.x = x;
    const said = `z = [${z.join(", ")}]`;
    if (this.display.pictures) {
      this.display.paint($("output").getContext("2d"), x);
      if (this.display.rows) this.#list(x);
      $("output").setAttribute("aria-label", `What is decoded from ${said}`);
    } else {
      $("text").textContent = this.display.words(x);
    }
    $("numbers").textContent = said;
    const radio = document.querySelector(`#condition input[value="${label}"]`);
    if (radio) radio.checked = true;
  }

  #list(x) {
    const rows = this.display.rows(x).map(([name, value]) => {
      const row = document.createElement("tr");
      const head = Object.assign(document.createElement("th"), { scope: "row" });
      head.textContent = name;
      row.append(head, Object.assign(document.createElement("td"), { textContent: value }));
      return row;
    });
    $("columns").firstElementChild.replaceChildren(...rows);
  }

  async #rested() {
    const { rest } = this;
    const { z, label } = this.state;
    const condition = this.config.condition ? `&label=${label}` : "";
    history.replaceState(null, "", `#z=${z.join(",")}${condition}`);
    try {
      await Promise.all([this.shown, this.map?.draw(), this.sliders.draw()]);
    } catch (error) {
      fail(error);
    }
    if (rest === this.rest) $("explorer").ariaBusy = false;
  }

  async #sample() {
    const { prior } = this.config;
    const drawn = noise(prior.noise);
    this.#busy();
    const z = prior.standard
      ? Object.values(drawn)[0]
      : await this.decoder.latentOf(drawn, this.state.label);
    await this.move({ z });
  }

  // What is on the page.

  #write() {
    const { title, subtitle, latent, display, facts, prior, left_out: leftOut } = this.config;
    document.title = title;
    $("title").textContent = title;
    $("subtitle").textContent = subtitle;
    $("explorer").dataset.kind = display.kind;
    $("output").hidden = !this.display.pictures;
    $("text").hidden = this.display.pictures;
    $("columns").hidden = !this.display.rows;
    if (this.display.pictures) {
      [$("output").width, $("output").height] = this.display.size("output");
    }
    $("sample").hidden = !prior; // one that the page cannot draw from
    $("no-sample").hidden = !leftOut.generate;
    $("no-sample").textContent = `No button samples: ${leftOut.generate}`;
    $("play").hidden = display.kind !== "audio";
    for (const [name, value] of Object.entries(facts)) {
      const pair = document.createElement("div");
      const term = Object.assign(document.createElement("dt"), { textContent: name });
      pair.append(term, Object.assign(document.createElement("dd"), { textContent: value }));
      $("facts").append(pair);
    }
    this.#writeLatents();
    this.#writeAxes();
    this.#writeLabels();
    $("explorer").hidden = false;
    document.querySelector("footer").hidden = false;
    $("copy").hidden = !navigator.clipboard; // which pages from other machines lack over HTTP
    const { active } = latent;
    $("latents-note").textContent = active === null ? "" : `${active} of ${latent.dim} active`;
  }

  #writeLatents() {
    const { order, active } = this.config.latent;
    const shown = Math.min(Math.max(active ?? Infinity, SLIDERS.least), SLIDERS.most);
    order.slice(0, shown).forEach((i) => this.sliders.add($("shown"), i));
    const folded = order.slice(shown);
    $("folded").hidden = folded.length === 0;
    $("folded").querySelector("summary").textContent =
      active !== null && shown >= active
        ? `${folded.length} inactive`
        : `${folded.length} more`;
    folded.forEach((i) => this.sliders.add($("folded").querySelector("ul"), i));
  }

  #writeAxes() {
    $("map").hidden = !this.map;
    if (!this.map) return;
    [$("across"), $("up")].forEach((select, axis) => {
      for (const i of this.config.latent.order) select.add(new Option(`z${subscript(i)}`, i));
      select.value = this.state.axes[axis];
      select.addEventListener("change", () => {
        const { axes } = this.state;
        const chosen = Number(select.value);
        if (axes[1 - axis] === chosen) axes[1 - axis] = axes[axis]; // they change places
        axes[axis] = chosen;
        $("across").value = axes[0];
        $("up").value = axes[1];
        this.move({});
      });
    });
  }

  #writeLabels() {
    const { condition } = this.config;
    $("condition").hidden = !condition;
    condition?.labels.forEach((name, value) => {
      const label = document.createElement("label");
      const radio = Object.assign(document.createElement("input"), {
        type: "radio",
        name: "label",
        value,
      });
      radio.addEventListener("change", () => this.move({ label: value }));
      const span = Object.assign(document.createElement("span"), { textContent: name });
      label.append(radio, span);
      document.querySelector("#condition .labels").append(label);
    });
    if (condition) $("choices").hidden = false;
  }

  async #drawExamples() {
    const { examples } = this.config.latent;
    if (examples.length === 0) return;
    $("examples").hidden = false;
    $("choices").hidden = false;
    for (const [number, { z, label }] of examples.entries()) {
      const [x] = await this.decoder.decode([z], label ?? 0);
      const button = Object.assign(document.createElement("button"), { type: "button" });
      button.setAttribute("aria-label", `Example ${number + 1}`);
      if (this.display.pictures) {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = this.display.size("thumb");
        button.append(canvas);
        $("examples").querySelector(".thumbs").append(button);
        this.display.paint(canvas.getContext("2d"), x, 0, 0, "thumb");
      } else {
        button.textContent = this.display.words(x);
        $("examples").querySelector(".thumbs").append(button);
      }
      button.addEventListener("click", () => this.move({ z, label }));
    }
  }

  #listen() {
    const { display } = this.config;
    $("sample").addEventListener("click", () => this.#sample().catch(fail));
    $("reset").addEventListener("click", () => this.move(this.start));
    $("copy").addEventListener("click", () =>
      navigator.clipboard.writeText(JSON.stringify(this.state.z)).catch(fail),
    );
    addEventListener("hashchange", () => this.move(fromAddress(this.config) ?? {}));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.map?.forget();
      this.sliders.forget();
      this.move({});
    });
    if (display.kind !== "audio") return;
    const peak = Math.max(1, -display.low, display.high);
    const player = new Player(display.sample_rate, peak, (playing) => {
      $("play").textContent = playing ? "Stop" : "Play";
    });
    $("play").addEventListener("click", () => player.toggle(this.x).catch(fail));
  }
}

// z and label from the page's address, which can be shared; null if it has none.
function fromAddress({ latent, condition }) {
  const address = new URLSearchParams(location.hash.slice(1));
  const z = (address.get("z") ?? "").split(",").map(Number);
  if (z.length !== latent.dim || !address.get("z") || !z.every(Number.isFinite)) return null;
  const label = Number(address.get("label") ?? 0);
  return { z, label: condition?.labels[label] === undefined ? 0 : label };
}

function subscript(i) {
  return String(i).replace(/\d/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]);
}

function fail(error) {
  $("status").hidden = false;
  $("status").classList.add("error");
  $("status").textContent = error.message || String(error);
}

async function main() {
  $("stuck").remove();
  const response = await fetch("explorer.json", { cache: "no-cache" });
  if (!response.ok) throw new Error(`explorer.json cannot be loaded: ${response.status}.`);
  const config = await response.json();
  $("status").textContent = `Loading the model and ${config.runtime.name} ...`;
  const explorer = new Explorer(config);
  await explorer.open();
  $("status").hidden = true;
}

main().catch(fail);
