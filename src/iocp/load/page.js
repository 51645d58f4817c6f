// What is on the page, from the figures in it.

window.addEventListener("error", event => { document.documentElement.dataset.failed = event.message; });

const data = JSON.parse(document.getElementById("data").textContent);
const totals = data.totals, series = data.series;
const at = id => document.getElementById(id);
const hide = id => { at(id).hidden = true; };

function cell(row, text, className, name = "td") {
  return element(name, row, text, className);
}

// columns: [title, kind] with kind "number" or "text".
function table(id, columns, rows) {
  const head = element("tr", element("thead", at(id)));
  for (const [title, kind] of columns) cell(head, title, kind, "th");
  const body = element("tbody", at(id));
  for (const values of rows) {
    const row = element("tr", body);
    values.forEach((value, index) => {
      const [text, mark] = Array.isArray(value) ? value : [value, ""];
      cell(row, text, `${columns[index][1]} ${mark}`);
    });
  }
}

function facts(id, entries) {
  for (const [name, value] of Object.entries(entries)) {
    const row = element("tr", at(id));
    cell(row, name, "", "th");
    cell(row, value, "text");
  }
}

// ---- what it came to ----

function verdict() {
  at("verdict").classList.add(data.verdict.state);
  at("headline").textContent = data.verdict.headline;
  at("subject").textContent = `iocp-load ${data.parameters.protocol} · ${data.parameters.host}:${data.parameters.port}`;
  for (const sentence of data.verdict.sentences) element("p", at("sentences"), sentence);
}

function tiles() {
  const latency = totals.latency_ms;
  const servers = series.server.filter(value => value !== null);
  const entries = [
    [totals.connected.toLocaleString("en-US"), totals.clients ? `of ${totals.clients.toLocaleString("en-US")} players` : "players at most"],
    [units.rate(totals.rate_per_s), "answers"],
    [latency.p50 === null ? "–" : units.ms(latency.p50), "p50, half of the answers"],
    [latency.p99 === null ? "–" : units.ms(latency.p99), "p99, 99 of 100 answers"],
  ];
  if (totals.fanout_ms.p99 !== null) entries.push([units.ms(totals.fanout_ms.p99), "p99 of what others see"]);
  entries.push([totals.errors.toLocaleString("en-US"), "errors", totals.errors]);
  entries.push([totals.violations.toLocaleString("en-US"), "violations", totals.violations]);
  if (servers.length) entries.push([units.percent(Math.max(...servers)), "of a processor: the server at most"]);
  for (const [value, name, bad] of entries) {
    const tile = element("div", at("totals"), undefined, bad ? "tile bad" : "tile");
    element("b", tile, value);
    element("span", tile, name);
  }
}

// ---- over time ----

const end = series.at.length ? series.at.at(-1) : 1;
const overTime = {
  position: value => value,
  from: 0,
  to: end,
  name: "seconds from the start",
  show: value => `${digits(value)} s`,
  ticks: width => linearTicks(end, Math.max(2, width / 90)).filter(value => value <= end * 1.001).map(value => [value, digits(value)]),
};
const phases = data.phases
  .map(([name, to], index) => ({ name, from: index ? data.phases[index - 1][1] : 0, to }))
  .filter(phase => phase.name !== "hold")
  .map(phase => ({ ...phase, name: phase.name === "ramp" ? "ramp" : "end" }));

function limitOf(name) {
  const found = totals.objectives.find(objective => objective.name === name);
  return found ? { value: found.limit, name: `limit of ${name.replace("fanout_", "")}, ${units.ms(found.limit)}` } : null;
}

function timeChart(id, label, unit, lines, more = {}) {
  lineChart(at(id), {
    label, unit, phases, x: overTime,
    series: lines.map(([name, y, colour, dashed]) => ({ name, y, x: series.at, colour, dashed })),
    ...more,
  });
}

function latencyLines(times) {
  return [["max", times.max, "c4"], ["p99", times.p99, "c2"], ["p90", times.p90, "c3"], ["p50", times.p50, "c1"]];
}

