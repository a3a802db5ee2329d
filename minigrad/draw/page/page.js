// The page: shows the graph of `data`, and lets its reader look closer.
//
// `data` is what page/data.py makes of a graph view. A graph is shown as it is, save for the frames that are closed: each of
// those is one box. Whatever is shown is laid out anew by `layout`, drawn once, and then only its classes and colours change.
// All text comes from the data and is set as text, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const FONT = "Helvetica, Arial, sans-serif";
const LABELS = 150;  // above so many nodes, edges carry no shapes
const EMPTY = {details: [], lines: [], result: "", mark: "", shape: "", times: 1, frame: -1, chips: [], heat: {}, count: 0};
for (const graph of data.graphs) {
  graph.nodes = graph.nodes.map((node) => ({...EMPTY, ...node}));
  graph.edges = graph.edges.map(([source, target, number, label, count, flows, run, back]) => {
    const kind = data.edges[number];
    return {source, target, kind, label, count, flows: Boolean(flows), run, back: Boolean(back), flip: kind === "backward" && !back};
  });
}
const state = {
  graph: data.start,
  closed: data.graphs.map((graph) => new Set(graph.closed)),
  color: data.color,
  chosen: null,  // id of the node that is traced
  found: [],     // what the search found
  at: -1,        // which of it was gone to last
  view: {x: 0, y: 0, scale: 1},
};
let shown = null;  // what is drawn now: {nodes, edges, frames, byId, width, height}

// --- small helpers ------------------------------------------------------------------------------------------------------

