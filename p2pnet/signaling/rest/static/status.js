// The page at "/": what the server says of itself, as it says it.
"use strict";

const KEPT = 120; // samples, as the server keeps them
const SHOWN = 200; // peers
const SVG = "http://www.w3.org/2000/svg";
const samples = [];
const peers = new Map();
let listed = false;
let early = null; // what happens while the list is on its way, which may know nothing of it

const place = (id) => document.getElementById(id);
const show = (id, text) => { place(id).textContent = text; };

function draw(id, values) {
  const chart = place(id);
  const most = Math.max(1, ...values);
  chart.setAttribute("viewBox", "0 0 120 40");
  chart.setAttribute("preserveAspectRatio", "none");
  chart.setAttribute("aria-label", `now ${values.at(-1) ?? 0}, at most ${most}`);
  const line = document.createElementNS(SVG, "polyline");
  const left = KEPT - values.length;
  line.setAttribute(
    "points", values.map((value, x) => `${left + x},${38 - 36 * value / most}`).join(" "));
  const label = document.createElementNS(SVG, "text");
  label.setAttribute("x", "2");
  label.setAttribute("y", "9");
  label.textContent = Math.round(most);
  chart.replaceChildren(line, label);
}

// What was counted between each two samples, per second; a restart counts from nought.
function rates(count) {
  return samples.slice(1).map((now, index) => {
    const before = samples[index];
    const grown = count(now) - count(before);
    return grown < 0 ? 0 : grown / Math.max(0.001, now.time - before.time);
  });
}

const successOf = (figures) => {
  const over = figures.direct + figures.relayed + figures.failed;
  return over ? 100 * (figures.direct + figures.relayed) / over : null;
};

function showFigures() {
  const now = samples.at(-1);
  if (now === undefined) return;
  for (const id of ["online", "registered", "associated", "introductions", "listeners"]) {
    show(id, now[id]);
  }
  const success = successOf(now);
  show("success", success === null ? "–" : `${Math.round(success)} %`);
  draw("chart-online", samples.map((each) => each.online));
  draw("chart-introductions", rates((each) => each.introductions).map((rate) => rate * 60));
  draw("chart-success", samples.map((each) => successOf(each) ?? 0));
  draw("chart-traffic", rates((each) => each.received + each.sent).map((rate) => rate / 1000));
}

function take(figures) {
  const last = samples.at(-1);
  if (last !== undefined && figures.time <= last.time) return;
  samples.push(figures);
  samples.splice(0, samples.length - KEPT);
  showFigures();
}

function showPeer(peer) {
  let row = peers.get(peer.peer_id);
  if (row === undefined) {
    if (peers.size >= SHOWN) return showMore(true);
    row = document.createElement("tr");
    row.append(...[0, 1, 2].map(() => document.createElement("td")));
    place("peers").append(row);
    peers.set(peer.peer_id, row);
  }
  // As text, never as HTML: others choose their names.
  [peer.username, peer.status, peer.peer_id].forEach((text, index) => {
    row.children[index].textContent = text;
  });
}

function hidePeer(id) {
  peers.get(id)?.remove();
  peers.delete(id);
}

function showMore(is) {
  place("more").hidden = !is;
}

async function ask(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function list() {
  if (!listed) return;
  const happened = early = [];
  try {
    const found = await ask(`v1/peers?limit=${SHOWN}`);
    if (early !== happened) return; // a newer list is on its way
    place("peers").replaceChildren();
    peers.clear();
    found.peers.forEach(showPeer);
    showMore(found.next !== undefined);
  } catch {
    if (early !== happened) return;
    setTimeout(list, 5000);
  }
  early = null;
  happened.forEach((act) => act());
}

function change(act) {
  if (early === null) act();
  else early.push(act);
}

function follow() {
  const source = new EventSource("events?figures=true");
  const on = (kind, act) => source.addEventListener(kind, (event) => act(JSON.parse(event.data)));
  source.onopen = () => show("state", "running");
  source.onerror = () => {
    show("state", "no connection; trying again …");
    // A browser gives up by itself when it is refused for a while.
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 5000);
  };
  on("start", list);
  on("reset", list);
  on("figures", take);
  on("peer", (event) => listed && change(() => showPeer(event.peer)));
  on("gone", (event) => listed && change(() => hidePeer(event.peer_id)));
}

async function begin() {
  try {
    const [service, history] = await Promise.all([ask("v1"), ask("v1/figures")]);
    listed = service.listing === "open";
    place("listing").hidden = !listed;
    history.samples.forEach(take);
    follow();
  } catch (error) {
    show("state", `no answer (${error.message}); trying again …`);
    setTimeout(begin, 5000);
  }
}

begin();
