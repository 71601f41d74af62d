// The timeline: a lane a process, faults and stages above; and the overview at the top of the window.
//
// 1. An operation reaches from its invocation to its completion; without one it reaches the end, and stays open there.
// 2. ok is filled, fail is hollow, info is hatched and open to the right; a triangle marks operations of a witness.
// 3. What the filter or the search leaves out is dimmed, never hidden.
// 4. Every operation is drawn: one by one, or where there are too many for that, as a picture of how many there are.
//    A lane without an operation in view takes no room.
"use strict";
let timeline;
function makeTimeline() {
  const { data, ops, state, set, palette, start, stop } = report;
  const { GUTTER, MARGIN, pixels } = charts;
  const canvas = document.getElementById("operations");
  const overview = document.getElementById("overview");
  const rows = data.faults.reduce((most, fault) => Math.max(most, fault.row + 1), 0);
  const STRIP = 17;
  const AXIS = 22;
  const ROOM = 380;
  const DENSE = 4000;
  const lanes = Math.max(data.lanes, 1);
  const head = AXIS + (data.stages.length ? STRIP : 0) + rows * STRIP + 4;
  const height = head + Math.min(lanes * 22, ROOM) + 8;
  const density = makeDensity(palette);
  const around = new Int32Array(report.count);
  // How lanes are laid out: the row of each lane or -1, a row's height, and the processes of each row in view.
  let layout = { row: new Int32Array(lanes), tall: 22, many: 0, first: [], others: [] };
  let dense = false;
  let width = 0;

  const plotWidth = () => Math.max(width - GUTTER - MARGIN, 10);
  const x = (time) => GUTTER + ((time - state.from) / (state.to - state.from)) * plotWidth();
  const timeAt = (left) => state.from + ((left - GUTTER) / plotWidth()) * (state.to - state.from);

  function fit(element, high) {
    const wide = element.clientWidth;
    element.width = Math.round(wide * pixels());
    element.height = Math.round(high * pixels());
    element.style.height = `${high}px`;
    const ctx = element.getContext("2d");
    ctx.setTransform(pixels(), 0, 0, pixels(), 0, 0);
    return [ctx, wide];
  }

  function ticks(from, to, room) {
    const least = ((to - from) / Math.max(room, 1)) * 90;
    const power = 10 ** Math.floor(Math.log10(least));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= least);
    const digits = Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)));
    const found = [];
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) found.push([at, `${at.toFixed(digits)} s`]);
    return found;
  }

  const hatches = {};
  function hatch(ctx, colour) {
    if (!hatches[colour]) {
      const tile = document.createElement("canvas");
      tile.width = tile.height = 6;
      const pen = tile.getContext("2d");
      pen.fillStyle = palette.page;
      pen.fillRect(0, 0, 6, 6);
      pen.strokeStyle = colour;
      pen.lineWidth = 2;
      pen.beginPath();
      for (const shift of [-6, 0, 6]) { pen.moveTo(shift, 6); pen.lineTo(shift + 6, 0); }
      pen.stroke();
      hatches[colour] = ctx.createPattern(tile, "repeat");
    }
    return hatches[colour];
  }

  function arrange(shown) {
    const used = new Uint8Array(lanes);
    for (const row of shown) used[ops.lane[row]] = 1;
    const order = [...used.keys()].filter((lane) => used[lane]);
    const room = height - head - 8;
    const many = Math.min(Math.max(order.length, 1), room);
    const row = new Int32Array(lanes).fill(-1);
    order.forEach((lane, at) => { row[lane] = Math.floor((at * many) / order.length); });
    const [first, last, others] = [new Int32Array(many).fill(-1), new Int32Array(many).fill(-1), new Int32Array(many)];
    const step = report.rush(shown.length);
    for (let place = 0; place < shown.length; place += step) {
      const each = shown[place];
      const at = row[ops.lane[each]];
      if (last[at] === ops.process[each]) continue;
      if (last[at] < 0) first[at] = ops.process[each];
      else others[at]++;
      last[at] = ops.process[each];
    }
    layout = { row, many, tall: Math.max(1, Math.min(22, Math.floor(room / many))), first, others };
  }
  const topOf = (row) => head + layout.row[ops.lane[row]] * layout.tall;

  function operation(ctx, row, dim) {
    const left = Math.max(x(start[row]), GUTTER - 4);
    const right = Math.min(x(stop[row]), GUTTER + plotWidth() + 4);
    const top = topOf(row) + 1;
    const tall = Math.max(layout.tall - 3, 2);
    const name = report.outcomes[ops.outcome[row]];
    const wide = Math.max(right - left, name === "ok" ? 1.6 : 3);
    ctx.globalAlpha = dim ? 0.13 : 1;
    if (name === "ok") {
      ctx.fillStyle = palette.ok;
      // Operations of one process follow each other closely: a hairline keeps them apart.
      ctx.fillRect(left, top, wide > 4 ? wide - 1 : wide, tall);
    } else if (wide < 7) {
      // Too narrow for a pattern: an upright cross or a lozenge still tells them apart.
      ctx.fillStyle = palette[name];
      const [cx, cy, r] = [left + wide / 2, top + tall / 2, Math.min(tall / 2, 4.5)];
      ctx.beginPath();
      if (name === "fail") { ctx.rect(cx - r, cy - 1, 2 * r, 2); ctx.rect(cx - 1, cy - r, 2, 2 * r); }
      else { ctx.moveTo(cx - r, cy); ctx.lineTo(cx, cy - r); ctx.lineTo(cx + r, cy); ctx.lineTo(cx, cy + r); }
      ctx.fill();
    } else {
      ctx.fillStyle = name === "info" ? hatch(ctx, report.faded(palette.info, 0.55)) : palette.page;
      ctx.fillRect(left, top, wide, tall);
      ctx.strokeStyle = palette[name];
      ctx.lineWidth = 1.5;
      ctx.beginPath();
      if (name === "fail") ctx.rect(left + 0.75, top + 0.75, wide - 1.5, tall - 1.5);
      else { ctx.moveTo(left + wide, top + 0.75); ctx.lineTo(left + 0.75, top + 0.75); ctx.lineTo(left + 0.75, top + tall - 0.75); ctx.lineTo(left + wide, top + tall - 0.75); }
      ctx.stroke();
    }
    if (!dim && wide > 44 && tall >= 11) {
      ctx.save();
      ctx.beginPath();
      ctx.rect(left, top, wide - 3, tall);
      ctx.clip();
      const words = report.label(row);
      if (name === "info") {
        ctx.fillStyle = palette.page;
        ctx.fillRect(left + 3, top + 1.5, ctx.measureText(words).width + 4, tall - 3);
      }
      ctx.fillStyle = name === "ok" ? palette.page : palette.ink;
      ctx.fillText(words, left + 5, top + tall / 2 + 0.5);
      ctx.restore();
    }
    ctx.globalAlpha = 1;
  }

  function strips(ctx) {
    let top = AXIS;
    if (data.stages.length) {
      data.stages.forEach((stage, number) => {
        const [left, right] = [Math.max(x(stage.start), GUTTER), Math.min(x(stage.end), GUTTER + plotWidth())];
        if (right <= left) return;
        ctx.fillStyle = number % 2 ? palette["soft-line"] : palette.line;
        ctx.fillRect(left, top, right - left - 1, STRIP - 3);
        caption(ctx, stage.name, left, right, top);
      });
      top += STRIP;
    }
    for (const fault of data.faults) {
      const [left, right] = [x(fault.start), Math.max(x(fault.end), x(fault.start) + 2)];
      if (right < GUTTER || left > GUTTER + plotWidth()) continue;
      const at = top + fault.row * STRIP;
      const [from, to] = [Math.max(left, GUTTER), Math.min(right, GUTTER + plotWidth())];
      ctx.fillStyle = report.faded(palette.of(fault.kind), fault.effective ? 0.09 : 0.04);
      ctx.fillRect(from, at, to - from, height - at);
      report.shadeFault(ctx, fault, from, at, to - from, STRIP - 3, 0.6);
      ctx.fillStyle = palette.of(fault.kind);
      for (const edge of [left, right]) if (edge >= GUTTER && edge <= GUTTER + plotWidth()) ctx.fillRect(edge - 0.5, at, 1, height - at);
      caption(ctx, fault.title + (fault.effective ? "" : fault.effective === null ? " (unconfirmed)" : " (no effect)"), from, to, at);
    }
  }
  function caption(ctx, words, left, right, top) {
    if (right - left < 26) return;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, right - left - 3, STRIP);
    ctx.clip();
    const wide = ctx.measureText(words).width;
    ctx.fillStyle = report.faded(palette.page, 0.8);
    ctx.fillRect(left + 2, top + 1, Math.min(wide + 5, right - left - 6), STRIP - 5);
    ctx.fillStyle = palette.ink;
    ctx.fillText(words, left + 4, top + (STRIP - 3) / 2 + 0.5);
    ctx.restore();
  }

  function draw() {
    const [ctx, wide] = fit(canvas, height);
    width = wide;
    ctx.font = `11px ${palette.sans}`;
    ctx.textBaseline = "middle";
    ctx.fillStyle = palette.page;
    ctx.fillRect(0, 0, width, height);
    ctx.fillStyle = palette.quiet;
    ctx.textAlign = "center";
    for (const [at, words] of ticks(state.from, state.to, plotWidth())) {
      ctx.fillStyle = palette["soft-line"];
      ctx.fillRect(x(at), AXIS - 4, 1, height);
      ctx.fillStyle = palette.quiet;
      if (x(at) < width - 20) ctx.fillText(words, x(at), 10);
    }
    ctx.textAlign = "left";
    strips(ctx);
    ctx.save();
    ctx.beginPath();
    ctx.rect(GUTTER, 0, plotWidth() + MARGIN, height);
    ctx.clip();
    const bright = report.bright();
    const shown = report.visible(state.from, state.to);
    arrange(shown);
    dense = shown.length > DENSE;
    let order = shown;
    if (dense) {
      const [origin, scale] = [state.from, plotWidth() / (state.to - state.from)];
      const pixel = (time) => Math.floor((time - origin) * scale);
      let many = 0;
      for (const row of shown) if (bright?.[row]) many++;
      // A few that were searched for are drawn one by one, over all the rest in pale.
      const few = bright && many <= DENSE;
      density.begin(plotWidth(), layout.many);
      const step = report.rush(shown.length);
      for (const row of shown) {
        if (step > 1 && row % step && !ops.outcome[row]) continue;
        if (!bright || few || bright[row]) density.add(pixel(start[row]), pixel(stop[row]), layout.row[ops.lane[row]], ops.outcome[row]);
      }
      const gap = layout.tall > 4 ? 1 : 0;
      density.paint(ctx, GUTTER, head, Math.ceil(plotWidth()), layout.many * layout.tall, few ? 0.16 : 1);
      ctx.fillStyle = palette.page;
      if (gap) for (let row = 1; row < layout.many; row++) ctx.fillRect(GUTTER, head + row * layout.tall - gap, plotWidth(), gap);
      order = few ? shown.filter((row) => bright[row]) : shown.subarray(0, 0);
    }
    const rank = (row) => (bright && !bright[row] ? 0 : 1 + ops.outcome[row] + report.telling[row] * 3);
    const sorted = [...order].sort((a, b) => rank(a) - rank(b));
    for (const row of sorted) operation(ctx, row, bright && !bright[row]);
    for (const row of report.tellers) if (start[row] <= state.to && stop[row] >= state.from) triangle(ctx, row);
    chosen(ctx);
    if (state.cursor !== null) {
      ctx.fillStyle = palette.quiet;
      ctx.fillRect(x(state.cursor), AXIS - 4, 1, height);
    }
    ctx.restore();
    labels(ctx);
    if (drag && drag.kind === "choose") {
      ctx.fillStyle = palette.shade;
      ctx.fillRect(Math.min(drag.left, drag.now), 0, Math.abs(drag.now - drag.left), height);
    }
    band();
  }
  function triangle(ctx, row) {
    const [cx, top] = [Math.max(x(start[row]), GUTTER + 4), topOf(row)];
    ctx.beginPath();
    ctx.moveTo(cx - 5, top - 5);
    ctx.lineTo(cx + 5, top - 5);
    ctx.lineTo(cx, top + 3);
    ctx.closePath();
    ctx.fillStyle = palette.invalid;
    ctx.fill();
    ctx.strokeStyle = palette.page;
    ctx.lineWidth = 1;
    ctx.stroke();
  }
  function chosen(ctx) {
    const row = report.rowOf.get(state.op);
    if (row === undefined || layout.row[ops.lane[row]] < 0) return;
    const [left, right] = [x(start[row]), Math.max(x(stop[row]), x(start[row]) + 3)];
    ctx.strokeStyle = palette.selected;
    ctx.lineWidth = 2;
    ctx.strokeRect(left - 2, topOf(row) - 1, right - left + 4, Math.max(layout.tall - 3, 2) + 4);
  }
  function labels(ctx) {
    ctx.fillStyle = palette.quiet;
    ctx.textAlign = "right";
    if (data.stages.length) ctx.fillText("stage", GUTTER - 6, AXIS + 7);
    if (rows) ctx.fillText("faults", GUTTER - 6, AXIS + (data.stages.length ? STRIP : 0) + 7);
    const every = Math.ceil(12 / layout.tall);
    for (let row = 0; row < layout.many; row += every)
      if (layout.first[row] >= 0) ctx.fillText(layout.others[row] ? `p${layout.first[row]} +${layout.others[row] < 1000 ? layout.others[row] : `${Math.round(layout.others[row] / 1000)}k`}` : `p${layout.first[row]}`, GUTTER - 6, head + (row + 0.5) * layout.tall);
    ctx.textAlign = "left";
  }

  // The overview: rates of the whole run, faults, anomalies, and the span that is looked at.
  function band() {
    const high = overview.clientWidth > 0 && matchMedia("(max-width: 680px)").matches ? 26 : 40;
    const [ctx, wide] = fit(overview, high);
    const at = (time) => (time / report.whole.to) * wide;
    const { t, rate, bin_s } = data.series;
    const most = Math.max(1, ...t.map((_, bin) => rate.ok[bin] + rate.fail[bin] + rate.info[bin]));
    ctx.fillStyle = palette.raised;
    ctx.fillRect(0, 0, wide, high);
    for (const fault of data.faults) {
      report.shadeFault(ctx, fault, at(fault.start), 0, Math.max(at(fault.end) - at(fault.start), 1), high, 0.5);
    }
    t.forEach((time, bin) => {
      const [left, breadth] = [at(time - bin_s / 2), Math.max(at(bin_s) - 0.4, 0.6)];
      const good = (rate.ok[bin] / most) * (high - 8);
      const bad = ((rate.fail[bin] + rate.info[bin]) / most) * (high - 8);
      ctx.fillStyle = palette.ok;
      ctx.fillRect(left, high - good, breadth, good);
      ctx.fillStyle = palette.fail;
      ctx.fillRect(left, high - good - bad, breadth, bad);
    });
    for (const row of report.tellers) {
      ctx.fillStyle = palette.invalid;
      ctx.beginPath();
      ctx.moveTo(at(start[row]) - 4, 0);
      ctx.lineTo(at(start[row]) + 4, 0);
      ctx.lineTo(at(start[row]), 7);
      ctx.fill();
    }
    ctx.fillStyle = report.faded(palette.page, 0.66);
    ctx.fillRect(0, 0, at(state.from), high);
    ctx.fillRect(at(state.to), 0, wide, high);
    ctx.strokeStyle = palette.accent;
    ctx.lineWidth = 1.5;
    ctx.strokeRect(at(state.from) + 0.75, 0.75, Math.max(at(state.to) - at(state.from) - 1.5, 2), high - 1.5);
    if (state.cursor !== null) {
      ctx.fillStyle = palette.ink;
      ctx.fillRect(at(state.cursor), 0, 1, high);
    }
  }

  function hit(event) {
    const box = canvas.getBoundingClientRect();
    const [left, top] = [event.clientX - box.left, event.clientY - box.top];
    const at = Math.floor((top - head) / layout.tall);
    if (at < 0 || at >= layout.many || left < GUTTER) return null;
    const bright = report.bright();
    let [best, score] = [null, 5];
    for (const row of report.visible(timeAt(left - 6), timeAt(left + 6), around)) {
      if (layout.row[ops.lane[row]] !== at) continue;
      const distance = Math.max(x(start[row]) - left, left - x(stop[row]), 0);
      const favour = distance - report.telling[row] * 3 - (ops.outcome[row] ? 1 : 0) + (bright && !bright[row] ? 4 : 0);
      if (distance <= 5 && favour < score) [best, score] = [row, favour];
    }
    return best;
  }
  // What a pixel of the picture counts, in words; null where operations are drawn one by one.
  function count(event) {
    if (!dense) return null;
    const box = canvas.getBoundingClientRect();
    const found = density.at(Math.floor(event.clientX - box.left) - GUTTER, Math.floor((event.clientY - box.top - head) / layout.tall));
    return found && found.some(Boolean) ? `here: ${report.outcomes.map((name, at) => `${found[at]} ${name}`).join(", ")}; zoom in for each of them` : null;
  }

  let drag = null;
  const inside = (event, element) => event.clientX - element.getBoundingClientRect().left;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    const left = inside(event, canvas);
    drag = { kind: event.shiftKey ? "pan" : "choose", left, now: left, from: state.from, to: state.to };
  });
  canvas.addEventListener("pointermove", (event) => {
    const left = inside(event, canvas);
    if (drag) {
      drag.now = left;
      const shift = ((drag.left - left) / plotWidth()) * (drag.to - drag.from);
      if (drag.kind === "pan") set({ from: drag.from + shift, to: drag.to + shift });
    }
    set({ cursor: left >= GUTTER ? timeAt(left) : null });
  });
  canvas.addEventListener("pointerup", (event) => {
    const done = drag;
    drag = null;
    if (!done) return;
    if (Math.abs(done.now - done.left) > 4) {
      if (done.kind === "choose") set({ from: timeAt(Math.min(done.left, done.now)), to: timeAt(Math.max(done.left, done.now)) });
    } else {
      const row = hit(event);
      set({ op: row === null ? null : ops.index[row] });
    }
    draw();
  });
  canvas.addEventListener("pointerleave", () => set({ cursor: null }));
  canvas.addEventListener("dblclick", () => set(report.whole));
  canvas.addEventListener("wheel", (event) => {
    // A plain wheel scrolls the page; only with ctrl (a pinch sends it too) or sideways is it meant for the timeline.
    if (event.ctrlKey || event.metaKey) report.zoom(Math.exp(event.deltaY * 0.004), timeAt(inside(event, canvas)));
    else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) report.pan((event.deltaX / plotWidth()) * (state.to - state.from));
    else return;
    event.preventDefault();
  }, { passive: false });

  let brush = null;
  const overAt = (event) => (inside(event, overview) / overview.clientWidth) * report.whole.to;
  overview.addEventListener("pointerdown", (event) => {
    overview.setPointerCapture(event.pointerId);
    const at = overAt(event);
    const near = (6 / overview.clientWidth) * report.whole.to;
    const narrowed = state.to - state.from < report.whole.to * 0.98;
    if (narrowed && Math.abs(at - state.from) < near) brush = { fixed: state.to };
    else if (narrowed && Math.abs(at - state.to) < near) brush = { fixed: state.from };
    else if (narrowed && at > state.from && at < state.to) brush = { grip: at - state.from, breadth: state.to - state.from };
    else brush = { fixed: at };
  });
  overview.addEventListener("pointermove", (event) => {
    const at = overAt(event);
    if (brush?.grip !== undefined) set({ from: at - brush.grip, to: at - brush.grip + brush.breadth });
    else if (brush && Math.abs(at - brush.fixed) > report.whole.to / 400) set({ from: Math.min(at, brush.fixed), to: Math.max(at, brush.fixed) });
    else set({ cursor: at });
  });
  overview.addEventListener("pointerup", () => { brush = null; });
  overview.addEventListener("pointerleave", () => set({ cursor: null }));
  overview.addEventListener("dblclick", () => set(report.whole));

  report.listen(draw);
  timeline = {
    draw, hit, count, x, canvas,
    dense: () => dense,
    forget: () => { for (const colour of Object.keys(hatches)) delete hatches[colour]; },
    // Where an operation is drawn, in pixels of the window: for tests, and for nothing else.
    place: (row) => {
      const box = canvas.getBoundingClientRect();
      return { left: box.left + x((start[row] + stop[row]) / 2), top: box.top + topOf(row) + layout.tall / 2 };
    },
  };
}