function element(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function html(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

const pen = document.createElement("canvas").getContext("2d");
const widths = new Map();
function textWidth(text, size, bold) {
  const key = `${bold ? "bold " : ""}${size}px ${FONT}`;
  const name = `${key}|${text}`;
  if (!widths.has(name)) {
    pen.font = key;
    widths.set(name, pen.measureText(text).width);
  }
  return widths.get(name);
}

const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

function scientific(number) {  // as Python writes it: 1.2e-05
  const [digits, power] = number.toExponential(1).split("e");
  return `${digits}e${power[0]}${power.slice(1).padStart(2, "0")}`;
}

function digits(number, count) {  // as Python's g format
  if (number === 0) return "0";
  const power = Math.floor(Math.log10(Math.abs(Number(number.toPrecision(count)))));
  if (power < -4 || power >= count) {
    const [head, tail] = number.toExponential(count - 1).split("e");
    return `${head.includes(".") ? head.replace(/\.?0+$/, "") : head}e${tail[0]}${tail.slice(1).padStart(2, "0")}`;
  }
  const text = number.toFixed(Math.max(0, count - 1 - power));
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function secondsText(seconds) {
  const short = (number) => (number >= 99.5 ? number.toFixed(0) : digits(number, 2));
  for (const [size, unit] of [[1, "s"], [1e-3, "ms"]]) if (seconds >= size * 0.9995) return `${short(seconds / size)} ${unit}`;
  return `${short(seconds * 1e6)} µs`;
}

function bytesText(count) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let number = 0;
  for (; count >= 999.5 && number < units.length - 1; number++) count /= 1000;
  return `${digits(count, 3)} ${units[number]}`;
}

// --- what is shown ------------------------------------------------------------------------------------------------------

// The graph with its closed frames as boxes: a quotient, so that it shows no edge that does not exist.
function quotient() {
  const graph = data.graphs[state.graph], closed = state.closed[state.graph];
  const outermost = [];  // for each frame, the outermost closed one around it
  graph.frames.forEach((frame, number) => {
    const around = frame.parent < 0 ? -1 : outermost[frame.parent];
    outermost.push(around >= 0 ? around : closed.has(number) ? number : -1);
  });
  const nodes = [], boxes = new Map(), standing = [];
  graph.nodes.forEach((node, number) => {
    const box = node.frame < 0 ? -1 : outermost[node.frame];
    if (box < 0) {
      const made = {...node, own: [number], frame: node.frame};
      standing.push(made);
      nodes.push(made);
      return;
    }
    if (!boxes.has(box)) {
      const made = boxNode(graph.frames[box], box);
      boxes.set(box, made);
      nodes.push(made);
    }
    boxes.get(box).own.push(number);
    standing.push(boxes.get(box));
  });
  for (const box of boxes.values()) gather(box, graph);
  const edges = new Map();
  graph.edges.forEach((edge, number) => {
    const [source, target] = [standing[edge.source], standing[edge.target]];
    const boxed = source.box || target.box;
    if (source === target && source.box) {
      // Inside: unless it goes to the next replica of a run around the box.
      if (edge.run < 0 || !isInside(graph, source.number, edge.run) || edge.run === source.number) return;
    }
    const key = boxed ? `${source.id} ${target.id} ${edge.kind} ${edge.label} ${edge.run}` : number;
    const kind = boxed && edge.kind !== "carried" && edge.kind !== "backward" && source.box ? "data" : edge.kind;
    if (!edges.has(key)) edges.set(key, {...edge, kind, source, target, own: [], flows: false, count: 0});
    const made = edges.get(key);
    made.own.push(number);
    made.flows ||= edge.flows;
    made.count += edge.count;
  });
  const list = [...edges.values()];
  for (const edge of list) {
    if (edge.own.length > 1) edge.label = edge.kind === "carried" ? edge.label : `${edge.label} (×${edge.own.length})`.trim();
    if (edge.source === edge.target) edge.back = true;
  }
  const open = graph.frames.map((frame, number) => outermost[number] < 0 && {...frame, number});
  return {nodes, edges: list, frames: open.filter(Boolean), total: graph.nodes.length};
}

function isInside(graph, frame, around) {
  for (let at = frame; at >= 0; at = graph.frames[at].parent) if (at === around) return true;
  return false;
}

function boxNode(frame, number) {
  const details = [frame.kind && `· ${frame.kind}`, frame.times > 1 && `×${frame.times}`].filter(Boolean);
  return {id: `f${number}`, kind: "scope", name: frame.title, details, lines: [frame.words], frame: frame.parent, box: true,
          number, own: [], chips: [], times: frame.times, result: "", mark: "", shape: "", heat: {}};
}

// What a closed frame says of the nodes inside.
function gather(box, graph) {
  const inside = box.own.map((number) => graph.nodes[number]);
  box.result = inside.map((node) => node.result).filter((text, i, all) => text && all.indexOf(text) === i).join("");
  box.mark = inside.map((node) => node.mark).filter((text, i, all) => text && all.indexOf(text) === i).join("; ");
  for (const color of ["time", "memory"]) {
    const values = inside.map((node) => node.heat[color]).filter((value) => value !== undefined);
    if (values.length) box.heat[color] = values.reduce((sum, value) => sum + value, 0);
  }
  const sizes = inside.filter((node) => node.heat.grad !== undefined && node.kind !== "parameter");
  if (sizes.length) {
    const odd = sizes.find((node) => node.heat.grad === "NaN") || sizes.find((node) => node.heat.grad === "infinite");
    const count = sizes.reduce((sum, node) => sum + node.count, 0);
    const largest = Math.max(...sizes.map((node) => (odd ? 1 : node.heat.grad))) || 1;
    const squares = sizes.reduce((sum, node) => sum + node.count * (node.heat.grad / largest) ** 2, 0);
    box.heat.grad = odd ? odd.heat.grad : largest * Math.sqrt(squares / (count || 1));
  }
}

// --- colours ------------------------------------------------------------------------------------------------------------

function onScale(color, place) {
  const stops = data.scales[color];
  const at = Math.min(Math.max(place, 0), 1) * (stops.length - 1), low = Math.min(Math.floor(at), stops.length - 2);
  const channels = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
  const [one, other] = [channels(stops[low]), channels(stops[low + 1])];
  return `#${one.map((a, i) => Math.round(a + (other[i] - a) * (at - low)).toString(16).padStart(2, "0")).join("")}`;
}

function inkOn(fill) {
  const linear = [1, 3, 5].map((i) => parseInt(fill.slice(i, i + 2), 16) / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  const light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return (light + 0.05) / 0.05 >= 1.05 / (light + 0.05) ? "#000000" : "#FFFFFF";
}

// For a colouring: how a value is coloured and written, and the ends of the legend.
function heatOf(nodes, color) {
  const sizes = nodes.flatMap((node) => [node.heat[color], ...(color === "grad" ? node.chips.map((chip) => chip.grad) : [])]);
  const known = sizes.filter((size) => typeof size === "number" && size > 0 && size < Infinity).sort((a, b) => a - b);
  const fixed = color === data.color && data.scale;  // the same ends in every picture, such as one per epoch
  if (color === "grad") {
    const half = known.length >> 1;
    const middle = !known.length ? 1 : known.length % 2 ? known[half] : (known[half - 1] + known[half]) / 2;
    return {
      ends: (fixed || [middle / 1e3, middle * 1e3]).map(scientific),
      text: (value) => (typeof value === "string" ? value : value ? scientific(value) : "0"),
      fill: (value) => typeof value === "string" ? data.nonfinite
        : onScale(color, !(value > 0) ? 0
          : fixed ? Math.log10(value / fixed[0]) / Math.log10(fixed[1] / fixed[0])
          : 0.5 + Math.log10(value / middle) / 6),
    };
  }
  const [low, high] = fixed || (known.length ? [known[0], known[known.length - 1]] : [1, 10]);
  const span = fixed ? Math.log10(high / low) : Math.max(Math.log10(high / low), 1);
  const whole = nodes.reduce((sum, node) => sum + (node.heat[color] || 0), 0) || 1;
  const write = color === "time" ? secondsText : bytesText;
  return {
    ends: [write(high / 10 ** span), write(high)],
    text: (value) => (color === "time" ? `${secondsText(value)} · ${Math.round(100 * value / whole)}%` : bytesText(value)),
    fill: (value) => onScale(color, value > 0 ? 1 - Math.log10(high / value) / span : 0),
  };
}

// --- boxes and their text -----------------------------------------------------------------------------------------------

const PAD = {ellipse: [26, 10], cylinder: [20, 20], box: [20, 12], box3d: [26, 16], octagon: [40, 24], note: [22, 12]};
const BOLD = new Set(["loss", "input", "parameter", "scope", "backward", "gradient"]);

// The rows of a node: lines of text, chips, a remark; each with its size.
function fill(node, heat) {
  const look = data.kinds[node.kind] || data.kinds.op;
  const hot = heat && node.kind !== "saved" ? node.heat[state.color] : undefined;
  node.fill = look.fill;
  node.border = look.border;
  node.ink = data.ink;
  node.stroke = node.kind === "loss" && !node.result && !node.slots ? 1.2 : look.width;
  node.look = look;
  if (heat && node.kind !== "saved") {
    [node.fill, node.border, node.ink] = hot === undefined ? ["#FFFFFF", "#6A6A6A", "#6A6A6A"]
      : [heat.fill(hot), look.border, inkOn(heat.fill(hot))];
  }
  if (node.mark) [node.border, node.stroke] = [data.mark, 3.2];
  const rows = [];
  const left = node.kind === "backward" || node.kind === "saved";
  if (node.kind !== "saved") {
    const bold = BOLD.has(node.kind) || data.view === "dual";
    const spans = [{text: node.name.trim() ? node.name : `"${node.name}"`, bold, size: look.size}];
    if (node.details.length) spans.push({text: ` ${node.details.join(" ")}`, bold: false, size: look.size});
    rows.push({spans, left});
  }
  const small = [node.shape && ["input", "parameter", "constant"].includes(node.kind) ? node.shape : "", node.result, ...node.lines];
  if (hot !== undefined) small.push(heat.text(hot));
  for (const text of small) if (text) rows.push({spans: [{text, bold: false, size: 10}], left});
  for (const [name, text] of Object.entries(node.slots || {})) rows.push({spans: [{text, bold: name !== "value", size: 10}], slot: name});
  if (node.mark) rows.push({spans: [{text: node.mark, bold: true, size: 10}], box: {fill: data.mark, border: data.mark, ink: "#FFFFFF"}});
  for (const chip of node.chips) {
    const kind = data.kinds[node.kind === "backward" ? "gradient" : "parameter"];
    const value = state.color === "grad" ? chip.grad : undefined;
    const words = value !== undefined && heat ? heat.text(value) + (chip.shared ? `, shared ×${chip.shared}` : "") : chip.words;
    let box = {fill: kind.fill, border: kind.border, ink: data.ink};
    if (heat) {
      box = value === undefined ? {fill: "#FFFFFF", border: "#6A6A6A", ink: "#6A6A6A"}
        : {fill: heat.fill(value), border: "#6A6A6A", ink: inkOn(heat.fill(value))};
    }
    const spans = [{text: chip.name, bold: true, size: 10}, {text: words ? ` ${words}` : "", bold: false, size: 10}];
    rows.push({spans, box: {...box, dashed: chip.again}});
  }
  let width = 0, height = 0;
  for (const row of rows) {
    row.spans = row.spans.map((span) => ({...span, text: shorten(span.text)}));
    row.width = row.spans.reduce((sum, {text, size, bold}) => sum + textWidth(text, size, bold), 0);
    row.height = Math.max(...row.spans.map(({size}) => size)) * 1.3 + (row.box ? 7 : 0);
    width = Math.max(width, row.width + (row.box ? 12 : 0));
    height += row.height;
  }
  const [extraWidth, extraHeight] = PAD[look.shape];
  node.rows = rows;
  node.w = Math.max(34, width + extraWidth + (look.shape === "ellipse" ? width * 0.18 : 0));
  node.h = height + extraHeight + (look.shape === "ellipse" ? height * 0.22 : 0);
  node.inner = {w: width, h: height};
}

function shorten(text) {
  return [...text].length <= 60 ? text : `${[...text].slice(0, 59).join("")}…`;
}

function frameWidth(frame) {
  return titleSpans(frame).reduce((sum, {text, size, bold}) => sum + textWidth(text, size, bold), 0) + 18;
}

function titleSpans(frame) {
  const spans = [{text: "− ", bold: true, size: 11}, {text: shorten(frame.title), bold: true, size: 11}];
  if (frame.kind) spans.push({text: ` · ${frame.kind}`, bold: false, size: 11});
  if (frame.times > 1) spans.push({text: ` ×${frame.times}`, bold: true, size: 14});
  if (frame.size) spans.push({text: ` ${frame.size}`, bold: false, size: 11});
  return spans.filter(({text}) => text);
}

// --- drawing ------------------------------------------------------------------------------------------------------------

let drawing = 0;  // numbers the layouts, so that a slow one cannot overtake
async function draw(keep = null) {
  const turn = ++drawing;
  const next = quotient();
  const heat = state.color === "kind" ? null : heatOf(next.nodes, state.color);
  for (const node of next.nodes) fill(node, heat);
  const labels = next.nodes.length <= LABELS;
  const frames = data.graphs[state.graph].frames;
  const plan = {
    direction: data.direction,
    nodes: next.nodes.map((node) => ({
      id: node.id, w: node.w, h: node.h, frame: node.frame < 0 ? "" : String(node.frame), lane: node.lane, row: node.row,
      round: node.look.shape === "ellipse"})),
    frames: next.frames.map((frame) => ({
      path: String(frame.number), parent: frame.parent < 0 ? "" : String(frame.parent), titleWidth: frameWidth(frame)})),
    edges: next.edges.map((edge) => {
      const text = labels || edge.back ? edge.label : "";
      const ends = edge.flip ? [edge.target.id, edge.source.id] : [edge.source.id, edge.target.id];
      return {source: ends[0], target: ends[1], back: edge.back,
              label: text ? {text, w: textWidth(text, 10, false), h: 13} : null};
    }),
  };
  const placed = (data.relayout && await relayout(plan)) || layered(plan);
  if (turn !== drawing) return;
  const before = keep && shown && shown.byId.get(keep);
  const held = before && {x: before.x * state.view.scale + state.view.x, y: before.y * state.view.scale + state.view.y};
  placed.nodes.forEach((place, i) => Object.assign(next.nodes[i], place));
  next.frames.forEach((frame, i) => { frame.place = placed.frames[i]; });
  next.edges.forEach((edge, i) => Object.assign(edge, {path: placed.edges[i].path, labelAt: placed.edges[i].label}));
  next.byId = new Map(next.nodes.map((node) => [node.id, node]));
  [next.width, next.height] = [placed.width, placed.height];
  const first = !shown;
  shown = next;
  paint();
  if (first) fit(true);
  else if (held && anchorOf(keep)) {
    const anchor = anchorOf(keep);
    state.view.x = held.x - anchor.x * state.view.scale;
    state.view.y = held.y - anchor.y * state.view.scale;
    move();
  }
  legend(heat);
  mark();
  if (typeof stepper !== "undefined") stepper.refresh();
  document.body.dataset.ready = String(turn);
}

// Where a node or frame is now: after a box was opened, its frame.
function anchorOf(id) {
  const node = shown.byId.get(id);
  if (node) return node;
  const frame = shown.frames.find(({number}) => `f${number}` === id);
  return frame && frame.place ? {x: frame.place.x + frame.place.w / 2, y: frame.place.y + 12} : null;
}

function paint() {
  const scene = $("scene");
  const frames = shown.frames.filter((frame) => frame.place).map(drawFrame);
  const edges = shown.edges.map(drawEdge);
  const titles = shown.frames.filter((frame) => frame.place).map(drawTitle);
  const nodes = shown.nodes.map(drawNode);
  scene.replaceChildren(...frames, ...edges, ...titles, ...nodes);
  const count = shown.nodes.length;
  const hidden = shown.nodes.some((node) => node.box);
  $("count").textContent = hidden ? `${plural(count, "node")} shown of ${shown.total.toLocaleString("en")}` : plural(count, "node");
}

function drawFrame(frame) {
  const {x, y, w, h} = frame.place;
  return element("rect", {class: `frame${frame.times > 1 ? " fold" : ""}`, x, y, width: w, height: h, rx: 8});
}

function drawTitle(frame) {
  const {x, y, w, doors} = frame.place;
  const width = frameWidth(frame) - 18;
  const free = (from) => !doors.some((door) => door > from - 5 && door < from + width + 5);
  const from = free(10) ? 10 : free(w - width - 10) ? w - width - 10 : 10;
  const text = element("text", {class: "frame-title", x: x + from, y: y + 16}, ...titleSpans(frame).map(span));
  const button = element("g", {class: "toggle", role: "button", tabindex: -1, "data-frame": frame.number,
                               "aria-label": `collapse ${frame.title}`, "aria-expanded": "true"},
    element("rect", {class: "hit", x: x + from - 4, y: y + 2, width: width + 8, height: 19, rx: 4}), text);
  button.addEventListener("click", (event) => {
    event.stopPropagation();
    toggle(frame.number);
  });
  return button;
}

function span({text, bold, size}) {
  return element("tspan", {"font-weight": bold ? "bold" : null, "font-size": size}, text);
}

function drawEdge(edge) {
  const tip = arrow(edge);
  const group = element("g", {class: `edge ${edge.kind}${edge.back ? " again" : ""}`});
  group.append(element("title", {}, edgeWords(edge)), element("path", {d: edge.path}));
  if (tip) group.append(element("polygon", {points: tip}));
  if (edge.labelAt) {
    const anchor = edge.labelAt.anchor || (data.direction === "LR" ? "middle" : "start");
    group.append(element("text", {x: edge.labelAt.x, y: edge.labelAt.y + 3.5, "text-anchor": anchor}, edge.labelAt.text));
  }
  edge.drawn = group;
  return group;
}

function edgeWords(edge) {
  const many = edge.count > 1 ? ` · ${edge.count.toLocaleString("en")} edges` : "";
  return `${edge.source.name} → ${edge.target.name}${edge.label ? ` · ${edge.label}` : ""}${many}`;
}

// The head of an arrow, along the last stretch of the path. The arrows of the backward pass point to where a path begins.
function arrow(edge) {
  if (edge.kind === "saved" && edge.target.kind === "saved") return null;
  const numbers = edge.path.match(/-?[\d.]+/g).map(Number);
  const points = [];
  for (let i = 0; i < numbers.length; i += 2) points.push([numbers[i], numbers[i + 1]]);
  if (edge.flip) points.reverse();
  const [x, y] = points[points.length - 1];
  const from = [...points].reverse().find(([a, b]) => Math.hypot(a - x, b - y) > 0.5);
  if (!from) return null;
  const length = Math.hypot(x - from[0], y - from[1]);
  const [dx, dy] = [(x - from[0]) / length, (y - from[1]) / length];
  const at = (along, side) => `${round(x - dx * along - dy * side)},${round(y - dy * along + dx * side)}`;
  return `${at(0, 0)} ${at(8, 3.2)} ${at(8, -3.2)}`;
}

function drawNode(node) {
  const group = element("g", {class: `node ${node.kind}`, role: "button", tabindex: -1, "data-id": node.id,
                              transform: `translate(${round(node.x)} ${round(node.y)})`, "aria-label": nodeWords(node)});
  if (node.box) group.setAttribute("aria-expanded", "false");
  group.append(...outline(node));
  let y = -node.inner.h / 2 + (node.look.shape === "cylinder" ? 3 : node.look.shape === "box3d" ? 2 : 0);
  for (const row of node.rows) {
    if (row.box) {
      const width = row.width + 12;
      group.append(element("rect", {class: "chip", x: round(-width / 2), y: round(y + 1.5), width: round(width),
        height: round(row.height - 3), fill: row.box.fill, stroke: row.box.border,
        "stroke-dasharray": row.box.dashed ? "3 2" : null}));
    }
    const size = Math.max(...row.spans.map(({size}) => size));
    const line = element("text", {
      x: row.left ? round(-node.inner.w / 2) : 0, y: round(y + row.height / 2 + size * 0.36),
      "text-anchor": row.left ? "start" : "middle", fill: row.box ? row.box.ink : node.ink,
      class: row.slot ? `slot ${row.slot}` : null,
    }, ...row.spans.filter(({text}) => text).map(span));
    group.append(line);
    y += row.height;
  }
  group.addEventListener("click", (event) => {
    event.stopPropagation();
    if (dragged) return;
    if (node.box) toggle(node.number);
    else choose(node.id === state.chosen ? null : node.id);
  });
  group.addEventListener("pointerenter", () => tell(node));
  group.addEventListener("pointerleave", () => tell(null));
  group.addEventListener("focus", () => tell(node));
  node.drawn = group;
  return group;
}

function nodeWords(node) {
  const chips = node.chips.map((chip) => `parameter ${chip.name} ${chip.words}`);
  const words = [node.name, ...node.details, node.shape, node.result, ...node.lines, ...chips, node.mark];
  const action = node.box ? "; closed, press Enter to expand" : "";
  return `${words.filter(Boolean).join(", ")}${action}`;
}

function outline(node) {
  const {w, h, fill, border, stroke, look} = node;
  const [x, y] = [-w / 2, -h / 2];
  const dash = look.style.includes("dashed") ? "5 3" : look.style.includes("dotted") ? "1.5 3" : null;
  const paint = {fill, stroke: border, "stroke-width": stroke, "stroke-dasharray": dash, class: "shape"};
  const path = (d, more = {}) => element("path", {...paint, d, ...more});
  const r = round;
  switch (look.shape) {
    case "ellipse":
      return [element("ellipse", {...paint, rx: r(w / 2), ry: r(h / 2)})];
    case "octagon": {
      const [a, b] = [Math.min(w * 0.2, h * 0.45), h * 0.29];
      return [path(`M${r(x + a)} ${r(y)}H${r(-x - a)}L${r(-x)} ${r(y + b)}V${r(-y - b)}L${r(-x - a)} ${r(-y)}H${r(x + a)}L${r(x)} ${r(-y - b)}V${r(y + b)}Z`)];
    }
    case "cylinder":
      return [path(`M${r(x)} ${r(y + 5)}C${r(x)} ${r(y - 1.7)} ${r(-x)} ${r(y - 1.7)} ${r(-x)} ${r(y + 5)}V${r(-y - 5)}C${r(-x)} ${r(-y + 1.7)} ${r(x)} ${r(-y + 1.7)} ${r(x)} ${r(-y - 5)}Z`),
              path(`M${r(x)} ${r(y + 5)}C${r(x)} ${r(y + 11.7)} ${r(-x)} ${r(y + 11.7)} ${r(-x)} ${r(y + 5)}`, {fill: "none", class: ""})];
    case "box3d":
      return [path(`M${r(x)} ${r(y + 5)}L${r(x + 5)} ${r(y)}H${r(-x)}V${r(-y - 5)}L${r(-x - 5)} ${r(-y)}H${r(x)}Z`),
              path(`M${r(x)} ${r(y + 5)}H${r(-x - 5)}V${r(-y)}M${r(-x - 5)} ${r(y + 5)}L${r(-x)} ${r(y)}`, {fill: "none", class: ""})];
    case "note":
      return [path(`M${r(x)} ${r(y)}H${r(-x - 8)}L${r(-x)} ${r(y + 8)}V${r(-y)}H${r(x)}Z`),
              path(`M${r(-x - 8)} ${r(y)}V${r(y + 8)}H${r(-x)}`, {fill: "none", class: ""})];
    default:
      return [element("rect", {...paint, x: r(x), y: r(y), width: r(w), height: r(h), rx: look.style.includes("rounded") ? 7 : 0})];
  }
}

// --- pan and zoom -------------------------------------------------------------------------------------------------------

function move() {
  const {x, y, scale} = state.view;
  $("scene").setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
}

// Show everything; at the start not smaller than can be read, from the beginning on.
function fit(readable = false) {
  const area = $("picture").getBoundingClientRect();
  const [wide, high] = [area.width / shown.width, area.height / shown.height];
  const whole = Math.min(wide, high, 1.25);
  const scale = readable ? Math.max(whole, Math.min(0.75, data.direction === "LR" ? high : wide)) : whole;
  const middle = (size, room) => Math.max(0, (room - scale * size) / 2);
  state.view = {scale, x: middle(shown.width, area.width), y: middle(shown.height, area.height)};
  move();
}

function zoom(factor, x, y) {
  const view = state.view;
  const scale = Math.min(8, Math.max(0.02, view.scale * factor));
  view.x = x - (x - view.x) * scale / view.scale;
  view.y = y - (y - view.y) * scale / view.scale;
  view.scale = scale;
  move();
}

function zoomMiddle(factor) {
  const area = $("picture").getBoundingClientRect();
  zoom(factor, area.width / 2, area.height / 2);
}

function center(node, least = 0) {
  const area = $("picture").getBoundingClientRect();
  state.view.scale = Math.max(state.view.scale, least);
  state.view.x = area.width / 2 - node.x * state.view.scale;
  state.view.y = area.height / 2 - node.y * state.view.scale;
  move();
}

// Bring a node into sight, if it is not.
function reveal(node) {
  const area = $("picture").getBoundingClientRect(), {x, y, scale} = state.view;
  const [left, top] = [(node.x - node.w / 2) * scale + x, (node.y - node.h / 2) * scale + y];
  const [right, bottom] = [left + node.w * scale, top + node.h * scale];
  if (left < 0 || top < 0 || right > area.width || bottom > area.height) center(node);
}

const fingers = new Map();
let dragged = false;
function listenToPointers() {
  const picture = $("picture");
  picture.addEventListener("wheel", (event) => {
    event.preventDefault();
    const area = picture.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX - area.left, event.clientY - area.top);
  }, {passive: false});
  picture.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (fingers.size === 1) dragged = false;
  });
  window.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const [x, y] = fingers.get(event.pointerId);
    const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    if (others.length) {
      const [[a, b]] = others, area = picture.getBoundingClientRect();
      const before = Math.hypot(x - a, y - b), now = Math.hypot(event.clientX - a, event.clientY - b);
      if (before) zoom(now / before, a - area.left, b - area.top);
      dragged = true;
    } else if (dragged || Math.hypot(event.clientX - x, event.clientY - y) > 3) {
      dragged = true;
      state.view.x += event.clientX - x;
      state.view.y += event.clientY - y;
      move();
    } else {
      return;  // not yet far enough to be more than a click
    }
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
  });
  for (const name of ["pointerup", "pointercancel"]) window.addEventListener(name, (event) => fingers.delete(event.pointerId));
  picture.addEventListener("click", () => { if (!dragged) choose(null); });
}

