// What people change from the page: standard answers, marks, pairs, versions. Every change can be undone.

async function send(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json", "X-Harness": "1" }, body: JSON.stringify(body),
  });
  if (!answer.ok) {
    say(await answer.text());
    return null;
  }
  return answer.json();
}

async function undo() {
  const done = await send("/undo", {});
  if (!done) return;
  say(tr("Undone: {what}", { what: done.undone }));
  if (list) await readNow();
  else location.reload();
}

/** What the case files say now: standard answers and marks; it comes after the recorded cases. */
async function readNow() {
  const answer = await fetch(config.now, { headers: { "X-Harness": "1" } });
  if (!answer.ok) { say(await answer.text()); return; }
  const now = await answer.json();
  for (const c of list.data.cases) c.now = now[c.id] || null;
  if (detail.shown) showCase(detail.shown);
}

/** Read the cases of a run that goes on, and stay where the reader is. */
async function reloadCases() {
  const data = await readData();
  const id = list.current && list.current.id;
  list.data = data;
  const top = list.box.scrollTop;
  list.apply();
  list.box.scrollTop = top;
  const c = data.cases.find((one) => one.id === id);
  if (c) { list.current = c; list.drawn = null; list.draw(); showCase(c); }
  await readNow();
}

/** What was folded away, on demand: the recorded answer to its last character. */
function wholeButton(c, attempt, n) {
  if (!attempt.parts.some(([kind]) => kind === "fold" || kind === "cut")) return null;
  const show = async () => {
    const words = new URLSearchParams({ case: c.id, version: list.data.adapters[n].name, sample: attempt.sample });
    const answer = await fetch("/run/" + encodeURIComponent(config.run) + "/answer.json?" + words, { headers: { "X-Harness": "1" } });
    if (!answer.ok) { say(await answer.text()); return; }
    attempt.parts = [["plain", (await answer.json()).text]];
    showCase(c);
  };
  return h("button", { type: "button", class: "whole", onclick: show }, tr("Whole answer"));
}

function markOf(c, attempt, n) {
  const answers = c.now && c.now.answers[list.data.adapters[n].name];
  return (answers && answers[attempt.sample]) || "";
}

function editStandardButton(c) {
  if (c.now === undefined) return null;
  if (!c.now) return h("span", { class: "soft small" }, tr("the case files do not hold this case now"));
  return h("button", { type: "button", class: "edit", onclick: () => editStandard(c) },
    c.now.standard === null ? tr("Write") : tr("Edit"));
}

function editStandard(c) {
  const place = document.querySelector("#detail .standard");
  const area = h("textarea", { "aria-label": tr("Standard answer"), dir: "auto", value: c.now.standard || "" });
  const save = async () => {
    if (!(await send("/edit/standard-answer", { case: c.id, text: area.value }))) return;
    await readNow();
    say(tr("Written into the case file. The next run judges by it."), tr("Undo"), undo);
  };
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
    if (event.key === "Escape") { event.stopPropagation(); showCase(c); }
  });
  place.replaceChildren(h("h4", null, tr("Standard answer")), h("div", { class: "form" }, area,
    h("div", { class: "actions" },
      h("button", { type: "button", class: "main save", onclick: save }, tr("Save (Ctrl-Enter)")),
      h("button", { type: "button", onclick: () => showCase(c) }, tr("Cancel (Esc)")))));
  area.focus();
}

function markButtons(c, side, attempt, n) {
  if (!c.now || !attempt.parts.length) return null;
  const known = markOf(c, attempt, n);
  const body = (mark) => ({ run: config.run, case: c.id, version: list.data.adapters[n].name, sample: attempt.sample, mark });
  const set = (mark, text) => async () => {
    if (!(await send("/edit/mark", body(mark)))) return;
    await readNow();
    say(text, tr("Undo"), undo);
  };
  if (known === "accepted" || known === "rejected") {
    return h("span", { class: "actions" },
      chip(known === "accepted" ? tr("marked: not a loop") : tr("marked: bad"), known === "accepted" ? "good" : "bad"),
      h("button", { type: "button", class: "unmark", onclick: set("", tr("The mark is gone.")) }, tr("Take back")));
  }
  if (side.verdict === "FAIL" && side.repeater && known === "whole") {
    return h("button", { type: "button", class: "accept", onclick: set("accepted", tr("Accepted: the next run does not count it as a loop.")) }, tr("Not a loop"));
  }
  if (side.verdict === "PASS") {
    return h("button", { type: "button", class: "reject", onclick: set("rejected", tr("Rejected: the next run fails this answer.")) }, tr("Bad answer"));
  }
  return null;
}

/** Buttons of the other pages; what they mean is in their data attributes. */
const ACTIONS = {
  undo,
  bless: async (button) => {
    if (await send("/edit/version", { name: button.dataset.name, blessed: true })) location.reload();
  },
  refuse: async (button) => {
    const reason = byId("reason").value;
    if (!reason.trim()) { byId("reason").focus(); say(tr("Say why it is refused.")); return; }
    if (await send("/edit/version", { name: button.dataset.name, blessed: false, reason })) location.reload();
  },
  "drop-pair": async (button) => {
    const pair = button.closest(".pair").dataset;
    if (await send("/edit/pair", { training: pair.training, digest: pair.digest, number: Number(pair.number), texts: null })) location.reload();
  },
  "edit-pair": (button) => {
    const pair = button.closest(".pair");
    const areas = ["chosen", "rejected"].map((field) => {
      const text = pair.querySelector('[data-field="' + field + '"]');
      const area = h("textarea", { "aria-label": tr(field), dir: "auto", value: text.dataset.whole });
      text.replaceWith(area);
      return area;
    });
    const { training, digest, number } = pair.dataset;
    const save = async () => {
      const texts = areas.map((area) => area.value);
      if (await send("/edit/pair", { training, digest, number: Number(number), texts })) location.reload();
    };
    button.parentElement.replaceChildren(
      h("button", { type: "button", class: "main save", onclick: save }, tr("Save")),
      h("button", { type: "button", onclick: () => location.reload() }, tr("Cancel")));
    areas[0].focus();
  },
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-action]");
  if (button) ACTIONS[button.dataset.action](button);
});