function charts() {
  timeChart("own-chart", "latency", "ms", latencyLines(series.own), { log: true, height: 280, limit: limitOf("p99") });
  if (series.others.p50.some(value => value !== null))
    timeChart("others-chart", "latency", "ms", latencyLines(series.others), { log: true, height: 280, limit: limitOf("fanout_p99") });
  else hide("others-part");
  if (totals.fanout_unmatched) {
    at("others-note").hidden = false;
    at("others-note").textContent = `Moves that others were told of but that have no time, and are not in these figures: ` +
      `${digits(totals.fanout_unmatched)}, since no new send of the mover led there: it was told again where it stands, it teleported, or the server moved it.`;
  }
  timeChart("throughput-chart", "packets per second", "rate", [["received", series.received, "c1"], ["sent", series.sent, "c2"]]);
  timeChart("connections-chart", "players", "count", [["players", series.playing, "c1"]], { height: 180 });
  timeChart("processor-chart", "processor time", "percent",
    [["server", series.server, "c1"], ["generator", series.generator, "c2"]], { floor: 100 });
  if (series.memory.some(value => value !== null))
    timeChart("memory-chart", "resident memory", "bytes", [["server", series.memory, "c1"]], { height: 180 });
  else hide("memory-part");
}

// ---- percentiles ----

function percentOf(rarity) {
  return rarity <= 1 ? "0 %" : `${Number((100 - 100 / rarity).toPrecision(12))} %`;
}

function percentiles() {
  const { planned, raw, others } = data.curves;
  const most = Math.max(10, ...[planned, raw, others].flatMap(curve => curve.map(point => point[0])));
  const lines = [
    ["seen by others", others, "c3", false], ["from planned send", planned, "c1", false], ["from real send", raw, "c2", true],
  ];
  lineChart(at("curve-chart"), {
    label: "latency", unit: "ms", log: true, height: 320,
    series: lines.map(([name, curve, colour, dashed]) =>
      ({ name, colour, dashed, x: curve.map(point => point[0]), y: curve.map(point => point[1]) })),
    x: {
      position: Math.log10, from: 1, to: most, name: "percentile", show: value => `${digits(100 - 100 / value)} %`,
      ticks: width => {
        const decade = width / Math.log10(most), stride = Math.ceil(64 / decade);
        const all = decade > 140 ? [[1, "0 %"], [2, "50 %"]] : [[1, "0 %"]];
        for (let power = stride; 10 ** power <= most; power += stride) all.push([10 ** power, percentOf(10 ** power)]);
        return all;
      },
    },
  });
  const names = ["p50", "p90", "p99", "p999", "max"];
  const rows = [
    ["from planned send", totals.latency_ms], ["from real send", totals.latency_raw_ms], ["seen by others", totals.fanout_ms],
    ["generator's lateness", totals.lateness_ms],
  ];
  table("percentile-table", [["milliseconds", "text"], ...names.map(name => [name === "p999" ? "p99.9" : name, "number"])],
    rows.filter(([, times]) => times.p50 !== null).map(([name, times]) => [name, ...names.map(key => digits(times[key]))]));
}

// ---- tables ----

// The stages of a run, or the steps of a search.
function steps() {
  if (!data.steps.rows.length) return;
  at("steps").hidden = false;
  at("steps-note").textContent = data.steps.note;
  const results = { held: "good", failed: "bad", missed: "bad", invalid: "bad" };
  table("steps-table", [["players", "number"], ["", "name"], ["result", "name"], ["answers/s", "number"], ["p50 ms", "number"],
    ["p99 ms", "number"], ["seen by others p99", "number"], ["course's delay", "number"], ["errors", "number"],
    ["violations", "number"], ["late p99", "number"]],
    data.steps.rows.map(row => [digits(row.clients), row.kind, [row.result, results[row.result]], digits(row.rate_per_s),
      digits(row.latency_ms.p50), digits(row.latency_ms.p99), digits(row.fanout_ms.p99), digits(row.course_delay_ms),
      digits(row.errors), digits(row.violations), digits(row.lateness_ms.p99)]));
}

