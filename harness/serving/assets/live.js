// A run under way: the server sends what is new, second by second.
(() => {
  "use strict";
  document.body.classList.remove("no-script");
  const byId = (id) => document.getElementById(id), NS = "http://www.w3.org/2000/svg";
  const seconds = [];
  const draw = (id, at, most, unit) => {
    const figures = seconds.map((each) => each[at]);
    const top = most ?? Math.max(1, ...figures.filter((each) => each !== null));
    const svg = byId(id), step = 600 / Math.max(figures.length - 1, 1);
    svg.replaceChildren();
    let points = [];
    const flush = () => {
      if (points.length) {
        const line = document.createElementNS(NS, points.length > 1 ? "polyline" : "circle");
        if (points.length > 1) line.setAttribute("points", points.map((each) => each.join(",")).join(" "));
        else for (const [name, value] of [["cx", points[0][0]], ["cy", points[0][1]], ["r", 2]]) line.setAttribute(name, value);
        svg.append(line);
      }
      points = [];
    };
    figures.forEach((each, index) => (each === null ? flush() : points.push([+(index * step).toFixed(2), +(78 - (each / top) * 76).toFixed(2)])));
    flush();
    byId(`${id}-top`).textContent = `0 to ${most ? "100%" : `${Math.round(top).toLocaleString("en")} ${unit}`}`;
  };
  const cell = (name, text) => Object.assign(document.createElement(name), { textContent: text, className: "number" });
  const show = (told) => {
    seconds.splice(told.from, Infinity, ...told.seconds);
    byId("elapsed").textContent = `${told.elapsed_s.toFixed(1)} s`;
    byId("stage").textContent = told.stage || "–";
    for (const name of ["ok", "fail", "info", "open"]) byId(`count-${name}`).textContent = told.counts[name].toLocaleString("en");
    byId("faults").textContent = told.faults.map((each) => each[0]).join(", ") || "none";
    draw("rate", 0, null, "a second");
    draw("availability", 4, 1, "");
    draw("p99", 5, null, "ms");
    const last = seconds.map((each, at) => [at, ...each]).slice(-10).reverse();
    byId("seconds").tBodies[0].replaceChildren(...last.map((each) => {
      const row = document.createElement("tr");
      const share = each[5] === null ? "–" : `${Math.round(100 * each[5])}%`, p99 = each[6] === null ? "–" : each[6].toFixed(1);
      row.append(cell("th", each[0]), ...each.slice(1, 5).map((one) => cell("td", one)), cell("td", share), cell("td", p99));
      row.firstChild.scope = "row";
      return row;
    }));
  };
  const source = new EventSource(location.pathname.replace(/^\/live\//, "/events/"));
  source.addEventListener("pulse", (event) => show(JSON.parse(event.data)));
  source.addEventListener("end", (event) => {
    source.close();
    const told = JSON.parse(event.data);
    byId("state").textContent = `${told.verdict}: ${told.reason}`;
    byId("state").className = told.verdict;
    byId("ended").hidden = false;
  });
})();
