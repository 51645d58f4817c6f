"use strict";
// Charts in SVG. Text is only ever set as text: what it says may come from a hostile server.

const SPACE = document.getElementById("space").namespaceURI;

function svg(name, attributes, parent) {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (parent) parent.append(made);
  return made;
}

function element(name, parent, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  if (parent) parent.append(made);
  return made;
}

// Three digits that matter, thousands apart.
function digits(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  const places = size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 3;
  return Number(value.toFixed(places)).toLocaleString("en-US", { maximumFractionDigits: places });
}

const units = {
  ms: value => value >= 10000 ? digits(value / 1000) + " s" : digits(value) + " ms",
  count: value => value >= 1e6 ? digits(value / 1e6) + " M" : value >= 1e5 ? digits(value / 1e3) + " k" : digits(value),
  rate: value => value ? units.count(value) + "/s" : "0",
  percent: value => digits(value) + " %",
  bytes: value => !value ? "0" : value >= 1e9 ? digits(value / 1e9) + " GB" : value >= 1e6 ? digits(value / 1e6) + " MB" : digits(value / 1e3) + " kB",
};

// 1, 2 or 5 times a power of ten apart.
function linearTicks(most, count) {
  const rough = most / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find(factor => factor * power >= rough) * power;
  const ticks = [];
  for (let value = 0; value < most + step * 0.999; value += step) ticks.push(Number(value.toPrecision(12)));
  return ticks;
}

function logTicks(least, most, room) {
  const from = Math.floor(Math.log10(least)), to = Math.ceil(Math.log10(most));
  const factors = (to - from) * 3 <= room ? [1, 2, 5] : [1];
  const ticks = [];
  for (let power = from; power <= to; power++)
    for (const factor of factors) ticks.push(Number((factor * 10 ** power).toPrecision(3)));
  // From the last tick below everything to the first above.
  const first = ticks.findLastIndex(value => value <= least * 1.0001), last = ticks.findIndex(value => value >= most * 0.9999);
  return ticks.slice(Math.max(first, 0), last < 0 ? ticks.length : last + 1);
}

/*
 * A chart of lines in `figure`, drawn anew when its width changes.
 * options: series [{name, colour, dashed, x, y}], unit, log (may the axis be logarithmic), label (of the y axis), x {ticks(width),
 * position(value), from, to, name, show(value)}, phases, limit {value, name}, height, floor (least top of the axis)
 */
