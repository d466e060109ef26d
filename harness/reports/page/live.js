// What is under way, asked for every two seconds: results of a running suite, steps of a training.

const LIVE_SECONDS = 2;
const seen = { done: -1, status: null, trainings: "", next: 0 };

async function askLive() {
  const answer = await fetch("/live.json" + (config.run ? "?run=" + encodeURIComponent(config.run) : ""), { headers: { "X-Harness": "1" } });
  if (!answer.ok) return;
  const state = await answer.json();
  byId("live").replaceChildren(...state.runs.map(runWords), ...state.trainings.map(trainingWords));
  if (config.run && state.run) await followRun(state.run);
  const training = document.querySelector("[data-training]");
  const own = training && state.trainings.find((t) => t.name === training.dataset.training);
  const key = own ? own.phase + own.step : "";
  if (training && training.tagName === "DIV" && seen.trainings && key !== seen.trainings) location.reload();
  seen.trainings = key || seen.trainings;
}

function runWords(run) {
  const left = run.left ? ", " + tr("about {time} left", { time: run.left }) : "";
  return h("a", { href: "/run/" + encodeURIComponent(run.id), class: "now" },
    " " + tr("running: {done} of {total} results", { done: run.done, total: run.planned }) + left + " ");
}

function trainingWords(t) {
  const words = [tr(t.phase), t.total ? t.step + " / " + t.total : "", t.loss === null ? "" : tr("loss") + " " + t.loss.toFixed(3),
    t.left ? tr("about {time} left", { time: t.left }) : ""];
  return h("a", { href: "/training/" + encodeURIComponent(t.name), class: "now" }, " " + words.filter((w) => w).join(" · ") + " ");
}

/** New results appear in the list; when the run ends, the figures above it are read anew. */
async function followRun(run) {
  const underWay = (status) => status === "running" || status === "started";
  const ended = underWay(seen.status) && !underWay(run.status);
  seen.status = run.status;
  if (ended) { location.reload(); return; }
  if (seen.done < 0) seen.done = run.done;
  // Reading a large run takes time: it is read again after ten times as long.
  if (run.done === seen.done || !list || Date.now() < seen.next) return;
  seen.done = run.done;
  const began = Date.now();
  await reloadCases();
  seen.next = Date.now() + 10 * (Date.now() - began);
}

async function watchLive() {
  try {
    await askLive();
  } catch {
    byId("live").textContent = tr("The page's server has ended.");
  }
  setTimeout(watchLive, LIVE_SECONDS * 1000);
}

if (config.live) watchLive();
