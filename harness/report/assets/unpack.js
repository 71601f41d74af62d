// Unpacking: the operations as the page was given them, columns of integers in byte planes and texts, both deflated.
//
// 1. The order of the columns, and which of them are differences, is packing.py's.
// 2. Rows are in the order of invocation, so times of start never fall.
"use strict";
async function unpack(packed) {
  async function inflated(text) {
    const letters = atob(text);
    const bytes = new Uint8Array(letters.length);
    for (let at = 0; at < letters.length; at++) bytes[at] = letters.charCodeAt(at);
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")));
  }
  const [planes, texts] = await Promise.all([inflated(packed.planes).then((found) => found.arrayBuffer()), inflated(packed.texts).then((found) => found.json())]);
  const bytes = new Uint8Array(planes);
  const n = packed.n;
  let column = 0;
  function next(Kind) {
    const found = new Kind(n);
    const at = column++ * 4 * n;
    for (let row = 0; row < n; row++) found[row] = bytes[at + row] | (bytes[at + n + row] << 8) | (bytes[at + 2 * n + row] << 16) | (bytes[at + 3 * n + row] << 24);
    return found;
  }
  const added = (found) => { for (let row = 1; row < n; row++) found[row] += found[row - 1]; return found; };
  const scale = packed.unit / 1e6;
  const start = Float64Array.from(added(next(Int32Array)), (units) => units * scale);
  const took = Float64Array.from(next(Uint32Array), (units) => units * scale);
  const index = added(next(Int32Array));
  const done = next(Int32Array);
  for (let row = 0; row < n; row++) done[row] = done[row] ? index[row] + done[row] : -1;
  const code = next(Int32Array);
  const [f, key, node, error] = [next(Int32Array), next(Int32Array), next(Int32Array), next(Int32Array)];
  const outcome = Uint8Array.from(next(Int32Array));
  const { names, values } = texts;
  return {
    n, start, took, index, done, f, key, node, error, outcome, names, value: values,
    stop: start.map((at, row) => at + took[row]),
    process: Int32Array.from(code, (each) => names.process[each]),
    lane: Int32Array.from(code, (each) => names.lane[each]),
  };
}
