// State: what is looked at. One span of time, one cursor, one chosen operation, shared by every chart.
//
// 1. Every change goes through set(); whoever draws listens, and is called once a frame at most.
// 2. The state is in the URL's hash, but for the cursor: a link shows another person what you see.
// 3. An operation is known by the index of its invocation in the history, not by its place on this page.
"use strict";
let report;
function makeReport(data, ops) {
  document.body.classList.remove("no-script");
  const count = ops.n;
  const end = Math.max(data.end, 0.001);
  const outcomes = ["ok", "fail", "info"];
  const { start, stop } = ops;
  // The row of an event, by its index in the history.
  const rows = new Int32Array(Math.max(data.events, 1)).fill(-1);
  for (let row = 0; row < count; row++) {
    rows[ops.index[row]] = row;
    if (ops.done[row] >= 0) rows[ops.done[row]] = row;
  }
  const rowOf = {
    get: (index) => (Number.isInteger(index) && index >= 0 && index < rows.length && rows[index] >= 0 ? rows[index] : undefined),
    has: (index) => rowOf.get(index) !== undefined,
  };
  const telling = new Uint8Array(count);
  for (const anomaly of data.anomalies)
    if (anomaly.verdict === "invalid") for (const index of anomaly.ops) if (rowOf.has(index)) telling[rowOf.get(index)] = 1;
  const tellers = [];
  for (let row = 0; row < count; row++) if (telling[row]) tellers.push(row);
  const keys = new Map(ops.names.key.map((name, code) => [name, code]));

  // Rows in view, in order. Rows are sorted by their starts; a block that is over by then is passed over at once.
  const BLOCK = 1024;
  const blockEnd = new Float64Array(Math.ceil(count / BLOCK));
  for (let row = 0; row < count; row++) blockEnd[(row / BLOCK) | 0] = Math.max(blockEnd[(row / BLOCK) | 0], stop[row]);
  const seen = new Int32Array(count);
  function visible(from, to, into = seen) {
    let many = 0;
    for (let block = 0; block < blockEnd.length; block++) {
      const first = block * BLOCK;
      if (start[first] > to) break;
      if (blockEnd[block] < from) continue;
      const last = Math.min(first + BLOCK, count);
      for (let row = first; row < last && start[row] <= to; row++) if (stop[row] >= from) into[many++] = row;
    }
    return into.subarray(0, many);
  }

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
      key: keys.has(parts.get("key")) ? parts.get("key") : "",
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
    // Final reads may be a minute away: the span is that of what happened around the operation that matters.
    const margin = Math.max((anomaly.end - anomaly.start) * (anomaly.ops.length > 1 ? 0.08 : 8), 0.05);
    set({ anomaly: at + 1, op: anomaly.focus, from: anomaly.start - margin, to: anomaly.end + margin });
  }

  // While the span moves, a picture of very many operations is made of some of those that went well, and of all others;
  // at rest it is made again of all. rush() tells of how many one is taken.
  const ENOUGH = 40000;
  let resting = 0;
  listeners.push((changed) => {
    if (count <= ENOUGH || !(changed.has("from") || changed.has("to"))) return;
    clearTimeout(resting);
    resting = setTimeout(() => { resting = 0; for (const listener of listeners) listener(new Set(["rest"])); }, 150);
  });
  const rush = (many) => (resting ? Math.max(Math.ceil(many / ENOUGH), 1) : 1);

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
    const key = state.key ? keys.get(state.key) : -1;
    found = [];
    if (!query && !state.key) return void (bright = null);
    // `#12` is an event and nothing else. A bare 12 is a value first, then an event.
    const event = /^#\d+$/.test(query) ? Number(query.slice(1)) : null;
    const number = /^\d+$/.test(query) ? Number(query) : null;
    const word = number === null ? null : new RegExp(`(^|[^\\d.])${query}($|[^\\d.])`);
    const [values, events, others] = [[], [], []];
    bright = new Uint8Array(count);
    for (let row = 0; row < count; row++) {
      if (key >= 0 && ops.key[row] !== key) continue;
      let place = null;
      if (!query) place = others;
      else if (event !== null) place = ops.index[row] === event || ops.done[row] === event ? events : null;
      else if (number !== null) place = word.test(ops.value[row]) ? values : ops.index[row] === number || ops.done[row] === number ? events : text(row).includes(query) ? others : null;
      else if (text(row).includes(query)) place = others;
      if (!place) continue;
      bright[row] = 1;
      if (query) place.push(row);
    }
    // Whoever wrote the value comes before those who read it among others.
    if (number !== null) values.sort((a, b) => (ops.value[b] === query) - (ops.value[a] === query) || a - b);
    found = [...values, ...events, ...others];
  }
  function text(row) {
    const names = ops.names;
    return `${names.f[ops.f[row]]} ${names.key[ops.key[row]]} ${ops.value[row]} ${names.node[ops.node[row]]} p${ops.process[row]} ${outcomes[ops.outcome[row]]} ${names.error[ops.error[row]]}`.toLowerCase();
  }

  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const palette = {};
  const families = "partition kill pause packets clock disk membership other".split(" ");
  function colours() {
    const wanted = "page raised line soft-line ink quiet accent ok fail info invalid valid unknown selected shade".split(" ").concat(families);
    for (const name of wanted) {
      probe.style.color = `var(--${name})`;
      palette[name] = getComputedStyle(probe).color;
    }
    palette.sans = getComputedStyle(document.body).fontFamily;
    palette.family = (family) => (families.includes(family) ? family : "other");
    palette.of = (family) => palette[palette.family(family)];
  }
  colours();

  // A family of faults has a hatch of its own, so that it can be told without colour: the same as in the style sheet.
  const hatches = { partition: "/", kill: "x", pause: "|", packets: ".", clock: "-", disk: "\\", membership: "+", other: "" };
  const tiles = new Map();
  function hatch(ctx, family) {
    const name = palette.family(family);
    const known = `${name} ${palette[name]}`;
    if (!tiles.has(known)) {
      const tile = document.createElement("canvas");
      tile.width = tile.height = 8;
      const pen = tile.getContext("2d");
      pen.strokeStyle = pen.fillStyle = palette[name];
      pen.lineWidth = 1.2;
      pen.beginPath();
      const line = (...ends) => { pen.moveTo(ends[0], ends[1]); pen.lineTo(ends[2], ends[3]); };
      const kind = hatches[name];
      if ("/x".includes(kind) && kind) for (const shift of [-8, 0, 8]) line(shift, 8, shift + 8, 0);
      if ("\\x".includes(kind) && kind) for (const shift of [-8, 0, 8]) line(shift, 0, shift + 8, 8);
      if ("|+".includes(kind) && kind) line(4, 0, 4, 8);
      if ("-+".includes(kind) && kind) line(0, 4, 8, 4);
      if (kind === ".") pen.rect(3, 3, 2, 2);
      pen.stroke();
      tiles.set(known, ctx.createPattern(tile, "repeat"));
    }
    return tiles.get(known);
  }
  function shadeFault(ctx, fault, left, top, width, height, strength) {
    ctx.save();
    ctx.fillStyle = faded(palette.of(fault.kind), fault.effective ? strength * 0.55 : strength * 0.2);
    ctx.fillRect(left, top, width, height);
    if (fault.effective) {
      ctx.globalAlpha = strength;
      ctx.fillStyle = hatch(ctx, fault.kind);
      ctx.fillRect(left, top, width, height);
    }
    ctx.restore();
  }

  const seconds = (at) => `${at.toFixed(state.to - state.from < 0.05 ? 6 : state.to - state.from < 30 ? 3 : 2)} s`;
  function duration(s) {
    if (s < 1e-3) return `${(s * 1e6).toFixed(0)} µs`;
    return s < 1 ? `${(s * 1e3).toPrecision(3)} ms` : `${s.toFixed(3)} s`;
  }
  // As sRGB's text needs it: `rgb(1, 2, 3)` with another opacity.
  const faded = (colour, share) => `color-mix(in srgb, ${colour} ${share * 100}%, transparent)`;

  report = {
    data, ops, count, end, whole, outcomes, start, stop, rowOf, telling, tellers, keys, state,
    set, lookAt, showAnomaly, zoom, pan, rush, readHash, filter, visible, colours, palette, seconds, duration, faded, shadeFault,
    bright: () => bright,
    found: () => found,
    listen: (listener) => listeners.push(listener),
    label: (row) => [ops.names.f[ops.f[row]], ops.names.key[ops.key[row]], ops.value[row]].filter(Boolean).join(" "),
    standing: (from, to) => data.faults.filter((fault) => fault.start <= to && fault.end >= from),
  };
}