// --- opening and closing ------------------------------------------------------------------------------------------------

function toggle(number) {
  const closed = state.closed[state.graph];
  if (closed.has(number)) closed.delete(number);
  else closed.add(number);
  state.chosen = null;
  say(closed.has(number) ? "collapsed" : "expanded");
  return draw(`f${number}`).then(() => {
    const next = shown.byId.get(`f${number}`) || shown.nodes.find((node) => node.frame === number);
    if (next && document.activeElement && document.activeElement.closest("#picture")) focusOn(next);
  });
}

function closeAll(yes) {
  const graph = data.graphs[state.graph];
  state.closed[state.graph] = new Set(yes ? graph.frames.keys() : []);
  state.chosen = null;
  return draw().then(() => fit(true));
}

function unfold() {
  state.graph = 1 - state.graph;
  $("unfold").setAttribute("aria-pressed", String(data.graphs[state.graph].name === "unfolded"));
  state.chosen = null;
  search();
  return draw().then(() => fit(true));
}

// --- tracing ------------------------------------------------------------------------------------------------------------

function choose(id) {
  state.chosen = id;
  mark();
  tell(null);
}

// What feeds a node, along all edges; and where its gradient comes from, along those that a derivative flows through.
function trace(node) {
  const walk = (next) => {
    const seen = new Set([node]), edges = new Set(), stack = [node];
    while (stack.length) {
      for (const [edge, other] of next(stack.pop())) {
        edges.add(edge);
        if (!seen.has(other)) seen.add(other), stack.push(other);
      }
    }
    return {nodes: seen, edges};
  };
  const into = new Map(shown.nodes.map((n) => [n, []])), out = new Map(shown.nodes.map((n) => [n, []]));
  for (const edge of shown.edges) {
    into.get(edge.target).push([edge, edge.source]);
    if (edge.flows && edge.kind !== "backward") out.get(edge.source).push([edge, edge.target]);
  }
  return {feeds: walk((n) => into.get(n)), gradient: walk((n) => out.get(n))};
}

