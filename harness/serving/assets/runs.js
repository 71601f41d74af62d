// The list of runs. Filtering is the server's; where the page is a file, it is done here, on the rows that are there.
(() => {
  "use strict";
  document.body.classList.remove("no-script");
  const filter = document.getElementById("filter"), pair = document.getElementById("pair");
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, select, textarea")) return;
    event.preventDefault();
    document.getElementById("q")?.focus();
  });
  if (pair && !document.body.classList.contains("static")) {
    const boxes = [...pair.querySelectorAll("input[name=run]")], order = [];
    const button = pair.querySelector("button");
    const update = () => { button.disabled = order.length !== 2; };
    for (const box of boxes) {
      if (box.checked) order.push(box);
      box.addEventListener("change", () => {
        const at = order.indexOf(box);
        if (at >= 0) order.splice(at, 1);
        if (box.checked) order.push(box);
        while (order.length > 2) order.shift().checked = false;
        update();
      });
    }
    update();
    for (const select of filter.querySelectorAll("select")) select.addEventListener("change", () => filter.requestSubmit());
    return;
  }
  if (!filter || !pair) return;
  const body = pair.querySelector("tbody"), rows = [...body.rows];
  const words = new Map(rows.map((row) => [row, `${row.textContent} ${row.dataset.verdict}`.toLowerCase().replace(/\s+/g, " ")]));
  const worst = ["invalid", "broken", "unknown", "unfinished", "valid"];
  const figure = (row, name, none) => (row.dataset[name] === "" ? none : Number(row.dataset[name]));
  const by = {
    "newest": (row) => -figure(row, "at", 0), "oldest": (row) => figure(row, "at", 0), "worst": (row) => worst.indexOf(row.dataset.verdict),
    "slowest": (row) => -figure(row, "p99", 0), "least available": (row) => figure(row, "ok", 2), "seed": (row) => figure(row, "seed", -1),
  };
  const apply = () => {
    const asked = new FormData(filter), get = (name) => (asked.get(name) || "").trim();
    const sought = get("q").toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const row of rows) {
      row.hidden = !(sought.every((word) => words.get(row).includes(word))
        && ["workload", "system", "verdict", "seed"].every((name) => !get(name) || row.dataset[name] === get(name))
        && (!get("fault") || row.dataset.fault.split(" ").includes(get("fault"))));
      found += !row.hidden;
    }
    const key = by[get("sort")] || by.newest;
    body.append(...[...rows].sort((one, other) => key(one) - key(other)));
    document.getElementById("found").textContent = found.toLocaleString("en");
  };
  filter.addEventListener("input", apply);
  filter.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
})();
