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
      canvas.width = columns;
      canvas.height = rows;
      const picture = pen.createImageData(columns, rows);
      const colours = [parts(palette.ok), parts(palette.fail), parts(palette.info)];
      for (let cell = 0; cell < columns * rows; cell++) {
        const [ok, fail, info] = [counts[cell * 3], counts[cell * 3 + 1], counts[cell * 3 + 2]];
        if (!(ok + fail + info)) continue;
        const [red, green, blue] = colours[info > fail ? 2 : fail ? 1 : 0];
        const many = ok + fail + info;
        const opacity = fail + info ? 0.75 + 0.25 * ((fail + info) / many) : 1 - 0.62 / Math.sqrt(many);
        picture.data.set([red, green, blue, 255 * opacity * strength], cell * 4);
      }
      pen.putImageData(picture, 0, 0);
      ctx.save();
      ctx.imageSmoothingEnabled = false;
      ctx.drawImage(canvas, left, top, width, height);
      ctx.restore();
    },
  };
}