// Set the classes of what is drawn: chosen, traced, found, or none.
function mark() {
  const node = shown.byId.get(state.chosen);
  const traced = node ? trace(node) : null;
  const query = $("search").value.trim();
  const found = new Set(state.found.map(standIn));
  for (const other of shown.nodes) {
    const classes = other.drawn.classList;
    const feeds = Boolean(traced && traced.feeds.nodes.has(other)), gradient = Boolean(traced && traced.gradient.nodes.has(other));
    classes.toggle("chosen", other === node);
    classes.toggle("feeds", feeds && other !== node);
    classes.toggle("from", gradient && other !== node);
    classes.toggle("found", Boolean(query) && found.has(other));
    classes.toggle("dim", traced ? !feeds && !gradient : Boolean(query) && !found.has(other));
    other.drawn.setAttribute("aria-pressed", String(other === node));
  }
  for (const edge of shown.edges) {
    const classes = edge.drawn.classList;
    const feeds = Boolean(traced && traced.feeds.edges.has(edge)), gradient = Boolean(traced && traced.gradient.edges.has(edge));
    classes.toggle("feeds", feeds);
    classes.toggle("from", gradient);
    classes.toggle("dim", traced ? !feeds && !gradient : Boolean(query));
  }
}

// --- search -------------------------------------------------------------------------------------------------------------

