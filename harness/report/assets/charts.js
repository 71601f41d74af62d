// Charts: latency, rate, availability, siblings, divergence; uPlot draws, the state says of which span.
//
// 1. Every plot begins GUTTER pixels from the left and ends MARGIN from the right: one moment is one vertical line everywhere.
// 2. Dragging chooses a span for all of them, a double click shows the whole run.
// 3. Faults are shaded behind every plot; what an outcome looks like never depends on colour alone.
"use strict";
let charts;
function makeCharts() {
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
      report.shadeFault(ctx, fault, left, bbox.top, right - left, bbox.height, 0.24);
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

  // A value between two gaps is no line, so it is a dot.
  const lonely = (u, series) => [...u.data[series].keys()].filter((at) => u.data[series][at] !== null && (u.data[series][at - 1] ?? null) === null && (u.data[series][at + 1] ?? null) === null);

  // Lines that lie on each other are told apart by their names at their right ends.
  function name(u) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.font = `600 ${11 * pixels()}px ${palette.sans}`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    const taken = [];
    u.series.forEach((series, number) => {
      if (!number || !series.named || !series.show) return;
      let at = u.data[number].length - 1;
      while (at >= 0 && (u.data[number][at] === null || u.data[0][at] > state.to)) at--;
      if (at < 0 || u.data[0][at] < state.from) return;
      let y = u.valToPos(u.data[number][at], "y", true);
      while (taken.some((other) => Math.abs(other - y) < 12 * pixels())) y -= 3 * pixels();
      taken.push(y);
      const x = Math.min(u.valToPos(u.data[0][at], "x", true) - 4 * pixels(), bbox.left + bbox.width - 2);
      const wide = ctx.measureText(series.label).width;
      ctx.fillStyle = palette.page;
      ctx.fillRect(x - wide - 2 * pixels(), y - 6 * pixels(), wide + 4 * pixels(), 12 * pixels());
      ctx.fillStyle = palette.ink;
      ctx.fillText(series.label, x, y);
    });
    ctx.restore();
  }

  function plot(id, height, series, values, { scale = {}, axis = {}, legend = true, hooks = {}, cursor = {} } = {}) {
    const place = document.getElementById(id);
    if (!place) return null;
    const make = () => {
      const lines = { stroke: palette["soft-line"], width: 1 };
      const common = { stroke: palette.quiet, grid: lines, ticks: { ...lines, size: 4 }, font: `12px ${palette.sans}` };
      const options = {
        width: Math.max(place.clientWidth, 120),
        height,
        padding: [6, MARGIN, 0, 0],
        legend: { show: legend },
        scales: { x: { time: false, range: () => [state.from, state.to] }, y: scale },
        axes: [{ ...common, values: clock, size: 26, space: 90 }, { ...common, size: GUTTER, values: (u, ticks) => ticks.map((tick) => (tick === null ? "" : short(tick))), ...axis }],
        series: [{ label: "time", value: (u, at) => (at === null ? "–" : report.seconds(at)) }, ...series().map((line) => ({ value: (u, value) => short(value), points: { show: false, size: 5, filter: lonely }, spanGaps: false, ...line }))],
        cursor: { y: false, drag: { x: true, y: false, setScale: false, dist: 4 }, points: { size: 6 }, ...cursor, bind: { dblclick: () => () => set(report.whole) } },
        hooks: {
          drawClear: [shade],
          draw: [mark, name],
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

  // Latency, one mark an operation: a dot if it happened, a cross if it did not, a ring if nobody knows. Where there are
  // too many for that, a picture of how many.
  const DENSE = 6000;
  const density = makeDensity(palette);
  const polls = new Set(ops.names.f.map((name, code) => (name === "replica" ? code : -1)));
  const shown = (row) => ops.done[row] >= 0 && !polls.has(ops.f[row]);
  const delay = (row) => Math.max(ops.took[row] * 1000, 0.001);
  let [least, most] = [Infinity, 0];
  for (let row = 0; row < report.count; row++) if (shown(row)) [least, most] = [Math.min(least, delay(row)), Math.max(most, delay(row))];
  const inView = new Int32Array(report.count);
  function marks(u) {
    const { ctx, bbox } = u;
    const box = u.root.getBoundingClientRect();
    // Out of sight, the picture waits until zooming has come to rest.
    if (report.rush(report.count) > 1 && (box.bottom < 0 || box.top > innerHeight)) return;
    const [low, high] = [Math.log(u.scales.y.min), Math.log(u.scales.y.max)];
    const x = (row) => bbox.left + ((report.start[row] - state.from) / (state.to - state.from)) * bbox.width;
    const y = (row) => bbox.top + bbox.height * (1 - (Math.log(delay(row)) - low) / (high - low));
    const rows = report.visible(state.from, state.to, inView);
    const bright = report.bright();
    const size = 2.2 * pixels();
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    let many = 0;
    for (const row of rows) if (!bright || bright[row]) many++;
    if (rows.length > DENSE) {
      const cell = 2 * pixels();
      density.begin(bbox.width / cell, bbox.height / cell);
      const step = report.rush(rows.length);
      for (const row of rows) {
        if ((step > 1 && row % step && !ops.outcome[row]) || !shown(row) || (bright && many > DENSE && !bright[row])) continue;
        const column = Math.floor((x(row) - bbox.left) / cell);
        density.add(column, column, Math.floor((y(row) - bbox.top) / cell), ops.outcome[row]);
      }
      density.paint(ctx, bbox.left, bbox.top, Math.ceil(bbox.width / cell) * cell, Math.ceil(bbox.height / cell) * cell, bright && many <= DENSE ? 0.15 : 1);
    }
    if (many <= DENSE)
      for (let outcome = 0; outcome < 3; outcome++)
        for (const dim of bright && rows.length <= DENSE ? [true, false] : [false]) {
          ctx.globalAlpha = dim ? 0.12 : outcome ? 0.95 : 0.55;
          ctx.fillStyle = ctx.strokeStyle = palette[report.outcomes[outcome]];
          ctx.lineWidth = 1.4 * pixels();
          ctx.beginPath();
          for (const row of rows) {
            if (ops.outcome[row] !== outcome || !shown(row) || (bright && dim === Boolean(bright[row]))) continue;
            const [left, top] = [x(row), y(row)];
            if (outcome === 0) ctx.rect(left - size / 2, top - size / 2, size, size);
            else if (outcome === 1) {
              ctx.moveTo(left - size, top - size); ctx.lineTo(left + size, top + size);
              ctx.moveTo(left + size, top - size); ctx.lineTo(left - size, top + size);
            } else {
              ctx.moveTo(left + size, top);
              ctx.arc(left, top, size, 0, 7);
            }
          }
          outcome === 0 ? ctx.fill() : ctx.stroke();
        }
    ctx.restore();
  }
  const logarithmic = { distr: 3, range: (u, low, high) => [10 ** Math.floor(Math.log10(low || 0.1)), 10 ** Math.ceil(Math.log10((high || 1) * 1.05))] };
  const decades = (u, axis, low, high) => Array.from({ length: Math.round(Math.log10(high / low)) + 1 }, (_, power) => low * 10 ** power);
  const milliseconds = { splits: decades, values: (u, ticks) => ticks.map((tick) => (tick === null ? "" : tick >= 999 ? `${+(tick / 1000).toPrecision(1)} s` : `${+tick.toPrecision(1)} ms`)) };
  const scatter = plot("scatter", 250, () => [{ label: "ms", paths: () => null, points: { show: false } }], () => [[0, report.end], [least < Infinity ? least : 0.1, most || 1]], {
    scale: logarithmic, axis: milliseconds, legend: false, cursor: { points: { show: false } }, hooks: { drawClear: [shade, marks] },
  });

  function nearest(event) {
    const { u } = scatter;
    const box = u.over.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [best, distance] = [null, 144];
    for (const row of report.visible(u.posToVal(x - 12, "x"), u.posToVal(x + 12, "x"), inView)) {
      if (!shown(row)) continue;
      const [dx, dy] = [u.valToPos(report.start[row], "x") - x, u.valToPos(delay(row), "y") - y];
      if (dx * dx + dy * dy < distance) [best, distance] = [row, dx * dx + dy * dy];
    }
    return best;
  }

  let kind = "all";
  const lines = data.series;
  plot("quantiles", 190, () => [
    { label: "p50", named: true, stroke: palette.ok, width: 2 }, { label: "p95", named: true, stroke: palette.valid, width: 1.5, dash: [8, 3] },
    { label: "p99", named: true, stroke: palette.info, width: 1.5, dash: [4, 3] }, { label: "max", named: true, stroke: palette.fail, width: 1, dash: [1.5, 3] },
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
    { label: "most", stroke: palette.fail, width: 1.8, paths: steps },
    { label: "mean", stroke: palette.ok, width: 1.8, dash: [5, 3] },
    { label: state.key && data.siblings.keys[state.key] ? `most of ${state.key}` : "most of a chosen key", stroke: palette.ink, width: 1.5, paths: () => null, points: { show: true, size: 5 } },
  ], () => [data.siblings.t, data.siblings.most, data.siblings.mean, data.siblings.keys[state.key] ?? data.siblings.t.map(() => null)],
  { scale: { range: (u, low, high) => [0, Math.max(high + 0.4, 2.4)] }, axis: { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] } });

  // Divergence, a row a key: a block is a look at its replicas, as long as that took. A thread joins looks that followed
  // each other as usual; where nobody looked there is nothing.
  const cells = data.divergence;
  const MEANINGS = ["agreed", "in motion: it was written meanwhile", "diverged"];
  function grid(u) {
    const { ctx, bbox } = u;
    const row = u.valToPos(1, "y", true) - u.valToPos(0, "y", true);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.textBaseline = "middle";
    ctx.font = `${11 * pixels()}px ${palette.sans}`;
    cells.spans.forEach((looks, at) => {
      const top = u.valToPos(at, "y", true) + 1.5 * pixels();
      const tall = row - 3 * pixels();
      ctx.globalAlpha = state.key && state.key !== cells.keys[at] ? 0.25 : 1;
      looks.forEach(([from, to, kind, distinct], number) => {
        const left = u.valToPos(from, "x", true);
        const breadth = Math.max(u.valToPos(to, "x", true) - left, 3 * pixels());
        const next = looks[number + 1];
        ctx.fillStyle = palette.quiet;
        if (next && next[0] - to <= cells.usual) ctx.fillRect(left, top + tall / 2, u.valToPos(next[0], "x", true) - left, 0.7 * pixels());
        ctx.fillStyle = ctx.strokeStyle = [palette.ok, palette.quiet, palette.fail][kind];
        ctx.lineWidth = pixels();
        if (kind === 1) {
          ctx.clearRect(left, top, breadth, tall);
          ctx.strokeRect(left + 0.5, top + 0.5, breadth - 1, tall - 1);
        } else ctx.fillRect(left, top + (kind ? 0 : tall / 4), breadth, kind ? tall : tall / 2);
        if (kind === 2 && row > 11 * pixels() && (!next || u.valToPos(next[0], "x", true) - left - breadth > 14 * pixels())) {
          ctx.fillStyle = palette.ink;
          ctx.fillText(distinct, left + breadth + 3 * pixels(), top + row / 2 - pixels());
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
      axis: { splits: () => cells.keys.map((_, at) => at + 0.5), values: () => cells.keys.map((key) => (key.length > 8 ? `${key.slice(0, 7)}…` : key)), grid: { show: false }, ticks: { show: false } },
    });
  function look(event) {
    const box = divergence.u.over.getBoundingClientRect();
    const at = Math.floor(divergence.u.posToVal(event.clientY - box.top, "y"));
    const time = divergence.u.posToVal(event.clientX - box.left, "x");
    const looks = cells.spans[at];
    const near = (5 / divergence.u.bbox.width) * pixels() * (state.to - state.from);
    const seen = looks && looks.find(([from, to]) => from - near <= time && time <= to + near);
    if (!looks) return null;
    if (!seen) return `${cells.keys[at]}: nobody looked at ${report.seconds(time)}`;
    const [from, to, kind, distinct, answered, rounds] = seen;
    return `${cells.keys[at]}, ${report.seconds(from)} to ${report.seconds(to)}: ${MEANINGS[kind]}. ${distinct} different list${distinct === 1 ? "" : "s"} of versions on ${answered} home replicas${rounds > 1 ? `, in the worst of ${rounds} rounds` : ""}`;
  }

  report.listen((changed) => {
    const moved = ["from", "to", "op", "key", "query", "rest"].some((name) => changed.has(name));
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

  charts = {
    GUTTER, MARGIN, nearest, look, scatter, divergence, pixels,
    all: Object.fromEntries(drawn.map((chart) => [chart.place.id, chart])),
    kinds: Object.keys(lines.latency),
    choose: (name) => { kind = name; drawn.find((chart) => chart.place.id === "quantiles").reload(); set({ cursor: null }); drawn.forEach(({ u }) => u.redraw()); },
    resize: () => drawn.forEach((chart) => chart.u.setSize({ width: Math.max(chart.place.clientWidth, 120), height: chart.u.height })),
    remake: () => drawn.forEach((chart) => chart.remake()),
  };
}
