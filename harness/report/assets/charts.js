// Charts: latency, rate, availability, siblings, divergence; uPlot draws, the state says of which span.
//
// 1. Every plot begins GUTTER pixels from the left and ends MARGIN from the right: one moment is one vertical line everywhere.
// 2. Dragging chooses a span for all of them, a double click shows the whole run.
// 3. Faults are shaded behind every plot; what an outcome looks like never depends on colour alone.
"use strict";
const charts = (() => {
  const { data, ops, state, set, palette } = report;
  const GUTTER = 58;
  const MARGIN = 14;
  const drawn = [];
  let echo = false;
  const pixels = () => window.devicePixelRatio || 1;

  function shade(u) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const fault of data.faults) {
      const left = u.valToPos(fault.start, "x", true);
      const right = Math.max(u.valToPos(fault.end, "x", true), left + 1);
      ctx.fillStyle = report.faded(palette.of(fault.kind), fault.effective ? 0.16 : 0.06);
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
      ctx.fillStyle = palette.of(fault.kind);
      ctx.fillRect(left, bbox.top, right - left, 2 * pixels());
    }
    ctx.restore();
  }

  // The one cursor and the chosen operation, over what is drawn.
  function mark(u) {
    const row = report.rowOf.get(state.op);
    if (row === undefined) return;
    const at = u.valToPos(report.start[row], "x", true);
    if (at < u.bbox.left || at > u.bbox.left + u.bbox.width) return;
    u.ctx.fillStyle = palette.selected;
    u.ctx.fillRect(Math.round(at), u.bbox.top, Math.max(1, pixels()), u.bbox.height);
  }

  const clock = (u, ticks) => {
    const step = ticks.length > 1 ? ticks[1] - ticks[0] : 1;
    const digits = Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)));
    return ticks.map((tick) => `${tick.toFixed(digits)} s`);
  };
  const short = (value) => (value === null || value === undefined ? "–" : value >= 100 ? value.toFixed(0) : +value.toPrecision(3) + "");

  function plot(id, height, series, values, { scale = {}, axis = {}, legend = true, hooks = {}, cursor = {} } = {}) {
    const place = document.getElementById(id);
    if (!place) return null;
    const make = () => {
      const lines = { stroke: palette["soft-line"], width: 1 };
      const common = { stroke: palette.quiet, grid: lines, ticks: { ...lines, size: 4 }, font: `12px ${palette.sans}` };
      const options = {
        width: Math.max(place.clientWidth, 240),
        height,
        padding: [6, MARGIN, 0, 0],
        legend: { show: legend },
        scales: { x: { time: false, range: () => [state.from, state.to] }, y: scale },
        axes: [{ ...common, values: clock, size: 26, space: 90 }, { ...common, size: GUTTER, values: (u, ticks) => ticks.map((tick) => (tick === null ? "" : short(tick))), ...axis }],
        series: [{ label: "time", value: (u, at) => (at === null ? "–" : report.seconds(at)) }, ...series().map((line) => ({ value: (u, value) => short(value), points: { show: false }, spanGaps: false, ...line }))],
        cursor: { y: false, drag: { x: true, y: false, setScale: false, dist: 4 }, points: { size: 6 }, ...cursor, bind: { dblclick: () => () => set(report.whole) } },
        hooks: {
          drawClear: [shade],
          draw: [mark],
          setSelect: [(u) => {
            const { left, width } = u.select;
            if (width > 3) set({ from: u.posToVal(left, "x"), to: u.posToVal(left + width, "x") });
            if (width) u.setSelect({ left: 0, width: 0 }, false);
          }],
          setCursor: [(u) => {
            if (!echo) set({ cursor: u.cursor.left >= 0 ? u.posToVal(u.cursor.left, "x") : null });
          }],
          ...hooks,
        },
      };
      place.replaceChildren();
      return new uPlot(options, values(), place);
    };
    const chart = { place, u: make(), remake: () => { chart.u.destroy(); chart.u = make(); } };
    chart.reload = () => chart.u.setData(values(), false);
    drawn.push(chart);
    return chart;
  }

  // Latency, one mark an operation: a dot if it happened, a cross if it did not, a ring if nobody knows.
  const polls = new Set(ops.names.f.map((name, code) => (name === "replica" ? code : -1)));
  const latency = [[], [], [], []];
  const scattered = [];
  for (let row = 0; row < report.count; row++) {
    if (polls.has(ops.f[row]) || ops.done[row] < 0) continue;
    scattered.push(row);
    latency[0].push(report.start[row]);
    for (let outcome = 0; outcome < 3; outcome++)
      latency[outcome + 1].push(ops.outcome[row] === outcome ? Math.max(ops.took[row], 1) / 1000 : null);
  }
  const marks = (outcome) => (u, series) => {
    const { ctx, bbox } = u;
    const size = 2.2 * pixels();
    const bright = report.bright();
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    const name = report.outcomes[outcome];
    for (const dim of bright ? [true, false] : [false]) {
      ctx.globalAlpha = dim ? 0.12 : outcome ? 0.95 : 0.55;
      ctx.fillStyle = ctx.strokeStyle = palette[name];
      ctx.lineWidth = 1.4 * pixels();
      ctx.beginPath();
      u.data[series].forEach((value, at) => {
        const time = u.data[0][at];
        if (value === null || time < state.from || time > state.to) return;
        if (bright && dim === Boolean(bright[scattered[at]])) return;
        const x = u.valToPos(time, "x", true);
        const y = u.valToPos(value, "y", true);
        if (outcome === 0) ctx.rect(x - size / 2, y - size / 2, size, size);
        else if (outcome === 1) {
          ctx.moveTo(x - size, y - size); ctx.lineTo(x + size, y + size);
          ctx.moveTo(x + size, y - size); ctx.lineTo(x - size, y + size);
        } else {
          ctx.moveTo(x + size, y);
          ctx.arc(x, y, size, 0, 7);
        }
      });
      outcome === 0 ? ctx.fill() : ctx.stroke();
    }
    ctx.restore();
    return null;
  };
  const logarithmic = { distr: 3, range: (u, low, high) => [10 ** Math.floor(Math.log10(low || 0.1)), 10 ** Math.ceil(Math.log10((high || 1) * 1.05))] };
  const decades = (u, axis, low, high) => Array.from({ length: Math.round(Math.log10(high / low)) + 1 }, (_, power) => low * 10 ** power);
  const milliseconds = { splits: decades, values: (u, ticks) => ticks.map((tick) => (tick >= 999 ? `${+(tick / 1000).toPrecision(1)} s` : `${+tick.toPrecision(1)} ms`)) };
  const scatter = plot("scatter", 250, () => report.outcomes.map((name, outcome) => ({ label: name, stroke: palette[name], paths: marks(outcome) })), () => latency, {
    scale: logarithmic, axis: milliseconds, legend: false, cursor: { points: { show: false } },
  });

  function nearest(event) {
    const { u } = scatter;
    const box = u.over.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [best, distance] = [null, 144];
    for (let at = 0; at < scattered.length; at++) {
      const dx = u.valToPos(latency[0][at], "x") - x;
      if (dx < -12 || dx > 12) continue;
      const dy = u.valToPos(Math.max(ops.took[scattered[at]], 1) / 1000, "y") - y;
      if (dx * dx + dy * dy < distance) [best, distance] = [scattered[at], dx * dx + dy * dy];
    }
    return best;
  }

  let kind = "all";
  const lines = data.series;
  plot("quantiles", 190, () => [
    { label: "p50", stroke: palette.ok, width: 2 }, { label: "p95", stroke: palette.valid, width: 1.5, dash: [8, 3] },
    { label: "p99", stroke: palette.info, width: 1.5, dash: [4, 3] }, { label: "max", stroke: palette.fail, width: 1, dash: [1.5, 3] },
  ].map((line) => ({ ...line, value: (u, value) => (value === null || value === undefined ? "–" : report.duration(value / 1000)) })),
  () => [lines.t, ...["p50", "p95", "p99", "max"].map((name) => lines.latency[kind][name])], { scale: logarithmic, axis: milliseconds });
  plot("throughput", 170, () => [
    { label: "ok /s", stroke: palette.ok, width: 2, fill: report.faded(palette.ok, 0.12) },
    { label: "fail /s", stroke: palette.fail, width: 1.5, dash: [6, 3] }, { label: "info /s", stroke: palette.info, width: 1.5, dash: [2, 2] },
  ], () => [lines.t, lines.rate.ok, lines.rate.fail, lines.rate.info], { scale: { range: (u, low, high) => [0, Math.max(high * 1.08, 1)] } });
  const percent = (value) => (value === null || value === undefined ? "–" : `${(value * 100).toFixed(1)}%`);
  plot("availability", 120, () => [{ label: "acknowledged", stroke: palette.valid, width: 2, value: (u, value) => percent(value), points: { show: true, size: 4 } }],
    () => [lines.t, lines.availability], { scale: { range: () => [0, 1.04] }, axis: { splits: () => [0, 0.5, 1], values: (u, ticks) => ticks.map((tick) => `${tick * 100}%`) } });

  const steps = uPlot.paths.stepped({ align: 1 });
  const siblings = plot("siblings", 170, () => [
    { label: "most", stroke: palette.fail, width: 1.8, paths: steps, spanGaps: true },
    { label: "mean", stroke: palette.ok, width: 1.8, dash: [5, 3], spanGaps: true },
    { label: state.key && data.siblings.keys[state.key] ? `most of ${state.key}` : "most of a chosen key", stroke: palette.ink, width: 1.5, points: { show: true, size: 5 }, spanGaps: true },
  ], () => [data.siblings.t, data.siblings.most, data.siblings.mean, data.siblings.keys[state.key] ?? data.siblings.t.map(() => null)],
  { scale: { range: (u, low, high) => [0, Math.max(high + 0.4, 2.4)] }, axis: { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] } });

  // Divergence, a row a key: a cell holds from one look to the next, and says how many lists there were.
  const cells = data.divergence;
  function grid(u) {
    const { ctx, bbox } = u;
    const row = u.valToPos(1, "y", true) - u.valToPos(0, "y", true);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.textBaseline = "middle";
    ctx.font = `${11 * pixels()}px ${palette.sans}`;
    cells.rounds.forEach((looks, at) => {
      const top = u.valToPos(at, "y", true) + 1.5 * pixels();
      looks.forEach(([time, distinct], number) => {
        const left = u.valToPos(time, "x", true);
        const right = number + 1 < looks.length ? u.valToPos(looks[number + 1][0], "x", true) : left + 10 * pixels();
        const breadth = Math.max(right - left, 3);
        ctx.globalAlpha = state.key && state.key !== cells.keys[at] ? 0.25 : 1;
        ctx.fillStyle = distinct > 1 ? report.faded(palette.fail, Math.min(0.3 + distinct * 0.12, 0.9)) : report.faded(palette.ok, 0.16);
        ctx.fillRect(left, top, breadth - pixels(), row - 3 * pixels());
        ctx.fillStyle = distinct > 1 ? palette.fail : palette.ok;
        ctx.fillRect(left, top, 2 * pixels(), row - 3 * pixels());
        if (distinct > 1 && breadth > 16 * pixels() && row > 11 * pixels()) {
          ctx.fillStyle = palette.ink;
          ctx.fillText(distinct, left + 6 * pixels(), top + row / 2 - pixels());
        }
      });
    });
    ctx.restore();
  }
  const many = cells.keys.length;
  const divergence = plot("divergence", Math.min(Math.max(many * 20, 60), 480) + 34, () => [{ label: "keys", stroke: palette.fail, paths: () => null }],
    () => [[0, report.end], [null, null]], {
      legend: false, hooks: { drawClear: [shade, grid] }, cursor: { points: { show: false } },
      scale: { dir: -1, range: () => [0, many] },
      axis: { splits: () => cells.keys.map((_, at) => at + 0.5), values: () => cells.keys, grid: { show: false }, ticks: { show: false } },
    });
  function look(event) {
    const box = divergence.u.over.getBoundingClientRect();
    const at = Math.floor(divergence.u.posToVal(event.clientY - box.top, "y"));
    const time = divergence.u.posToVal(event.clientX - box.left, "x");
    const looks = cells.rounds[at];
    const seen = looks && looks.filter(([when]) => when <= time).pop();
    return seen ? `${cells.keys[at]} at ${report.seconds(seen[0])}: ${seen[1]} different list${seen[1] === 1 ? "" : "s"} of versions on ${seen[2]} home replicas` : null;
  }

  report.listen((changed) => {
    const moved = ["from", "to", "op", "key", "query"].some((name) => changed.has(name));
    if (changed.has("key")) siblings?.remake();
    for (const { u } of drawn) {
      if (moved) u.batch(() => { u.setScale("x", { min: state.from, max: state.to }); u.redraw(false); });
      if (changed.has("cursor") || moved) {
        echo = true;
        const left = state.cursor === null || state.cursor < state.from || state.cursor > state.to ? -10 : u.valToPos(state.cursor, "x");
        if (Math.abs((u.cursor.left ?? -10) - left) > 0.5) u.setCursor({ left, top: left < 0 ? -10 : u.cursor.top >= 0 ? u.cursor.top : 1 }, false);
        echo = false;
      }
    }
  });

  return {
    GUTTER, MARGIN, nearest, look, scatter, divergence, pixels,
    kinds: Object.keys(lines.latency),
    choose: (name) => { kind = name; drawn.find((chart) => chart.place.id === "quantiles").reload(); set({ cursor: null }); drawn.forEach(({ u }) => u.redraw()); },
    resize: () => drawn.forEach((chart) => chart.u.setSize({ width: Math.max(chart.place.clientWidth, 240), height: chart.u.height })),
    remake: () => drawn.forEach((chart) => chart.remake()),
  };
})();
