// What every part of the page uses: elements, translations, units of text.
//
// Text only ever becomes a text node, so no answer of a model is markup. The content security policy allows this script
// by its hash and nothing else.

const SVG = "http://www.w3.org/2000/svg";

/** An element: attributes by name ("on..." are listeners), children are nodes, strings or null. */
function h(tag, attributes, ...children) {
  const node = tag === "svg" || tag === "path" ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== ""));
  return node;
}

const config = JSON.parse(document.getElementById("config").textContent);

/** A sentence in the page's language; {name} is replaced. The English sentence is the key. */
function tr(sentence, values) {
  const text = config.catalog[sentence] || sentence;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (values && name in values ? String(values[name]) : whole));
}

const UNITS = /[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]|[\p{L}\p{N}\p{M}'’_]+|\s+|[^\s]/gu;

/** Words, single characters of scripts without spaces, marks and white space. */
function unitsOf(text) {
  return text.match(UNITS) || [];
}

function byId(id) {
  return document.getElementById(id);
}

function chip(text, style) {
  return h("span", { class: "chip " + (style || "") }, text);
}

const STYLE = { PASS: "good", FAIL: "bad", ERROR: "odd", SKIP: "warn" };
const CHANGE_STYLE = { broken: "bad", fixed: "good", "still failing": "warn", "not judged": "odd" };

/** A score for people: three decimals, "-" where there is none. */
function score(value) {
  return value === null || value === undefined ? "-" : value.toFixed(3);
}

let announced = 0;

/** A note at the bottom of the page, which screen readers read too; with an action, a button. */
function say(text, action, run) {
  const place = byId("notes");
  const own = ++announced;
  place.replaceChildren(h("span", null, text), action ? h("button", { type: "button", onclick: run }, action) : null || "");
  place.hidden = false;
  setTimeout(() => { if (own === announced) place.hidden = true; }, action ? 20000 : 6000);
}
