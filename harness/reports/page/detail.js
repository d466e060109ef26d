// One case: its conversation, its standard answer, the answers of all versions side by side.
//
// Answers come as parts, so loops are marked and folded as in every other report. With a difference chosen, the same
// text is shown against the other version or against the standard answer.

const detail = { shown: null, mode: "marks", attempt: new Map() };

function showCase(c, byUser) {
  detail.shown = c;
  const place = byId("detail");
  const modes = [["marks", tr("Loops")]];
  if (c.sides.filter((s) => s).length > 1) modes.push(["versions", tr("Difference of versions")]);
  if (c.standard !== null) modes.push(["standard", tr("Difference to the standard answer")]);
  if (!modes.some(([name]) => name === detail.mode)) detail.mode = "marks";
  place.replaceChildren(
    h("div", { class: "head" },
      h("button", { type: "button", class: "plain back", onclick: () => byId("cases").scrollIntoView() }, tr("Back to the list")),
      h("h3", { class: "id", dir: "auto" }, c.id), h("span", { class: "chips" },
        c.change ? chip(tr(c.change), CHANGE_STYLE[c.change]) : null, chip(c.role), c.tags.map((t) => chip(t)))),
    c.note ? h("p", { class: "warn" }, c.note) : "",
    h("div", { class: "modes", role: "group", "aria-label": tr("What is marked in the answers") }, modes.length < 2 ? null :
      modes.map(([name, text]) => h("button", {
        type: "button", "aria-pressed": String(detail.mode === name), onclick: () => { detail.mode = name; showCase(c); },
      }, text))),
    h("div", { class: "talk" }, c.messages.map(([role, text], n) => h("div", null,
      h("h4", null, c.messages.length === 1 ? tr("Prompt") : role), h("div", { class: "text quote", dir: "auto", tabindex: "0" }, text)))),
    standardAnswer(c),
    h("div", { class: "sides" }, c.sides.map((side, n) => showSide(c, side, n))),
    c.source ? h("p", { class: "soft small" }, tr("Source: {source}", { source: c.source })) : "");
  if (byUser && matchMedia("(max-width: 900px)").matches) place.scrollIntoView();
}

function standardAnswer(c) {
  const edit = config.live ? editStandardButton(c) : null;
  if (c.standard === null && !edit) return "";
  const changed = c.now && c.now.standard !== c.standard;
  return h("div", { class: "standard" }, h("h4", null, tr("Standard answer"), edit),
    changed ? h("div", { class: "text quote now", dir: "auto", tabindex: "0" },
      c.now.standard === null ? tr("(none)") : c.now.standard) : null,
    changed ? h("h4", null, tr("Standard answer of this run")) : null,
    h("div", { class: "text quote", dir: "auto", tabindex: "0" }, c.standard === null ? tr("(none)") : c.standard));
}

function showSide(c, side, n) {
  const name = h("b", { dir: "auto" }, list.data.adapters[n].name);
  if (!side) return h("div", { class: "side" }, h("div", { class: "head" }, name, chip(tr("not run"))));
  const at = Math.min(detail.attempt.get(c.id + " " + n) ?? side.shown, side.attempts.length - 1);
  const attempt = side.attempts[at];
  const several = side.attempts.length < 2 ? null : h("select", {
    "aria-label": tr("Answer"), value: String(at),
    onchange: (event) => { detail.attempt.set(c.id + " " + n, Number(event.target.value)); showCase(c); },
  }, side.attempts.map((a, m) => h("option", { value: String(m), selected: m === at },
    tr("answer {n} of {total}: {verdict}", { n: m + 1, total: side.attempts.length, verdict: a.verdict }))));
  return h("div", { class: "side" },
    h("div", { class: "head" }, name, chip(side.verdict, STYLE[side.verdict]), several,
      attempt ? h("span", { class: "soft small" }, attempt.end) : null,
      config.live && attempt ? [wholeButton(c, attempt, n), markButtons(c, side, attempt, n)] : null),
    h("div", { class: "text answer", dir: "auto", tabindex: "0" }, attempt ? answerNodes(c, attempt, n) : h("span", { class: "soft" }, tr("no answer"))),
    why(side, attempt, at === side.shown));
}

function answerNodes(c, attempt, n) {
  const whole = textOf(attempt);
  if (detail.mode === "standard" && c.standard !== null) return diffNodes(diffTexts(c.standard, whole), ["old", "new"], attempt);
  if (detail.mode === "versions") {
    const last = c.sides.length - 1, other = c.sides[n === last ? 0 : last];
    if (other && other.attempts.length) {
      const theirs = textOf(other.attempts[other.shown]);
      return n === last ? diffNodes(diffTexts(theirs, whole), ["new"], attempt)
        : diffNodes(diffTexts(whole, theirs), ["old"], attempt);
    }
  }
  return partNodes(attempt);
}

/** The answer's own text; what is folded stands there once more as its note. */
function textOf(attempt) {
  return attempt.parts.map(([kind, text]) => (kind === "fold" || kind === "cut" ? " […] " : text)).join("");
}

function partNodes(attempt) {
  if (!attempt.parts.length) return h("span", { class: "soft" }, tr("(empty)"));
  return attempt.parts.map(([kind, text]) =>
    kind === "plain" ? text : kind === "repeat" ? h("mark", null, text) : h("span", { class: kind }, text));
}

function diffNodes(parts, shown, attempt) {
  if (parts === null) {
    return [h("p", { class: "soft small" }, tr("The texts are too different to compare word by word.")), partNodes(attempt)];
  }
  return parts.filter(([kind]) => kind === "same" || shown.includes(kind))
    .map(([kind, text]) => (kind === "same" ? text : h(kind === "old" ? "del" : "ins", null, text)));
}

function why(side, attempt, first) {
  const reasons = attempt && attempt.reasons.length ? attempt.reasons : side.reasons;
  const facts = attempt ? attempt.facts : [];
  const words = first ? side.words : "";
  if (!reasons.length && !facts.length && !words) return "";
  return h("div", { class: "why" },
    words ? h("p", { class: "words" }, words) : null,
    reasons.length ? h("ul", null, reasons.map(([rule, text]) => h("li", null, h("code", null, rule), " ", text))) : null,
    facts.length ? h("div", { class: "facts" }, facts.map(([title, value]) => h("span", null, title + " ", h("b", null, value)))) : null);
}