// What can be found of a node: first what it is called, then all else.
function wordsOf(node) {
  const about = aboutOf(node);
  const names = [node.name, about.op, ...node.chips.map((chip) => chip.name)];
  const rest = [...node.details, node.shape, node.result, node.mark, ...node.lines, node.kind,
                ...node.chips.map((chip) => chip.words), about.scope, about.line, about.source];
  return [names, rest].map((words) => words.filter(Boolean).join("\n").toLowerCase());
}

function search() {
  const query = $("search").value.trim().toLowerCase();
  const nodes = data.graphs[state.graph].nodes;
  state.found = [];
  if (query) {
    const places = nodes.map((node) => wordsOf(node).findIndex((words) => words.includes(query)));
    for (const place of [0, 1]) state.found.push(...[...nodes.keys()].filter((i) => places[i] === place));
  }
  state.at = -1;
  if (query) say(plural(state.found.length, "match").replace("matchs", "matches"));
  else say("");
  if (shown) mark();
}

// The node that stands for the given one in what is shown now.
function standIn(number) {
  return shown.nodes.find((node) => node.own.includes(number));
}

// Go to the next node that was found, opening what it is in.
async function goOn(step) {
  if (!state.found.length) return;
  state.at = (state.at + step + state.found.length) % state.found.length;
  const number = state.found[state.at], graph = data.graphs[state.graph], closed = state.closed[state.graph];
  let changed = false;
  for (let at = graph.nodes[number].frame; at >= 0; at = graph.frames[at].parent) changed = closed.delete(at) || changed;
  if (changed) await draw();
  const node = standIn(number);
  center(node, 0.9);
  tell(node);
  say(`${state.at + 1} of ${state.found.length} matches`);
}