function lineChart(figure, options) {
  const series = options.series.filter(one => one.y.some(value => value !== null));
  const legend = element("div", figure, undefined, "legend");
  const values = [];
  for (const one of series) {
    const entry = element("span", legend);
    const key = svg("svg", { viewBox: "0 0 26 10" }, entry);
    svg("line", { x1: 0, x2: 26, y1: 5, y2: 5, "stroke-width": 3, class: one.colour + (one.dashed ? " dashed" : "") }, key);
    element("span", entry, one.name);
    values.push(element("b", entry, ""));
  }
  if (options.limit) {
    const entry = element("span", legend);
    const key = svg("svg", { viewBox: "0 0 26 10" }, entry);
    svg("line", { x1: 0, x2: 26, y1: 5, y2: 5, class: "limit" }, key);
    element("span", entry, options.limit.name);
  }
  const now = element("span", legend, "", "now");
  const holder = element("div", figure);
  let drawn = 0;

  function draw(width) {
    drawn = width;
    holder.replaceChildren();
    const height = options.height || 240, left = 62, right = 14, top = 24, bottom = 44;
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": options.label }, holder);
    const all = series.flatMap(one => one.y.filter(value => value !== null));
    let most = Math.max(...all, options.floor || 0);
    const positive = all.filter(value => value > 0);
    const least = Math.min(...positive);
    const log = options.log && positive.length && most / least > 30;
    const limit = options.limit && (log || options.limit.value < most * 3) ? options.limit : null;
    if (limit) most = Math.max(most, limit.value * (log ? 1 : 1.08));
    if (!(most > 0)) most = 1;
    const inside = height - top - bottom;
    const ticks = log ? logTicks(least, most, inside / 24) : linearTicks(most, inside / 42);
    const low = log ? Math.log10(ticks[0]) : 0, high = log ? Math.log10(ticks.at(-1)) : ticks.at(-1);
    const y = value => top + inside * (1 - ((log ? Math.log10(Math.max(value, ticks[0])) : value) - low) / (high - low));
    const { position, from, to } = options.x;
    const x = value => left + (width - left - right) * (position(value) - position(from)) / (position(to) - position(from) || 1);

    for (const phase of options.phases || []) {
      const begin = x(phase.from), end = x(phase.to);
      svg("rect", { x: begin, width: Math.max(0, end - begin), y: top, height: inside, class: "phase" }, root);
      if (end - begin > 54) svg("text", { x: (begin + end) / 2, y: top + 14, "text-anchor": "middle" }, root).textContent = phase.name;
    }
    for (const value of ticks) {
      svg("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "grid" }, root);
      svg("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, root).textContent = units[options.unit](value);
    }
    svg("text", { x: 0, y: 12 }, root).textContent = options.label + (log ? ", logarithmic" : "");
    for (const [value, name] of options.x.ticks(width - left - right)) {
      svg("line", { x1: x(value), x2: x(value), y1: top + inside, y2: top + inside + 5, class: "axis" }, root);
      svg("text", { x: x(value), y: height - 24, "text-anchor": "middle" }, root).textContent = name;
    }
    svg("line", { x1: left, x2: width - right, y1: top + inside, y2: top + inside, class: "axis" }, root);
    svg("text", { x: width - right, y: height - 5, "text-anchor": "end" }, root).textContent = options.x.name;
    if (limit) svg("line", { x1: left, x2: width - right, y1: y(limit.value), y2: y(limit.value), class: "limit" }, root);
    for (const one of series) {
      let path = "", open = false;
      one.y.forEach((value, index) => {
        if (value === null) { open = false; return; }
        path += `${open ? "L" : "M"}${x(one.x[index]).toFixed(1)} ${y(value).toFixed(1)}`;
        open = true;
      });
      svg("path", { d: path, class: `curve ${one.colour}${one.dashed ? " dashed" : ""}`, fill: "none" }, root);
      // A point without neighbours is no line.
      if (one.y.length === 1) svg("circle", { cx: x(one.x[0]), cy: y(one.y[0]), r: 4, class: `dot ${one.colour}` }, root);
    }
    const cursor = svg("line", { y1: top, y2: top + inside, class: "cursor", visibility: "hidden" }, root);
    const point = event => {
      const box = root.getBoundingClientRect();
      const here = (event.clientX - box.left) * width / box.width;
      const xs = series.length ? series.reduce((longest, one) => one.x.length > longest.length ? one.x : longest, []) : [];
      if (!xs.length) return;
      const nearest = xs.reduce((best, value) => Math.abs(x(value) - here) < Math.abs(x(best) - here) ? value : best, xs[0]);
      for (const name of ["x1", "x2"]) cursor.setAttribute(name, x(nearest));
      cursor.setAttribute("visibility", "visible");
      now.textContent = options.x.show(nearest);
      series.forEach((one, index) => {
        // Of a curve with points of its own the last one up to here.
        const place = one.x.findLastIndex(value => value <= nearest * 1.000001);
        values[index].textContent = place < 0 || one.y[place] === null ? "–" : units[options.unit](one.y[place]);
      });
    };
    root.addEventListener("pointermove", point);
    root.addEventListener("pointerdown", point);
    root.addEventListener("pointerleave", () => {
      cursor.setAttribute("visibility", "hidden");
      now.textContent = "";
      for (const value of values) value.textContent = "";
    });
  }
  const fit = () => {
    const width = Math.max(280, Math.round(figure.clientWidth));
    if (width !== drawn) draw(width);
  };
  fit();
  new ResizeObserver(fit).observe(figure);
}
