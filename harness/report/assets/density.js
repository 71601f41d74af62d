// Density: very many operations as a picture with a cell a pixel, instead of one mark each.
//
// 1. A cell counts by outcome. The more there are, the darker it is; one that failed or is unknown shows among any
//    number that did not.
// 2. What it costs grows with the operations in view once, and then with the cells.
"use strict";
function makeDensity(palette) {
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  let [columns, rows] = [0, 0];
  let picture = null;
  let counts = new Uint32Array(0);
  const parts = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map(Number);
  return {
    begin(wide, high) {
      [columns, rows] = [Math.max(Math.ceil(wide), 1), Math.max(Math.ceil(high), 1)];
      if (counts.length < columns * rows * 3) counts = new Uint32Array(columns * rows * 3);
      else counts.fill(0, 0, columns * rows * 3);
    },
    add(from, to, row, outcome) {
      if (row < 0 || row >= rows || to < 0 || from >= columns) return;
      const last = Math.min(to, columns - 1);
      for (let column = Math.max(from, 0), at = (row * columns + column) * 3 + outcome; column <= last; column++, at += 3) counts[at]++;
    },
    at: (column, row) => (column < 0 || row < 0 || column >= columns || row >= rows ? null : [...counts.subarray((row * columns + column) * 3, (row * columns + column) * 3 + 3)]),
    paint(ctx, left, top, width, height, strength = 1) {
      if (!picture || picture.width !== columns || picture.height !== rows) {
        canvas.width = columns;
        canvas.height = rows;
        picture = pen.createImageData(columns, rows);
      }
      const shades = [palette.ok, palette.fail, palette.info].map((colour) => {
        const [red, green, blue] = parts(colour);
        return (opacity) => ((255 * opacity * strength) << 24) | (blue << 16) | (green << 8) | red;
      });
      const good = Uint32Array.from({ length: 256 }, (_, many) => (many ? shades[0](1 - 0.62 / Math.sqrt(many)) : 0));
      const bad = [shades[1](0.9), shades[2](0.9)];
      const pixels = new Uint32Array(picture.data.buffer);
      for (let cell = 0, at = 0; cell < columns * rows; cell++, at += 3) {
        const [fail, info] = [counts[at + 1], counts[at + 2]];
        pixels[cell] = fail | info ? bad[info > fail ? 1 : 0] : good[Math.min(counts[at], 255)];
      }
      pen.putImageData(picture, 0, 0);
      ctx.save();
      ctx.imageSmoothingEnabled = false;
      ctx.drawImage(canvas, left, top, width, height);
      ctx.restore();
    },
  };
}
