// The list of cases: filters, search, order, and only those rows in the document that can be seen.
//
// Rows have one height, so 10,000 cases cost no more elements than the window holds.

const ROW = 62;

class CaseList {
  /** `cases` as in the data; `onOpen(case)` is called when one is chosen. */
  constructor(data, onOpen) {
    this.data = data;
    this.onOpen = onOpen;
    this.last = data.adapters.length - 1;
    this.filters = { q: "", verdict: "", change: "", role: "", folder: "", tag: "", on: String(this.last), sort: "" };
    this.shown = data.cases;
    this.current = null;
    this.space = h("div", { class: "space" });
    this.box = h("div", { class: "rows", role: "listbox", tabindex: "0", "aria-label": tr("Cases") }, this.space);
    this.box.addEventListener("scroll", () => this.draw(), { passive: true });
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.count = h("span", { class: "soft small", role: "status" });
    this.bar = this.toolbar();
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  toolbar() {
    const values = (pick) => {
      const counts = new Map();
      for (const c of this.data.cases) for (const v of pick(c)) counts.set(v, (counts.get(v) || 0) + 1);
      return [...counts].sort((x, y) => (x[0] < y[0] ? -1 : 1));
    };
    const verdict = (c) => [this.verdict(c)];
    this.search = h("input", {
      type: "search", placeholder: tr("Search ( / )"), "aria-label": tr("Search in ids, prompts and answers"),
      oninput: (event) => this.set("q", event.target.value),
    });
    this.selects = {};
    const choice = (name, label, options) => {
      if (options.length < 2 && name !== "sort") return null;
      const node = h("select", { "aria-label": label, onchange: (event) => this.set(name, event.target.value) },
        name === "sort" || name === "on" ? null : h("option", { value: "" }, label),
        options.map(([value, count, text]) =>
          h("option", { value }, (text || value) + (count === null ? "" : " (" + count + ")"))));
      this.selects[name] = node;
      return node;
    };
    return h("div", { class: "bar" },
      this.search,
      choice("verdict", tr("Verdict"), values(verdict)),
      choice("change", tr("Change"), values((c) => (c.change ? [c.change] : [])).map(([v, n]) => [v, n, tr(v)])),
      choice("role", tr("Role"), values((c) => [c.role])),
      choice("folder", tr("Folder"), values((c) => [c.folder])),
      choice("tag", tr("Tag"), values((c) => c.tags)),
      choice("on", tr("Version"), this.data.adapters.map((a, n) => [String(n), null, tr("on {name}", { name: a.name })])),
      choice("sort", tr("Order"), [["", null, tr("most interesting first")], ["id", null, tr("by id")],
        ["repetition", null, tr("most repetition first")], ["similarity", null, tr("least similar first")],
        ["length", null, tr("longest first")]]),
      h("button", { type: "button", class: "plain", onclick: () => this.clear() }, tr("Clear")),
      this.count);
  }

  side(c) { return c.sides[Number(this.filters.on)] || c.sides[this.last] || c.sides.find((s) => s); }

  verdict(c) { const side = this.side(c); return side ? side.verdict : "SKIP"; }

  set(name, value) {
    this.filters[name] = value;
    this.apply();
  }

  clear() {
    Object.assign(this.filters, { q: "", verdict: "", change: "", role: "", folder: "", tag: "", sort: "" });
    this.showFilters();
    this.apply();
  }

  showFilters() {
    this.search.value = this.filters.q;
    for (const [name, node] of Object.entries(this.selects)) node.value = this.filters[name];
  }

  apply() {
    const f = this.filters, words = f.q.toLowerCase().split(/\s+/).filter((w) => w);
    this.shown = this.data.cases.filter((c) =>
      (!f.verdict || this.verdict(c) === f.verdict) && (!f.change || c.change === f.change) &&
      (!f.role || c.role === f.role) && (!f.folder || c.folder === f.folder) && (!f.tag || c.tags.includes(f.tag)) &&
      (!words.length || words.every((w) => this.text(c).includes(w))));
    const by = {
      id: (c) => c.id, repetition: (c) => -((this.side(c) || {}).repetition ?? -1),
      similarity: (c) => (this.side(c) || {}).similarity ?? 2, length: (c) => -((this.side(c) || {}).units ?? -1),
    }[f.sort];
    if (by) {
      const keyed = this.shown.map((c, n) => [by(c), n, c]);
      keyed.sort((x, y) => (x[0] < y[0] ? -1 : x[0] > y[0] ? 1 : x[1] - y[1]));
      this.shown = keyed.map((k) => k[2]);
    }
    const total = this.data.cases.length;
    this.count.textContent = this.shown.length === total
      ? tr("{n} cases", { n: total }) : tr("{n} of {total} cases", { n: this.shown.length, total });
    this.box.scrollTop = 0;
    this.drawn = null;
    this.draw();
    remember();
  }

  /** Lower-case text that the search looks in, made once for each case. */
  text(c) {
    if (c.found === undefined) {
      const answers = c.sides.flatMap((s) => (s ? s.attempts.map((a) => a.parts.map((p) => p[1]).join("")) : []));
      Object.defineProperty(c, "found", {
        value: [c.id, ...c.tags, ...c.messages.map((m) => m[1]), c.standard || "", ...answers].join("\n").toLowerCase(),
      });
    }
    return c.found;
  }

  draw() {
    this.space.style.height = this.shown.length * ROW + "px";
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - 4);
    const last = Math.min(this.shown.length, first + Math.ceil(this.box.clientHeight / ROW) + 8);
    const key = first + " " + last + " " + (this.current && this.current.id);
    if (key === this.drawn) return;
    this.drawn = key;
    const rows = [];
    for (let n = first; n < last; n++) rows.push(this.row(this.shown[n], n));
    this.space.replaceChildren(...rows);
    if (!this.shown.length) this.space.replaceChildren(h("p", { class: "soft empty" }, tr("No case matches.")));
    const at = this.current ? this.shown.indexOf(this.current) : -1;
    if (at >= first && at < last) this.box.setAttribute("aria-activedescendant", "row-" + at);
    else this.box.removeAttribute("aria-activedescendant");
  }

