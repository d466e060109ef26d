// Starts the page: reads the data, ties list and case together, handles the keyboard, the address and printing.

let list = null;

async function readData() {
  if (config.live) return (await fetch(config.data, { headers: { "X-Harness": "1" } })).json();
  const packed = atob(byId("data").textContent.trim());
  const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

/** The address holds the case and the filters, so that a link leads to what its sender saw. */
function remember() {
  if (!list) return;
  const words = new URLSearchParams();
  if (list.current) words.set("case", list.current.id);
  for (const [name, value] of Object.entries(list.filters)) {
    if (value && !(name === "on" && value === String(list.last))) words.set(name, value);
  }
  const hash = "#" + words.toString();
  if (hash !== location.hash) history.replaceState(null, "", hash);
}

function followAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(list.filters)) list.filters[name] = words.get(name) || (name === "on" ? String(list.last) : "");
  const wanted = words.get("case");
  list.showFilters();
  list.apply();
  const c = list.data.cases.find((one) => one.id === wanted) || (wanted ? null : list.shown[0]);
  if (c) list.open(c, Boolean(wanted));
  else if (wanted) say(tr("There is no case {id} in this run.", { id: wanted }));
}

const failing = (c) => { const side = list.side(c); return side && side.verdict !== "PASS" && side.verdict !== "SKIP"; };

const KEYS = {
  "/": [() => list.search.focus(), "search"],
  n: [() => list.move(1, failing), "next failing case"],
  p: [() => list.move(-1, failing), "previous failing case"],
  j: [() => list.move(1), "next case"],
  k: [() => list.move(-1), "previous case"],
  d: [() => nextMode(), "loops, or differences"],
  e: [() => { const button = document.querySelector("#detail .edit"); if (button) button.click(); }, "edit the standard answer"],
  "?": [() => help(), "this list"],
};

function nextMode() {
  const buttons = [...document.querySelectorAll("#detail .modes button")];
  const at = buttons.findIndex((b) => b.getAttribute("aria-pressed") === "true");
  if (buttons.length) buttons[(at + 1) % buttons.length].click();
}

function help() {
  const box = byId("help");
  if (box.open) { box.close(); return; }
  const keys = Object.entries(KEYS).filter(([key]) => config.live || key !== "e");
  box.replaceChildren(h("h3", null, tr("Keyboard")),
    h("dl", null, keys.map(([key, [, text]]) => [h("dt", null, h("kbd", null, key)), h("dd", null, tr(text))])),
    h("button", { type: "button", onclick: () => box.close() }, tr("Close")));
  box.showModal();
}

document.addEventListener("keydown", (event) => {
  if (!list || event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  const at = event.target;
  if (at.matches && at.matches("input, textarea, select")) {
    if (event.key === "Escape") at.blur();
    return;
  }
  const own = KEYS[event.key];
  if (own) { event.preventDefault(); own[0](); }
});

const PRINTED = 200;

/** On paper there is no list to click in, so the first cases that fail are written out. */
function beforePrint() {
  const place = byId("printed");
  const shown = detail.shown;
  const cases = list.shown.filter(failing);
  place.replaceChildren(...cases.slice(0, PRINTED).map((c) => {
    showCase(c);
    const copy = h("section", { class: "card body" });
    copy.append(...[...byId("detail").childNodes].map((node) => node.cloneNode(true)));
    return copy;
  }), cases.length > PRINTED ? h("p", null, tr("{n} more failing cases are not printed.", { n: cases.length - PRINTED })) : "");
  if (shown) showCase(shown);
}

async function start() {
  if (!byId("cases")) return;
  const data = await readData();
  list = new CaseList(data, showCase);
  byId("toolbar").replaceChildren(list.bar);
  byId("list").replaceChildren(list.box);
  byId("cases").hidden = false;
  if (!data.cases.length) byId("detail").replaceChildren(h("p", { class: "soft" }, tr("No case was run")));
  followAddress();
  addEventListener("hashchange", followAddress);
  addEventListener("beforeprint", beforePrint);
  byId("keys").addEventListener("click", help);
  document.documentElement.dataset.ready = "yes";
  if (config.live) await readNow();
}

start();
