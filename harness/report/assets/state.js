// State: what is looked at. One span of time, one cursor, one chosen operation, shared by every chart.
//
// 1. Every change goes through set(); whoever draws listens, and is called once a frame at most.
// 2. The state is in the URL's hash, but for the cursor: a link shows another person what you see.
// 3. An operation is known by the index of its invocation in the history, not by its place on this page.
"use strict";
const report = (() => {
  document.body.classList.remove("no-script");
  const data = JSON.parse(document.getElementById("data").textContent);
  const ops = data.ops;
  const count = ops.start.length;
  const end = Math.max(data.end, 0.001);
  const outcomes = ["ok", "fail", "info"];
  const start = Float64Array.from(ops.start, (us) => us / 1e6);
  const stop = Float64Array.from(ops.start, (us, row) => (us + ops.took[row]) / 1e6);
  const rowOf = new Map();
  for (let row = 0; row < count; row++) {
    rowOf.set(ops.index[row], row);
    if (ops.done[row] >= 0) rowOf.set(ops.done[row], row);
  }
  const telling = new Uint8Array(count);
  for (const anomaly of data.anomalies)
    if (anomaly.verdict === "invalid") for (const index of anomaly.ops) if (rowOf.has(index)) telling[rowOf.get(index)] = 1;

  const whole = { from: 0, to: end * 1.005 };
  const state = { ...whole, op: null, anomaly: 0, key: "", query: "", cursor: null };
  const listeners = [];
  let waiting = null;

  function set(change) {
    const before = { ...state };
    Object.assign(state, change);
    if (change.from !== undefined || change.to !== undefined) {
      // Below a microsecond there is nothing to see, and beyond the run neither.
      const breadth = Math.min(Math.max(state.to - state.from, 1e-6), whole.to);
      state.from = Math.min(Math.max(state.from, 0), whole.to - breadth);
      state.to = state.from + breadth;
    }
    const changed = new Set(Object.keys(state).filter((name) => state[name] !== before[name]));
    if (!changed.size) return;
    if (waiting) changed.forEach((name) => waiting.add(name));
    else {
      waiting = changed;
      requestAnimationFrame(() => {
        const due = waiting;
        waiting = null;
        if (due.has("key") || due.has("query")) filter();
        for (const listener of listeners) listener(due);
        if ([...due].some((name) => name !== "cursor")) writeHash();
      });
    }
  }

  function hash() {
    const parts = new URLSearchParams();
    if (state.from > 0 || state.to < whole.to) {
      const digits = state.to - state.from < 0.1 ? 6 : 3;
      parts.set("from", state.from.toFixed(digits));
      parts.set("to", state.to.toFixed(digits));
    }
    if (state.op !== null) parts.set("op", state.op);
    if (state.anomaly) parts.set("anomaly", state.anomaly);
    if (state.key) parts.set("key", state.key);
    if (state.query) parts.set("find", state.query);
    return "#" + parts;
  }

  let writing = 0;
  function writeHash() {
    clearTimeout(writing);
    // Browsers refuse a page that rewrites its address hundreds of times while something is dragged.
    writing = setTimeout(() => {
      if (location.hash !== hash() && !(hash() === "#" && !location.hash)) history.replaceState(null, "", hash());
    }, 120);
  }

  function readHash() {
    const parts = new URLSearchParams(location.hash.slice(1));
    if (location.hash && ![...parts.keys()].some((name) => ["from", "to", "op", "anomaly", "key", "find"].includes(name))) return;
    const number = (name) => (parts.has(name) && Number.isFinite(+parts.get(name)) ? +parts.get(name) : null);
    const change = {
      op: number("op"),
      anomaly: Math.min(Math.max(Math.trunc(number("anomaly") ?? 0), 0), data.anomalies.length),
      key: ops.names.key.includes(parts.get("key")) ? parts.get("key") : "",
      query: parts.get("find") ?? "",
    };
    set({ ...change, from: number("from") ?? 0, to: number("to") ?? whole.to });
    // A link to an operation alone has to bring it into view.
    if (change.op !== null && number("from") === null) lookAt(change.op);
  }

  function lookAt(index) {
    const row = rowOf.get(index);
    set({ op: index });
    if (row === undefined) return;
    const breadth = Math.min(state.to - state.from, Math.max(1, (stop[row] - start[row]) * 4));
    const narrow = state.to - state.from <= Math.max(4, breadth * 4);
    if (narrow && start[row] >= state.from && stop[row] <= state.to) return;
    const middle = (start[row] + Math.min(stop[row], start[row] + breadth)) / 2;
    set({ from: middle - breadth / 2, to: middle + breadth / 2, cursor: start[row] });
  }

  function showAnomaly(number) {
    const many = data.anomalies.length;
    if (!many) return;
    const at = ((number - 1 + many) % many + many) % many;
    const anomaly = data.anomalies[at];
    const margin = Math.max((anomaly.end - anomaly.start) * (anomaly.ops.length > 1 ? 0.08 : 8), 0.05);
    set({ anomaly: at + 1, op: anomaly.ops.length ? anomaly.ops[0] : null, from: anomaly.start - margin, to: anomaly.end + margin });
  }

  const zoom = (factor, around) => {
    const middle = around ?? (state.from + state.to) / 2;
    set({ from: middle - (middle - state.from) * factor, to: middle + (state.to - middle) * factor });
  };
  const pan = (seconds) => set({ from: state.from + seconds, to: state.to + seconds });

  // Which rows the key filter and the search leave bright; null for all.
  let bright = null;
  let found = [];
  function filter() {
    const query = state.query.trim().toLowerCase();
    const key = state.key;
    found = [];
    if (!query && !key) return void (bright = null);
    const number = /^#?\d+$/.test(query) ? Number(query.replace("#", "")) : null;
    bright = new Uint8Array(count);
    for (let row = 0; row < count; row++) {
      if (key && ops.names.key[ops.key[row]] !== key) continue;
      const matches = !query || text(row).includes(query) || ops.index[row] === number || ops.done[row] === number;
      bright[row] = matches ? 1 : 0;
      if (matches && query) found.push(row);
    }
    // A number means that event first, and operations with such a value after it.
    if (number !== null) found.sort((a, b) => isEvent(b, number) - isEvent(a, number) || a - b);
  }
  const isEvent = (row, index) => (ops.index[row] === index || ops.done[row] === index ? 1 : 0);
  function text(row) {
    const names = ops.names;
    return `${names.f[ops.f[row]]} ${names.key[ops.key[row]]} ${ops.value[row]} ${names.node[ops.node[row]]} p${ops.process[row]} ${outcomes[ops.outcome[row]]} ${names.error[ops.error[row]]}`.toLowerCase();
  }

  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  let palette = {};
  function colours() {
    const wanted = "page raised line soft-line ink quiet accent ok fail info invalid valid unknown partition kill pause other selected shade".split(" ");
    for (const name of wanted) {
      probe.style.color = `var(--${name})`;
      palette[name] = getComputedStyle(probe).color;
    }
    palette.sans = getComputedStyle(document.body).fontFamily;
    palette.of = (family) => palette[["partition", "kill", "pause"].includes(family) ? family : "other"];
  }
  colours();

  const seconds = (at) => `${at.toFixed(state.to - state.from < 0.05 ? 6 : state.to - state.from < 30 ? 3 : 2)} s`;
  function duration(s) {
    if (s < 1e-3) return `${(s * 1e6).toFixed(0)} µs`;
    return s < 1 ? `${(s * 1e3).toPrecision(3)} ms` : `${s.toFixed(3)} s`;
  }
  // As sRGB's text needs it: `rgb(1, 2, 3)` with another opacity.
  const faded = (colour, share) => `color-mix(in srgb, ${colour} ${share * 100}%, transparent)`;

  return {
    data, ops, count, end, whole, outcomes, start, stop, rowOf, telling, state,
    set, lookAt, showAnomaly, zoom, pan, readHash, filter, colours, palette, seconds, duration, faded,
    bright: () => bright,
    found: () => found,
    listen: (listener) => listeners.push(listener),
    label: (row) => [ops.names.f[ops.f[row]], ops.names.key[ops.key[row]], ops.value[row]].filter(Boolean).join(" "),
    standing: (from, to) => data.faults.filter((fault) => fault.start <= to && fault.end >= from),
  };
})();