function objectives() {
  if (!totals.objectives.length) return;
  at("objectives").hidden = false;
  const counts = ["errors", "violations"];
  const shown = (name, value) => value === null ? "nothing measured" : counts.includes(name) ? digits(value) : units.ms(value);
  table("objectives-table", [["objective", "text"], ["limit", "number"], ["measured", "number"], ["", "name"]],
    totals.objectives.map(({ name, limit, value, held }) =>
      [name, shown(name, limit), shown(name, value), held ? ["held", "good"] : ["missed", "bad"]]));
}

function faults() {
  if (!data.faults.length) {
    at("faults-none").hidden = false;
    return;
  }
  table("faults-table", [["kind", "name"], ["count", "number"], ["what", "text"], ["example, or what may be behind it", "text"]],
    data.faults.map(({ kind, name, count, example }) =>
      [kind === "violation" ? [kind, "bad"] : kind, count ? count.toLocaleString("en-US") : "", name, example]));
}

function conditions() {
  facts("parameters-table", data.parameters);
  facts("machine-table", data.machine);
  if (series.server.some(value => value !== null))
    at("bias").textContent = "Generator and server shared this machine. Each took processor time from the other, and no network lay " +
      "between them: compare these figures only with others that were taken in the same way.";
}

// ---- the map ----

function bytesOf(text) {
  return Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
}

function map() {
  if (!data.map) return;
  at("map").hidden = false;
  const { cells, colours, frames, tiles } = data.map;
  const canvas = at("map-canvas"), slider = at("map-slider"), button = at("map-play");
  const pen = canvas.getContext("2d");
  const counted = frames.map(frame => {
    const places = bytesOf(frame.places), counts = new Uint32Array(cells * cells);
    for (let place = 0; place < places.length; place += 2) counts[places[place] + cells * places[place + 1]]++;
    // Of many players a part is in the frame: each stands for several.
    return { counts, weight: places.length ? Math.max(1, frame.playing * 2 / places.length) : 1 };
  });
  const most = counted.reduce((largest, { counts }) => Math.max(largest, Math.max(...counts)), 8);
  const weight = Math.max(...counted.map(frame => frame.weight));
  const scale = 8 * Math.max(1, Math.round(100 / cells));
  canvas.width = canvas.height = cells * scale;

  function show(index) {
    const { counts } = counted[index];
    pen.fillStyle = colours[0];
    pen.fillRect(0, 0, canvas.width, canvas.height);
    counts.forEach((count, place) => {
      if (!count) return;
      const step = 2 + Math.round(Math.log(count) / Math.log(most) * (colours.length - 3));
      pen.fillStyle = colours[Math.min(step, colours.length - 1)];
      pen.fillRect(place % cells * scale, Math.floor(place / cells) * scale, scale, scale);
    });
    slider.value = index;
    at("map-time").textContent = `${frames[index].at.toFixed(1)} s`;
  }

  let timer = 0;
  function stop() {
    clearInterval(timer);
    timer = 0;
    button.textContent = "Play";
  }
  button.addEventListener("click", () => {
    if (timer) { stop(); return; }
    if (Number(slider.value) === frames.length - 1) show(0);
    button.textContent = "Pause";
    timer = setInterval(() => {
      show(Number(slider.value) + 1);
      if (Number(slider.value) === frames.length - 1) stop();
    }, Math.min(400, Math.max(80, 12000 / frames.length)));
  });
  slider.max = frames.length - 1;
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  const legend = at("map-legend");
  element("span", legend, `${tiles} × ${tiles} tiles seen. Players in a spot: ${weight > 1.05 ? "about " : ""}${digits(Math.round(weight))}`);
  const swatches = element("span", legend, undefined, "swatches");
  for (const colour of colours.slice(2)) element("span", swatches, undefined, "swatch").style.background = colour;
  element("span", swatches, digits(Math.round(most * weight)), "last");
  show(frames.length - 1);
}

verdict();
tiles();
charts();
percentiles();
steps();
objectives();
faults();
conditions();
map();
document.documentElement.dataset.drawn = "yes";