function say(text) {
  $("status").textContent = text;
}

// --- the panel ----------------------------------------------------------------------------------------------------------

const HELP = [
  ["hover, or tab", "a node: its shape, numbers, source line and backward rule"],
  ["click", "a node: what feeds it (blue), and where its gradient comes from (orange)"],
  ["click", "a box or the title of a frame: expand, collapse"],
  ["drag, wheel", "move, zoom; 0 shows everything"],
  ["arrow keys", "go from node to node; Enter is a click; Esc lets go"],
  ["/", "search; Enter goes to the next match"],
];

function aboutOf(node) {
  return node.of ? data.abouts[data.whole[node.of].about] : {};
}

let told = null;
function tell(node) {
  node ||= shown && shown.byId.get(state.chosen);
  if (typeof stepper !== "undefined" && !node) return stepper.tell();
  if (node === told && node) return undefined;
  told = node;
  const panel = $("details");
  if (!node) {
    panel.replaceChildren(html("dl", {class: "help"}, ...HELP.flatMap(([key, text]) => [html("dt", {}, key), html("dd", {}, text)])),
      ...[...data.messages, ...data.notes].map((text) => html("p", {class: "note"}, text)));
    return undefined;
  }
  panel.replaceChildren(...describe(node));
  return undefined;
}

