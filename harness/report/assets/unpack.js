// Unpacking: the operations as the page was given them, columns of integers in byte planes and texts, both deflated.
//
// 1. The order of the columns, and what each holds, is packing.py's.
// 2. Rows are in the order of invocation, so times of start never fall.
"use strict";
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%()*+,-./:;=?@[]^_{}";
async function unpack(packed) {
  const digit = new Uint8Array(128);
  for (let at = 0; at < 85; at++) digit[ALPHABET.charCodeAt(at)] = at;
  function inflated(text, length) {
    const bytes = new Uint8Array((text.length / 5) * 4);
    for (let from = 0, to = 0; from < text.length; to += 4) {
      let word = 0;
      for (const last = from + 5; from < last; from++) word = word * 85 + digit[text.charCodeAt(from)];
      bytes[to] = word >>> 24;
      bytes[to + 1] = word >>> 16;
      bytes[to + 2] = word >>> 8;
      bytes[to + 3] = word;
    }
    return new Response(new Blob([bytes.subarray(0, length)]).stream().pipeThrough(new DecompressionStream("deflate")));
  }
  const [planes, texts] = await Promise.all([inflated(packed.planes, packed.bytes[0]).arrayBuffer(), inflated(packed.texts, packed.bytes[1]).json()]);
  const bytes = new Uint8Array(planes);
  const n = packed.n;
  const { names, free, values } = texts;
  let column = 0;
  function next(Kind) {
    const found = new Kind(n);
    const at = column++ * 4 * n;
    for (let row = 0; row < n; row++) found[row] = bytes[at + row] | (bytes[at + n + row] << 8) | (bytes[at + 2 * n + row] << 16) | (bytes[at + 3 * n + row] << 24);
    return found;
  }
  const added = (found) => { for (let row = 1; row < found.length; row++) found[row] += found[row - 1]; return found; };
  const scale = packed.unit / 1e6;
  const starts = added(next(Int32Array));
  const lengths = next(Uint32Array);
  const index = added(next(Int32Array));
  const late = next(Int32Array);
  const lane = next(Int32Array);
  const [f, key, node, error] = [next(Int32Array), next(Int32Array), next(Int32Array), next(Int32Array)];
  const outcome = Uint8Array.from(next(Int32Array));

  // Completions: in the order of their times, moved by as many places as they are late, they take the events that are
  // neither invocations nor of anybody else.
  const ends = Float64Array.from(starts, (start, row) => start + lengths[row]);
  const completed = Int32Array.from([...late.keys()].filter((row) => late[row]));
  const order = Float64Array.from(completed, (row, at) => ends[row] * 2 ** 21 + at).sort();
  const taken = new Uint8Array(n * 2 + free.length + 2);
  let other = 0;
  for (const step of free) taken[(other += step)] = 1;
  for (const event of index) taken[event] = 1;
  const events = new Int32Array(completed.length);
  for (let event = 0, at = 0; at < events.length; event++) if (!taken[event]) events[at++] = event;
  const done = new Int32Array(n).fill(-1);
  order.forEach((packedOrder, expected) => {
    const row = completed[packedOrder % 2 ** 21];
    const off = late[row] - 1;
    done[row] = events[expected + (off % 2 ? -(off + 1) / 2 : off / 2)];
  });

  // Who asked: a process holds its lane from its first row on, until another one has it. And through which node.
  const process = new Int32Array(n);
  const holder = [];
  added(names.process);
  added(names.first);
  for (let row = 0, fresh = 0; row < n; row++) {
    if (names.first[fresh] === row) holder[lane[row]] = { process: names.process[fresh++], node: 0 };
    const held = holder[lane[row]];
    process[row] = held.process;
    if (node[row]) held.node = node[row] - 1;
    node[row] = held.node;
  }
  const value = new Array(n);
  const places = new Int32Array(names.f.length + 1);
  for (const code of f) places[code + 1]++;
  for (let code = 0; code < names.f.length; code++) places[code + 1] += places[code];
  for (let row = 0; row < n; row++) value[row] = values[places[f[row]]++];
  return {
    n, index, done, f, key, node, error, outcome, names, value, process, lane,
    start: Float64Array.from(starts, (units) => units * scale),
    took: Float64Array.from(lengths, (units) => units * scale),
    stop: Float64Array.from(ends, (units) => units * scale),
  };
}
