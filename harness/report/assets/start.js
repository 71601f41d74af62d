// Start: the operations are unpacked, and everything is made of them, in this order.
//
// 1. A browser that can't unpack them shows the page as without scripts, and says so.
"use strict";
(async () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  try {
    const ops = await unpack(data.ops);
    makeReport(data, ops);
    makeCharts();
    makeTimeline();
    makePage();
  } catch (problem) {
    document.body.classList.add("no-script");
    document.getElementById("too-old").hidden = false;
    throw problem;
  }
})();