function describe(node) {
  const about = aboutOf(node), whole = node.of ? data.whole[node.of] : {};
  const parts = [html("h2", {}, [node.name, ...node.details].join(" "))];
  const line = (text, kind) => { if (text) parts.push(html("p", kind ? {class: kind} : {}, text)); };
  const kind = (data.kinds[node.kind] || data.kinds.op).legend;
  if (node.box) {
    line(node.lines[0]);
    line("Click, or press Enter, to expand it.", "note");
  } else {
    line([kind, node.kind === "saved" ? "" : `${node.shape || "one number"}${about.dtype && !node.shape.includes(about.dtype) ? ` ${about.dtype}` : ""}`]
      .filter(Boolean).join(" · "));
  }
  line(node.result);
  line(node.mark, "mark");
  if (node.times > 1 && !node.box) line(`×${node.times}: the numbers are those of the first`, "note");
  if (about.scope) line(`in ${about.scope}`);
  if (about.line) parts.push(html("h3", {}, about.line), html("code", {}, about.source || "(the source could not be read)"));
  if (about.rule) parts.push(html("h3", {}, "backward rule"), ...about.rule.map((text) => html("code", {}, text)));
  if (about.saved) {
    parts.push(html("h3", {}, "saved for backward"),
      ...about.saved.map(([name, shape, bytes]) => html("p", {}, `${name}  ${shape || "one number"}  ${bytesText(bytes)}`)));
  }
  if (!node.box) {
    parts.push(...statistics("value", whole.value), ...statistics("gradient", whole.gradient));
    for (const chip of node.chips) {
      const parameter = data.parameters[chip.entry];
      const shared = chip.shared ? `, shared by ${chip.shared} ops` : "";
      parts.push(html("h3", {}, `parameter ${parameter.name}  ${parameter.shape || "one number"}${shared}`),
        ...statistics("value", parameter.value, "h4"), ...statistics("gradient", parameter.gradient, "h4"));
    }
  }
  const times = [];
  if (whole.forward !== undefined && !node.box) times.push(`forward ${secondsText(whole.forward)}`);
  if (whole.backward !== undefined && !node.box) times.push(`backward ${secondsText(whole.backward)}`);
  if (node.box && node.heat.time !== undefined) times.push(`forward and backward ${secondsText(node.heat.time)}`);
  if (times.length) parts.push(html("h3", {}, "time"), html("p", {}, times.join(", ")));
  return parts;
}

// Statistics come as [count, min, max, mean, rms, nan, inf, zero, histogram, whole].
function statistics(title, stats, level = "h3") {
  if (!stats) return [];
  const [count, min, max, mean, rms, nan, inf, zero, histogram, whole] = stats;
  const parts = [html(level, {}, title)];
  if (whole) parts.push(html("code", {class: "numbers"}, whole));
  if (typeof rms === "number" && count > 1) {
    const rows = [["min", min], ["mean", mean], ["max", max], ["rms", rms]];
    parts.push(html("table", {}, html("tbody", {},
      html("tr", {}, ...rows.map(([name]) => html("th", {scope: "col"}, name))),
      html("tr", {}, ...rows.map(([, value]) => html("td", {}, digits(value, 4)))))));
  }
  const odd = [[zero && count > 1 && zero, "zero"], [nan, "NaN"], [inf, "infinite"]].filter(([number]) => number)
    .map(([number, word]) => `${number.toLocaleString("en")} ${word}`);
  if (odd.length) parts.push(html("p", {class: nan || inf ? "mark" : ""}, `of ${count.toLocaleString("en")} numbers: ${odd.join(", ")}`));
  if (histogram) parts.push(bars(histogram, min, max, title));
  return parts;
}

function bars(counts, min, max, title) {
  const top = Math.max(...counts) || 1, width = 14;
  const picture = element("svg", {class: "bars", viewBox: `0 0 ${counts.length * width} 52`, role: "img",
    "aria-label": `histogram of the ${title} from ${digits(min, 3)} to ${digits(max, 3)}: ${counts.join(", ")}`});
  counts.forEach((count, i) => {
    const height = count ? Math.max(1, 40 * count / top) : 0;
    picture.append(element("rect", {x: i * width + 1, y: 40 - height, width: width - 2, height}));
  });
  picture.append(element("text", {x: 0, y: 51}, digits(min, 3)),
    element("text", {x: counts.length * width, y: 51, "text-anchor": "end"}, digits(max, 3)));
  return picture;
}

// --- legend, themes, saving ---------------------------------------------------------------------------------------------