  row(c, n) {
    const side = this.side(c), chosen = c === this.current;
    const node = h("div", {
      class: "row" + (chosen ? " chosen" : ""), role: "option", id: "row-" + n, "aria-selected": String(chosen),
      "aria-setsize": this.shown.length, "aria-posinset": n + 1, onclick: () => this.open(c, true),
    },
    h("div", { class: "line" }, h("span", { class: "id", dir: "auto" }, c.id),
      c.role === "fix" ? null : chip(c.role), turns(c)),
    h("div", { class: "line soft" }, h("bdi", null, side && side.words ? side.words : c.prompt)));
    node.style.top = n * ROW + "px";
    return node;
  }

  /** Open a case; `byUser` moves a narrow screen to it. */
  open(c, byUser) {
    this.current = c;
    const at = this.shown.indexOf(c);
    if (at >= 0) {
      const top = at * ROW, height = this.box.clientHeight;
      if (top < this.box.scrollTop) this.box.scrollTop = top;
      else if (top + ROW > this.box.scrollTop + height) this.box.scrollTop = top + ROW - height;
    }
    this.draw();
    this.onOpen(c, byUser);
    remember();
  }

  /** The next case in a direction for which `wanted` holds. */
  move(step, wanted) {
    let at = this.shown.indexOf(this.current);
    if (at < 0) at = step > 0 ? -1 : this.shown.length;
    for (at += step; at >= 0 && at < this.shown.length; at += step) {
      if (!wanted || wanted(this.shown[at])) { this.open(this.shown[at], false); return; }
    }
    say(step > 0 ? tr("That was the last one.") : tr("That was the first one."));
  }

  key(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
    if (event.key in steps) {
      event.preventDefault();
      const at = Math.max(0, this.shown.indexOf(this.current)) + steps[event.key];
      const next = this.shown[Math.min(Math.max(at, 0), this.shown.length - 1)];
      if (next) this.open(next, false);
    } else if (event.key === "Enter" && this.current) {
      byId("detail").focus();
    }
  }
}

/** The verdicts of a case on every version, oldest first. */
function turns(c) {
  const parts = [];
  c.sides.forEach((side, n) => {
    if (n) parts.push("→");
    parts.push(chip(side ? side.verdict : tr("not run"), side ? STYLE[side.verdict] : ""));
  });
  return h("span", { class: "turn" }, parts);
}
