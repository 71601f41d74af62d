// The page: controls, details of the chosen operation, tooltips, keys, tables that sort.
//
// 1. Text of the history goes in as text, never as markup.
// 2. Without this script the page still says all of its summary.
"use strict";
function makePage() {
  const { data, ops, state, set, start, stop } = report;
  const byId = (id) => document.getElementById(id);
  const element = (name, text, attributes = {}) => {
    const made = Object.assign(document.createElement(name), attributes);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  function describe(row) {
    const names = ops.names;
    const open = ops.done[row] < 0;
    const faults = report.standing(start[row], stop[row]).map((fault) => fault.title);
    return [
      ["outcome", report.outcomes[ops.outcome[row]] + (open ? ", never completed" : "")],
      ["process", `${ops.process[row]}`],
      ["node", names.node[ops.node[row]]],
      ["key", names.key[ops.key[row]]],
      ["value", ops.value[row]],
      ["from", report.seconds(start[row])],
      ["to", open ? "the end" : report.seconds(stop[row])],
      ["took", open ? "" : report.duration(stop[row] - start[row])],
      ["error", names.error[ops.error[row]]],
      ["faults", faults.join(", ") || "none stood"],
    ].filter(([, value]) => value !== "");
  }

  function neighbour(row, same, step) {
    for (let at = row + step; at >= 0 && at < report.count; at += step) if (ops[same][at] === ops[same][row]) return at;
    return null;
  }

  function detail() {
    const place = byId("detail");
    const row = report.rowOf.get(state.op);
    place.replaceChildren();
    if (state.op === null) return void place.append(element("span", "Choose an operation: click on it, search for it, or follow a link to it.", { className: "quiet" }));
    if (row === undefined) {
      const words = state.op < 0 || !data.total ? "There is no such event." : `Event ${state.op} is no operation that is drawn here: ${data.file ? `see line ${state.op + 1} of ${data.file}` : "it may be a nemesis's"}.`;
      return void place.append(element("span", words));
    }
    const head = element("div", undefined, { className: "head" });
    const asked = ops.index[row] + 1, answered = ops.done[row] + 1;
    const lines = !data.file ? (answered ? `events ${asked - 1} and ${answered - 1}` : `event ${asked - 1}`)
      : `${answered ? `lines ${asked} and ${answered}` : `line ${asked}`} of ${data.file}`;
    head.append(element("span", `Operation ${ops.index[row]}: ${ops.names.f[ops.f[row]]}`), element("span", lines, { className: "quiet" }));
    for (const [same, words] of [["process", "process"], ["key", "key"]])
      for (const [step, arrow] of [[-1, "‹"], [1, "›"]]) {
        const to = neighbour(row, same, step);
        const button = element("button", step < 0 ? `${arrow} same ${words}` : `same ${words} ${arrow}`, { disabled: to === null });
        button.addEventListener("click", () => report.lookAt(ops.index[to]));
        head.append(button);
      }
    const list = element("dl");
    for (const [name, value] of describe(row)) {
      const pair = element("div");
      pair.append(element("dt", name), element("dd", value));
      list.append(pair);
    }
    place.append(head, list);
    const anomaly = data.anomalies[state.anomaly - 1];
    if (anomaly?.ops.includes(state.op) && anomaly.ops.length > 1) {
      const rest = element("p", "Also in this anomaly: ", { className: "quiet" });
      for (const index of anomaly.ops.filter((index) => index !== state.op).slice(0, 12)) {
        const button = element("button", `${index}, ${report.seconds(start[report.rowOf.get(index)])}`);
        button.addEventListener("click", () => report.lookAt(index));
        rest.append(button, " ");
      }
      place.append(rest);
    }
  }

  const tip = byId("tip");
  function say(event, lines) {
    tip.hidden = !lines;
    if (!lines) return;
    tip.replaceChildren(...lines.map((line, at) => element(at ? "div" : "b", line)));
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - width - 8)}px`;
    tip.style.top = `${event.clientY + 16 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 16}px`;
  }
  const told = (row) => (row === null ? null : [`${ops.index[row]}  ${ops.names.f[ops.f[row]]}`, ...describe(row).filter(([name]) => name !== "from" && name !== "to").map(([name, value]) => `${name}: ${value}`)]);
  const hover = (target, lines) => {
    target.addEventListener("pointermove", (event) => say(event, event.buttons ? null : lines(event)));
    target.addEventListener("pointerleave", () => { tip.hidden = true; });
  };
  hover(timeline.canvas, (event) => {
    const [lines, many] = [told(timeline.hit(event)), timeline.count(event)];
    return many ? [many, ...(lines ?? [])] : lines;
  });
  hover(charts.scatter.place, (event) => (event.target === charts.scatter.u.over ? told(charts.nearest(event)) : null));
  charts.scatter.place.addEventListener("click", (event) => {
    const row = event.target === charts.scatter.u.over ? charts.nearest(event) : null;
    if (row !== null) set({ op: ops.index[row] });
  });
  if (charts.divergence) hover(charts.divergence.place, (event) => { const words = event.target === charts.divergence.u.over && charts.look(event); return words ? [words] : null; });

  // On a phone the bar has no room for the search; it stands with what it searches.
  const narrow = matchMedia("(max-width: 680px)");
  function settle() {
    if (narrow.matches) document.querySelector("#timeline .toolbar").append(byId("search").parentElement);
    else document.querySelector(".topbar .tools").insertBefore(byId("search").parentElement, byId("theme"));
  }
  narrow.addEventListener("change", settle);
  settle();

  // Search: typing dims the rest, Enter goes from match to match.
  const search = byId("search");
  let match = -1;
  function matches() {
    const found = report.found();
    byId("matches").textContent = state.query ? (found.length ? `${match < 0 ? "" : `${match + 1} of `}${found.length}` : "none") : "";
  }
  search.addEventListener("input", () => { match = -1; set({ query: search.value }); });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { search.value = ""; set({ query: "" }); search.blur(); }
    if (event.key !== "Enter") return;
    report.filter();
    const found = report.found();
    if (!found.length) return;
    match = (match + (event.shiftKey ? -1 : 1) + found.length) % found.length;
    report.lookAt(ops.index[found[match]]);
    matches();
    reveal();
  });

  function reveal() {
    const box = timeline.canvas.getBoundingClientRect();
    if (box.bottom > innerHeight + 40 || box.top < 40) byId("timeline").scrollIntoView({ block: "start" });
  }
  function step(by) {
    report.showAnomaly(state.anomaly ? state.anomaly + by : by > 0 ? 1 : data.anomalies.length);
    if (data.anomalies.length) reveal();
  }
  byId("next").addEventListener("click", () => step(1));
  byId("previous").addEventListener("click", () => step(-1));
  byId("fit").addEventListener("click", () => set(report.whole));
  for (const button of document.querySelectorAll(".show")) button.addEventListener("click", () => { report.showAnomaly(1 + data.anomalies.findIndex((stop) => stop.article === +button.dataset.article)); reveal(); });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const breadth = state.to - state.from;
    const focused = event.target === timeline.canvas || event.target === byId("overview");
    const actions = {
      n: () => step(1), p: () => step(-1), f: () => set(report.whole), "/": () => { search.focus(); search.select(); },
      Escape: () => set({ op: null, key: "", query: "" }), "+": () => report.zoom(0.5), "-": () => report.zoom(2),
      ...(focused ? { ArrowLeft: () => report.pan(-breadth / 5), ArrowRight: () => report.pan(breadth / 5) } : {}),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  });

  // Any key of however many: the list offers those that contain what is typed.
  const choices = byId("key");
  const offered = byId("keys-offered");
  const names = ops.names.key.filter(Boolean).sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  function offer() {
    const typed = choices.value.toLowerCase();
    const fitting = [];
    for (const name of names) if (name.toLowerCase().includes(typed) && fitting.push(name) === 100) break;
    offered.replaceChildren(...fitting.map((name) => element("option", undefined, { value: name })));
  }
  choices.addEventListener("focus", offer);
  choices.addEventListener("input", () => {
    offer();
    if (!choices.value || report.keys.has(choices.value)) set({ key: choices.value });
  });
  choices.addEventListener("change", () => { if (!report.keys.has(choices.value)) choices.value = state.key; });
  const kinds = byId("kind");
  kinds.append(...charts.kinds.map((name) => element("option", name, { value: name })));
  kinds.addEventListener("change", () => charts.choose(kinds.value));

  // Links: a section scrolls there and leaves the state in the hash alone; everything else is state.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (!link) return;
    event.preventDefault();
    if (link.dataset.section) {
      const target = byId(link.dataset.section);
      if (target.tagName === "DETAILS") target.open = true;
      return void target.scrollIntoView();
    }
    const parts = new URLSearchParams(link.getAttribute("href").slice(1));
    if (parts.has("op")) report.lookAt(+parts.get("op"));
    if (parts.has("key")) set({ key: state.key === parts.get("key") ? "" : parts.get("key") });
    if (parts.has("from")) {
      const margin = (parts.get("to") - parts.get("from")) * 0.1;
      set({ from: parts.get("from") - margin, to: +parts.get("to") + margin });
    }
    reveal();
  });
  addEventListener("hashchange", report.readHash);

  for (const heading of document.querySelectorAll(".sortable th")) {
    const button = element("button", heading.textContent, { className: "sort", type: "button" });
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const table = heading.closest("table");
      const downwards = heading.getAttribute("aria-sort") !== "descending";
      for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", downwards ? "descending" : "ascending");
      const text = (line) => line.cells[heading.cellIndex].textContent.trim().replace(/,(?=\d{3})/g, "");
      const lines = [...table.tBodies[0].rows].sort((a, b) => text(a).localeCompare(text(b), "en", { numeric: true }));
      table.tBodies[0].append(...(downwards ? lines.reverse() : lines));
    });
  }

  byId("copy")?.addEventListener("click", () => {
    const range = document.createRange();
    range.selectNodeContents(byId("command"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    // On file:// the clipboard may be refused; the text is selected all the same.
    navigator.clipboard?.writeText(byId("command").textContent).then(() => { byId("copy").textContent = "Copied"; }, () => {});
  });

  // What is closed is printed too, where the style sheet can't open it.
  let opened = [];
  addEventListener("beforeprint", () => { opened = [...document.querySelectorAll("details:not([open])")]; opened.forEach((each) => { each.open = true; }); });
  addEventListener("afterprint", () => { opened.forEach((each) => { each.open = false; }); });

  function repaint() {
    report.colours();
    timeline.forget();
    charts.remake();
    timeline.draw();
  }
  function theme(name) {
    if (name) document.documentElement.dataset.theme = name;
    repaint();
  }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  byId("theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
    const next = now === "dark" ? "light" : "dark";
    try { localStorage.setItem("splitbrain-theme", next); } catch { /* file:// may have no storage: the choice lasts as long as the page */ }
    theme(next);
  });
  let kept = null;
  try { kept = localStorage.getItem("splitbrain-theme"); } catch { /* as above */ }
  if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
  dark.addEventListener("change", repaint);
  matchMedia("print").addEventListener("change", repaint);
  addEventListener("resize", () => { charts.resize(); timeline.draw(); });

  report.listen((changed) => {
    if (changed.has("op")) {
      detail();
      for (const line of document.querySelectorAll(".drawing tr")) line.classList.toggle("chosen", line.querySelector("a.op")?.textContent === String(state.op));
    }
    if (changed.has("anomaly")) {
      byId("anomaly-count").textContent = state.anomaly ? `${state.anomaly} of ${data.anomalies.length}` : data.stops;
      document.querySelectorAll(".anomaly").forEach((article, at) => article.classList.toggle("current", at + 1 === data.anomalies[state.anomaly - 1]?.article));
    }
    if (changed.has("key")) choices.value = state.key;
    if (changed.has("query")) { if (search.value !== state.query) search.value = state.query; matches(); }
  });
  repaint();
  detail();
  report.readHash();
  document.documentElement.dataset.ready = "yes";
}