function legend(heat) {
  const box = $("legend");
  if (!heat) {
    const used = new Set(shown.nodes.map((node) => (data.kinds[node.kind] ? node.kind : "op")));
    if (shown.nodes.some((node) => node.chips.length)) used.add("parameter");
    box.replaceChildren(...Object.entries(data.kinds).filter(([kind]) => used.has(kind)).map(([, look]) =>
      html("span", {class: "kind", style: `background:${look.fill};border-color:${look.border};color:${data.ink}`}, look.legend)));
    return;
  }
  const colors = Array.from({length: 11}, (_, i) => onScale(state.color, i / 10));
  box.replaceChildren(html("span", {class: "title"}, data.colors[state.color]), html("span", {}, heat.ends[0]),
    html("span", {class: "scale", role: "img", "aria-label": "colour scale", style: `background:linear-gradient(90deg,${colors.join(",")})`}),
    html("span", {}, heat.ends[1]));
}

function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme === "dark" || (theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  $("theme").setAttribute("aria-pressed", String(isDark()));
}

// The picture as a file of its own, with the colours of the present theme written out.
function svgText() {
  const colors = getComputedStyle(document.documentElement);
  const style = $("scene-style").textContent.replace(/var\((--[\w-]+)\)/g, (_, name) => colors.getPropertyValue(name).trim());
  const [w, h] = [Math.ceil(shown.width), Math.ceil(shown.height)];
  const scene = $("scene").cloneNode(true);
  scene.removeAttribute("transform");
  scene.removeAttribute("id");
  for (const drawn of scene.querySelectorAll("[data-id]")) {
    drawn.prepend(element("title", {}, drawn.getAttribute("aria-label")));
    for (const name of ["role", "tabindex", "data-id", "aria-label", "aria-pressed", "aria-expanded"]) drawn.removeAttribute(name);
  }
  const svg = element("svg", {xmlns: SVG, width: w, height: h, viewBox: `0 0 ${w} ${h}`, "font-family": FONT},
    element("title", {}, data.title), element("style", {}, style),
    element("rect", {width: w, height: h, fill: colors.getPropertyValue("--ground").trim()}), scene);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(svg)}\n`;
}

function saveSvg() {
  const link = html("a", {download: `${data.title.replace(/[^\p{L}\p{N}._-]+/gu, "-") || "graph"}.svg`});
  link.href = URL.createObjectURL(new Blob([svgText()], {type: "image/svg+xml"}));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// --- keyboard -----------------------------------------------------------------------------------------------------------

function focusOn(node) {
  for (const other of shown.nodes) other.drawn.setAttribute("tabindex", -1);
  node.drawn.setAttribute("tabindex", 0);
  node.drawn.focus({preventScroll: true});
  reveal(node);
}

function focused() {
  const drawn = document.activeElement && document.activeElement.closest("[data-id]");
  return drawn ? shown.byId.get(drawn.dataset.id) : null;
}

// From a node along an arrow, or to its neighbour beside it.
function neighbour(node, key) {
  const along = data.direction === "LR" ? {ArrowRight: 1, ArrowLeft: -1} : {ArrowDown: 1, ArrowUp: -1};
  if (along[key]) {
    const near = shown.edges.filter((edge) => (along[key] > 0 ? edge.source : edge.target) === node && edge.source !== edge.target)
      .map((edge) => (along[key] > 0 ? edge.target : edge.source));
    return near[0];
  }
  const [axis, other] = data.direction === "LR" ? ["y", "x"] : ["x", "y"];
  const sign = key === "ArrowRight" || key === "ArrowDown" ? 1 : -1;
  return shown.nodes.filter((n) => (n[axis] - node[axis]) * sign > 1)
    .sort((a, b) => Math.hypot((a[axis] - node[axis]), 4 * (a[other] - node[other]))
                    - Math.hypot((b[axis] - node[axis]), 4 * (b[other] - node[other])))[0];
}

function listenToKeys() {
  $("picture").addEventListener("focus", () => focusOn(shown.byId.get(state.chosen) || shown.nodes[0]));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
    if (event.key === "Escape") {
      $("search").value = "";
      search();
      choose(null);
    } else if (event.target.id === "search" && event.key === "Enter") {
      goOn(event.shiftKey ? -1 : 1);
    } else if (typing) {
      return;
    } else if (event.key === "/") {
      $("search").focus();
    } else if (event.key === "0") {
      fit();
    } else if (event.key === "+" || event.key === "=") {
      zoomMiddle(1.25);
    } else if (event.key === "-") {
      zoomMiddle(0.8);
    } else if (focused() && (event.key === "Enter" || event.key === " ")) {
      dragged = false;
      focused().drawn.dispatchEvent(new MouseEvent("click", {bubbles: true}));
    } else if (focused() && event.key.startsWith("Arrow")) {
      const next = neighbour(focused(), event.key);
      if (next) focusOn(next);
    } else {
      return;
    }
    event.preventDefault();
  });
}

// --- start --------------------------------------------------------------------------------------------------------------

function start() {
  $("color").replaceChildren(...[["kind", "kind"], ...Object.keys(data.colors).map((name) => [name, {grad: "gradient"}[name] || name])]
    .map(([value, text]) => html("option", {value}, `colour: ${text}`)));
  $("color").value = state.color;
  $("color").addEventListener("change", () => {
    state.color = $("color").value;
    draw();
  });
  $("expand").addEventListener("click", () => closeAll(false));
  $("collapse").addEventListener("click", () => closeAll(true));
  $("expand").hidden = $("collapse").hidden = !data.graphs[0].frames.length;
  $("unfold").hidden = data.graphs.length < 2;
  $("unfold").setAttribute("aria-pressed", String(data.graphs[state.graph].name === "unfolded"));
  $("unfold").addEventListener("click", unfold);
  $("fit").addEventListener("click", () => fit());
  $("theme").addEventListener("click", () => setTheme(isDark() ? "light" : "dark"));
  $("save").addEventListener("click", saveSvg);
  $("search").addEventListener("input", search);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(document.documentElement.dataset.theme));
  setTheme(data.theme);
  listenToPointers();
  listenToKeys();
  tell(null);
  draw();
}
