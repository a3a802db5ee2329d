// A layered layout with frames, made for graphs of computations.
//
// layered({direction, nodes, frames, edges}) -> {width, height, nodes, frames, edges}
//   node   {id, w, h, frame, lane, row, round}   lane: groups side by side; row: nodes of one row stand on one line; round:
//          arrows touch it in the middle
//   frame  {path, parent, titleWidth}     each after the frame around it
//   edge   {source, target, back, label}  back: against the direction of the layout; label: {text, w, h} or null
// The answer has, by index, the middle of each node, the box of each frame, and for each edge its path and label place.
//
// Each frame is laid out alone, then stands as one box in the frame around it. An edge that enters or leaves a frame does
// so through a port on its border, so it has a column of its own on the whole of its way and crosses no node. The steps on
// each level are those of Sugiyama, Tagawa and Toda (1981): ranks, order within ranks by barycentres, and places as in
// Brandes and Köpf, "Fast and simple horizontal coordinate assignment" (2001).
//
// Inside, x runs across the direction of the layout and y along it; for "LR" the two are exchanged at the end.

const SPACE = {node: 26, dummy: 12, rank: 27, labelled: 13, frame: 12, title: 27, loop: 20, margin: 12};

function layered(graph) {
  const down = graph.direction !== "LR";
  const levels = new Map([["", newLevel("")]]);
  const chains = new Map([["", []]]);
  const parent = new Map();
  for (const frame of graph.frames) {
    parent.set(frame.path, frame.parent);
    chains.set(frame.path, [...chains.get(frame.parent), frame.path]);
    levels.set(frame.path, newLevel(frame.path));
  }
  const boxes = new Map();  // path -> the frame as an item of the level around it
  const items = new Map();  // id of a node -> its item
  graph.nodes.forEach((node, order) => {
    const cross = (down ? node.w : node.h) / 2;
    const item = {kind: "node", left: cross, right: cross, thick: down ? node.h : node.w, order,
                  lane: node.lane || 0, row: node.row, round: node.round};
    items.set(node.id, item);
    let frame = node.frame;
    levels.get(frame).items.push(item);
    while (frame && !boxes.has(frame)) {
      const box = {kind: "frame", path: frame, order, lane: 0};
      boxes.set(frame, box);
      frame = parent.get(frame);
      levels.get(frame).items.push(box);
    }
  });
  const node = new Map(graph.nodes.map((n) => [n.id, n]));
  const parts = graph.edges.map((edge) => {
    const from = chains.get(node.get(edge.source).frame), to = chains.get(node.get(edge.target).frame);
    let same = 0;
    while (same < from.length && same < to.length && from[same] === to[same]) same++;
    const found = [];
    let one = items.get(edge.source), onePort = null, other = items.get(edge.target), otherPort = null;
    for (let depth = from.length - 1; depth >= same; depth--) {
      const level = levels.get(from[depth]);
      const port = portOf(level, "out", edge.source, edge.back);
      found.push(connect(level, one, port, {onePort}));
      [one, onePort] = [boxes.get(from[depth]), port];
    }
    const inner = [];
    for (let depth = to.length - 1; depth >= same; depth--) {
      const level = levels.get(to[depth]);
      const port = portOf(level, "in", edge.source, edge.back);
      inner.push(connect(level, port, other, {otherPort}));
      [other, otherPort] = [boxes.get(to[depth]), port];
    }
    const level = levels.get(same ? from[same - 1] : "");
    const middle = connect(level, one, other, {onePort, otherPort, back: edge.back, label: edge.label});
    return {all: [...found, middle, ...inner.reverse()], middle};
  });

  for (const frame of [...graph.frames].reverse()) {  // those inside come first
    const level = levels.get(frame.path), box = boxes.get(frame.path);
    if (!box) continue;
    arrange(level, down, frame.titleWidth);
    const door = level.items.find((item) => item.kind === "in") || level.items.find((item) => item.kind === "out");
    const anchor = door ? door.x : level.width / 2;
    Object.assign(box, {left: anchor, right: level.width - anchor, thick: level.height});
  }
  const top = levels.get("");
  arrange(top, down, 0);

  const answer = {nodes: [], frames: [], edges: []};
  for (const frame of graph.frames) {
    const level = levels.get(frame.path), box = boxes.get(frame.path);
    if (!box) {
      answer.frames.push(null);
      continue;
    }
    const around = levels.get(frame.parent);
    level.originX = around.originX + box.x - box.left;
    level.originY = around.originY + box.y - box.thick / 2;
    const doors = level.items.filter((item) => item.kind === "in").map((item) => item.x);
    answer.frames.push(
      down ? {x: level.originX, y: level.originY, w: level.width, h: level.height, doors}
           : {x: level.originY, y: level.originX, w: level.height, h: level.width, doors: []});
  }
  for (const {id, frame} of graph.nodes) {
    const item = items.get(id), level = levels.get(frame);
    const [x, y] = [level.originX + item.x, level.originY + item.y];
    answer.nodes.push(down ? {x, y} : {x: y, y: x});
  }
  for (const {all, middle} of parts) {
    const way = all.flatMap(({level, way}) =>
      way.map(([x, from, to, up]) => [level.originX + x, level.originY + from, level.originY + to, up]));
    const {level, place} = middle;
    let label = null;
    if (place) {
      const [x, y] = [level.originX + place.x, level.originY + place.y];
      label = {text: middle.label.text, ...(down ? {x: x + 5, y} : {x: y, y: x - 8})};
      middle.place = null;  // written once
    }
    answer.edges.push({path: pathOf(way, middle, down), label});
  }
  [answer.width, answer.height] = down ? [top.width, top.height] : [top.height, top.width];
  return answer;
}

function newLevel(path) {
  return {path, items: [], edges: new Map(), ports: new Map(), originX: 0, originY: 0};
}

// Edges from one source share the port through which they enter or leave a frame.
function portOf(level, kind, source, back) {
  const key = `${kind} ${back ? 1 : 0} ${source}`;
  if (!level.ports.has(key)) {
    const port = {kind, left: 4, right: 4, thick: 0, order: level.ports.size, lane: 0};
    level.ports.set(key, port);
    level.items.push(port);
  }
  return level.ports.get(key);
}

// Edges that share all of their way share one label: the shortest, which says the shape and no number of edges.
const COUNTED = / ?\(×[^)]*\)$/;
let itemNumber = 0;
function connect(level, one, other, {onePort = null, otherPort = null, back = false, label = null}) {
  const key = [one, other, onePort, otherPort].map((item) => item && (item.number ??= ++itemNumber)).join(" ")
    + ` ${back ? 1 : 0} ${label ? label.text.replace(COUNTED, "") : ""}`;
  if (!level.edges.has(key)) level.edges.set(key, {level, one, other, onePort, otherPort, back, label, way: [], place: null});
  const edge = level.edges.get(key);
  if (label && label.text.length < edge.label.text.length) edge.label = label;
  return edge;
}

// --- one level --------------------------------------------------------------------------------------------------------

function arrange(level, down, titleWidth) {
  const edges = [...level.edges.values()];
  const labelled = edges.some((edge) => edge.label);
  level.items.sort((a, b) => a.order - b.order);
  setRanks(level.items, edges, labelled ? 2 : 1);
  const layers = makeLayers(level.items, edges, down);
  orderLayers(layers);
  placeAcross(layers);
  placeAlong(level, layers, edges, labelled ? SPACE.labelled : SPACE.rank, down, titleWidth);
  for (const edge of edges) setWay(edge, layers);
}

function isPort(item) {
  return item.kind === "in" || item.kind === "out";
}

function setRanks(items, edges, step) {
  const groups = new Map();
  const groupOf = (item) => {
    const key = item.row === undefined ? item : item.row;
    if (!groups.has(key)) groups.set(key, {items: [], outs: [], ins: [], rank: 0, state: 0, waiting: 0});
    return groups.get(key);
  };
  const inner = items.filter((item) => !isPort(item));
  for (const item of inner) groupOf(item).items.push(item);
  for (const edge of edges) {
    if (edge.back || isPort(edge.one) || isPort(edge.other)) continue;
    const [from, to] = [groupOf(edge.one), groupOf(edge.other)];
    if (from !== to) {
      const link = {from, to, edge, length: step};
      from.outs.push(link);
    } else if (edge.one === edge.other) {
      edge.back = true;
    }
  }
  // A link to a group that is still being walked closes a cycle: it goes against the direction.
  for (const root of groups.values()) {
    if (root.state) continue;
    const stack = [[root, 0]];
    root.state = 1;
    while (stack.length) {
      const top = stack[stack.length - 1];
      const link = top[0].outs[top[1]++];
      if (!link) {
        top[0].state = 2;
        stack.pop();
      } else if (link.to.state === 1) {
        link.edge.back = true;
      } else if (!link.to.state) {
        link.to.state = 1;
        stack.push([link.to, 0]);
      }
    }
  }
  for (const group of groups.values()) {
    group.outs = group.outs.filter((link) => !link.edge.back);
    for (const link of group.outs) link.to.ins.push(link);
  }
  const order = [];
  const ready = [...groups.values()].filter((group) => !(group.waiting = group.ins.length));
  for (let i = 0; i < ready.length; i++) {
    order.push(ready[i]);
    for (const {to, length} of ready[i].outs) {
      to.rank = Math.max(to.rank, ready[i].rank + length);
      if (!--to.waiting) ready.push(to);
    }
  }
  // Short edges: what feeds more than it reads, or is on a way of its own from an input, stands near its readers.
  for (const group of order) group.free = group.ins.every(({from}) => from.free && from.outs.length === 1);
  for (const group of order.reverse()) {
    if (group.outs.length > group.ins.length || (group.outs.length && group.free)) {
      group.rank = Math.max(group.rank, Math.min(...group.outs.map(({to, length}) => to.rank - length)));
    }
  }
  let lowest = Infinity, highest = -Infinity;
  for (const group of groups.values()) {
    lowest = Math.min(lowest, group.rank);
    highest = Math.max(highest, group.rank);
    for (const item of group.items) item.rank = group.rank;
  }
  const above = items.some((item) => item.kind === "in") ? 1 : 0;
  for (const item of inner) item.rank += above - lowest;
  for (const item of items) {
    if (item.kind === "in") item.rank = 0;
    if (item.kind === "out") item.rank = highest - lowest + above + 1;
  }
}

// Layers of vertices: the items, and a dummy for each rank that an edge passes.
function makeLayers(items, edges, down) {
  const layers = [];
  const add = (vertex) => {
    (layers[vertex.rank] ||= []).push(vertex);
    return vertex;
  };
  const link = (upper, lower, share = 0.5, lowerShare = 0.5) => {
    upper.down.push({to: lower, share: lowerShare});
    lower.up.push({to: upper, share});
  };
  for (const item of items) {
    Object.assign(item, {up: [], down: [], dummy: false});
    add(item);
  }
  for (const edge of edges) {
    const {one, other} = edge;
    const backwards = edge.back && one.rank >= other.rank;
    edge.loop = backwards;
    edge.chain = [];
    if (!backwards && one.rank === other.rank) continue;  // between neighbours of one row
    const [first, last] = backwards ? [other.rank, one.rank] : [one.rank + 1, other.rank - 1];
    // Arrows against the direction go up on the right side, the longest outermost.
    const lane = backwards ? 9 + (last - first) / 1000 : Math.max(one.lane, other.lane);
    const labelAt = backwards ? (first + last) >> 1 : first;
    for (let rank = first; rank <= last; rank++) {
      const dummy = {kind: "dummy", rank, left: 3, right: 3, thick: 0, lane, order: Math.max(one.order, other.order),
                     up: [], down: [], dummy: true};
      if (edge.label && rank === labelAt) {
        edge.labelAt = dummy;
        const {w, h} = edge.label;
        if (down) Object.assign(dummy, {right: w + 8, thick: h});
        else Object.assign(dummy, {left: h + 3, thick: w + 6});
      }
      edge.chain.push(add(dummy));
    }
    const chain = backwards ? edge.chain : [one, ...edge.chain, other];
    for (let i = 1; i < chain.length; i++) {
      const share = chain[i - 1] === one && edge.onePort ? shareOf(edge.onePort, one) : 0.5;
      const lowerShare = chain[i] === other && edge.otherPort ? shareOf(edge.otherPort, other) : 0.5;
      link(chain[i - 1], chain[i], share, lowerShare);
    }
  }
  for (let rank = 0; rank < layers.length; rank++) layers[rank] ||= [];
  return layers;
}

function shareOf(port, box) {
  return (port.x ?? 0) / (box.left + box.right || 1);
}

// --- order within ranks -----------------------------------------------------------------------------------------------

function orderLayers(layers) {
  const seen = new Set();
  const ordered = layers.map(() => []);
  for (const layer of layers) {
    for (const root of [...layer].sort((a, b) => a.lane - b.lane || a.order - b.order)) {
      const stack = [root];
      while (stack.length) {
        const vertex = stack.pop();
        if (seen.has(vertex)) continue;
        seen.add(vertex);
        ordered[vertex.rank].push(vertex);
        for (const {to} of [...vertex.down].reverse()) stack.push(to);
      }
    }
  }
  const size = seen.size;
  ordered.forEach((layer, rank) => {
    layers[rank] = layer.sort((a, b) => a.lane - b.lane);
    number(layers[rank]);
  });
  let best = layers.map((layer) => [...layer]), fewest = crossings(layers), since = 0;
  const limit = size > 4000 ? 4 : 24;
  for (let round = 0; round < limit && since < 4 && fewest; round++, since++) {
    const goDown = round % 2 === 0;
    for (let step = 1; step < layers.length; step++) {
      const rank = goDown ? step : layers.length - 1 - step;
      layers[rank] = sorted(layers[rank], goDown ? "up" : "down", round % 4 > 1);
      number(layers[rank]);
    }
    const count = crossings(layers);
    if (count < fewest) [best, fewest, since] = [layers.map((layer) => [...layer]), count, 0];
  }
  best.forEach((layer, rank) => {
    layers[rank] = layer;
    number(layer);
  });
  if (size <= 2000 && fewest) exchange(layers);
}

function number(layer) {
  layer.forEach((vertex, position) => { vertex.position = position; });
}

// By the barycentres of the neighbours; what has none keeps its place. Lanes stay apart.
function sorted(layer, side, turn) {
  const lanes = new Map();
  for (const vertex of layer) {
    if (!lanes.has(vertex.lane)) lanes.set(vertex.lane, []);
    lanes.get(vertex.lane).push(vertex);
  }
  const result = [];
  for (const lane of [...lanes.keys()].sort((a, b) => a - b)) {
    const vertices = lanes.get(lane);
    const moving = [];
    for (const vertex of vertices) {
      const near = vertex[side];
      if (!near.length) continue;
      vertex.weight = near.reduce((sum, {to, share}) => sum + to.position + share, 0) / near.length;
      moving.push(vertex);
    }
    moving.sort((a, b) => a.weight - b.weight || (turn ? b.position - a.position : a.position - b.position));
    let next = 0;
    for (const vertex of vertices) result.push(vertex[side].length ? moving[next++] : vertex);
  }
  return result;
}

function crossings(layers) {
  let count = 0;
  for (let rank = 1; rank < layers.length; rank++) {
    const tree = new Array(layers[rank].length + 1).fill(0);
    let total = 0;
    for (const vertex of layers[rank - 1]) {
      const ends = vertex.down.map(({to}) => to.position);
      for (const end of ends) {
        let before = 0;
        for (let i = end + 1; i > 0; i -= i & -i) before += tree[i];
        count += total - before;
      }
      for (const end of ends) {
        total++;
        for (let i = end + 1; i < tree.length; i += i & -i) tree[i]++;
      }
    }
  }
  return count;
}

// Exchange neighbours as long as that takes crossings away.
function exchange(layers) {
  const between = (a, b, side) => {
    let count = 0;
    for (const {to: one} of a[side]) for (const {to: other} of b[side]) count += one.position > other.position;
    return count;
  };
  for (let round = 0, better = true; better && round < 8; round++) {
    better = false;
    for (const layer of layers) {
      for (let i = 1; i < layer.length; i++) {
        const [a, b] = [layer[i - 1], layer[i]];
        if (a.lane !== b.lane) continue;
        const gain = between(a, b, "up") + between(a, b, "down") - between(b, a, "up") - between(b, a, "down");
        if (gain > 0) {
          [layer[i - 1], layer[i]] = [b, a];
          [b.position, a.position] = [i - 1, i];
          better = true;
        }
      }
    }
  }
}

// --- places across ----------------------------------------------------------------------------------------------------

function placeAcross(layers) {
  const conflicts = findConflicts(layers);
  const results = [];
  for (const upwards of [false, true]) {
    for (const mirrored of [false, true]) {
      let rows = upwards ? [...layers].reverse() : layers;
      if (mirrored) rows = rows.map((row) => [...row].reverse());
      const root = align(rows, upwards ? "down" : "up", mirrored, conflicts);
      results.push(compact(rows, root, mirrored));
    }
  }
  const spans = results.map((xs) => {
    let low = Infinity, high = -Infinity;
    for (const [vertex, x] of xs) {
      low = Math.min(low, x - vertex.left);
      high = Math.max(high, x + vertex.right);
    }
    return {low, high};
  });
  const smallest = spans.reduce((best, span) => (span.high - span.low < best.high - best.low ? span : best), spans[0]);
  if (!smallest) return;
  const shifts = spans.map((span, i) => (i % 2 ? smallest.high - span.high : smallest.low - span.low));
  for (const layer of layers) {
    for (const vertex of layer) {
      const four = results.map((xs, i) => xs.get(vertex) + shifts[i]).sort((a, b) => a - b);
      vertex.x = (four[1] + four[2]) / 2;
    }
  }
}

// Where a short edge crosses a long one, the long one stays straight.
function findConflicts(layers) {
  const conflicts = new Set();
  for (let rank = 1; rank < layers.length; rank++) {
    let left = 0, scanned = 0;
    const layer = layers[rank];
    layer.forEach((vertex, position) => {
      const long = vertex.dummy && vertex.up.find(({to}) => to.dummy);
      if (!long && position !== layer.length - 1) return;
      const right = long ? long.to.position : Infinity;
      for (; scanned <= position; scanned++) {
        for (const {to} of layer[scanned].up) {
          const inner = to.dummy && layer[scanned].dummy;
          if (!inner && (to.position < left || to.position > right)) conflicts.add(pair(to, layer[scanned]));
        }
      }
      left = long ? right : left;
    });
  }
  return conflicts;
}

let vertexNumber = 0;
function pair(a, b) {
  a.id ??= ++vertexNumber;
  b.id ??= ++vertexNumber;
  return a.id < b.id ? `${a.id} ${b.id}` : `${b.id} ${a.id}`;
}

function align(rows, side, mirrored, conflicts) {
  const root = new Map(), next = new Map();
  for (const row of rows) for (const vertex of row) root.set(vertex, vertex), next.set(vertex, vertex);
  const place = (vertex) => (mirrored ? -vertex.position : vertex.position);
  const opposite = side === "up" ? "down" : "up";
  for (const row of rows) {
    let before = -Infinity;
    for (const vertex of row) {
      const all = vertex[side].map(({to}) => to).sort((a, b) => place(a) - place(b));
      if (!all.length) continue;
      // What flows through stays straight; what only comes in, as a parameter, stands beside it.
      const flow = all.filter((other) => !isLoose(other, side));
      const near = flow.length ? flow : all;
      const middle = (near.length - 1) / 2;
      for (let i = Math.floor(middle); i <= Math.ceil(middle); i++) {
        const other = near[i];
        if (isLoose(vertex, opposite) && other[opposite].some(({to}) => !isLoose(to, opposite))) continue;
        if (next.get(vertex) === vertex && before < place(other) && !conflicts.has(pair(other, vertex))) {
          next.set(other, vertex);
          root.set(vertex, root.get(other));
          next.set(vertex, root.get(vertex));
          before = place(other);
        }
      }
    }
  }
  return root;
}

// Whether nothing comes (or goes) through a vertex but from a node that is an end itself, as an input or a parameter.
function isLoose(vertex, side) {
  while (vertex.dummy && vertex[side].length === 1) vertex = vertex[side][0].to;
  return vertex.kind === "node" && !vertex[side].length;
}

function compact(rows, root, mirrored) {
  const after = new Map(), before = new Map();
  for (const start of new Set(root.values())) after.set(start, new Map()), before.set(start, new Map());
  for (const row of rows) {
    for (let i = 1; i < row.length; i++) {
      const [a, b] = [row[i - 1], row[i]];
      const [one, other] = [root.get(a), root.get(b)];
      const gap = a.dummy && b.dummy ? SPACE.dummy : a.dummy || b.dummy ? (SPACE.dummy + SPACE.node) / 2 : SPACE.node;
      const apart = gap + (mirrored ? a.left + b.right : a.right + b.left);
      const known = after.get(one).get(other) ?? 0;
      after.get(one).set(other, Math.max(known, apart));
      before.get(other).set(one, Math.max(known, apart));
    }
  }
  const order = [], waiting = new Map();
  for (const [block, links] of before) {
    waiting.set(block, links.size);
    if (!links.size) order.push(block);
  }
  for (let i = 0; i < order.length; i++) {
    for (const other of after.get(order[i]).keys()) {
      waiting.set(other, waiting.get(other) - 1);
      if (!waiting.get(other)) order.push(other);
    }
  }
  const xs = new Map();
  for (const block of order) {
    let x = 0;
    for (const [other, apart] of before.get(block)) x = Math.max(x, xs.get(other) + apart);
    xs.set(block, x);
  }
  for (const block of [...order].reverse()) {
    let x = Infinity;
    for (const [other, apart] of after.get(block)) x = Math.min(x, xs.get(other) - apart);
    if (x < Infinity) xs.set(block, Math.max(xs.get(block), x));
  }
  const found = new Map();
  for (const [vertex, start] of root) found.set(vertex, (mirrored ? -1 : 1) * (xs.get(start) ?? 0));
  return found;
}

// --- places along, and the size of the level --------------------------------------------------------------------------

function placeAlong(level, layers, edges, gap, down, titleWidth) {
  const framed = level.path !== "";
  const slant = new Array(layers.length).fill(0), loops = new Array(layers.length + 1).fill(0);
  layers.forEach((layer, rank) => {
    for (const vertex of layer) {
      for (const {to} of vertex.down) slant[rank] = Math.max(slant[rank], Math.abs(to.x - vertex.x));
    }
  });
  for (const edge of edges) {
    const {one, other, onePort, otherPort, chain} = edge;
    if (onePort && !edge.loop) {
      slant[one.rank] = Math.max(slant[one.rank], Math.abs(end(one, onePort, 0) - (chain[0] ?? other).x));
    }
    if (otherPort && !edge.loop && other.rank) {
      const last = chain[chain.length - 1] ?? one;
      slant[other.rank - 1] = Math.max(slant[other.rank - 1], Math.abs(end(other, otherPort, 0) - last.x));
    }
    if (edge.loop) loops[edge.other.rank] = loops[edge.one.rank + 1] = SPACE.loop + 6;
  }
  let y = Math.max(framed ? (down ? SPACE.title : SPACE.frame) : SPACE.margin, loops[0]);
  const hasPorts = layers[0] && layers[0].some((vertex) => vertex.kind === "in");
  layers.forEach((layer, rank) => {
    const thick = Math.max(0, ...layer.map((vertex) => vertex.thick));
    if (hasPorts && rank === 0) layer.top = layer.bottom = 0;
    else [layer.top, layer.bottom] = [y, y + thick];
    for (const vertex of layer) vertex.y = (layer.top + layer.bottom) / 2;
    const spread = Math.min(40, slant[rank] * 0.2);
    if (!(hasPorts && rank === 0)) y = layer.bottom + Math.max(gap + spread, loops[rank + 1]);
    else y += Math.max(0, spread - 8) + loops[1];
    layer.room = Math.max(SPACE.frame, spread, loops[rank + 1]);
  });
  const last = layers[layers.length - 1];
  const hasExits = last && last.some((vertex) => vertex.kind === "out");
  if (last && hasExits) {
    const inner = layers[layers.length - 2] ?? {bottom: y, room: 0};
    last.top = last.bottom = inner.bottom + inner.room;
    for (const vertex of last) vertex.y = last.top;
  }
  const below = Math.max(loops[layers.length], framed ? SPACE.frame : SPACE.margin);
  level.height = last ? last.bottom + (hasExits ? 0 : below) : y;
  let low = Infinity, high = -Infinity;
  for (const layer of layers) {
    for (const vertex of layer) {
      low = Math.min(low, vertex.x - vertex.left);
      high = Math.max(high, vertex.x + vertex.right);
    }
  }
  if (low > high) [low, high] = [0, 0];
  const side = framed ? SPACE.frame : SPACE.margin;
  let before = side, after = side;
  if (framed && down) {
    const missing = Math.max(0, titleWidth - (high - low));
    before += missing / 2;
    after += missing / 2;
  } else if (framed) {
    before = SPACE.title;
    level.height = Math.max(level.height, titleWidth + 2 * side);
    if (hasExits) for (const vertex of last) vertex.y = last.top = last.bottom = level.height;
  }
  for (const layer of layers) for (const vertex of layer) vertex.x += before - low;
  level.width = high - low + before + after;
}

// --- edges ------------------------------------------------------------------------------------------------------------

// The way of an edge: columns [x, from, to, up], between which it bends.
function setWay(edge, layers) {
  const {one, other, chain, loop} = edge;
  if (edge.labelAt) edge.place = {x: edge.labelAt.x, y: edge.labelAt.y};
  const start = end(one, edge.onePort, (chain[0] ?? other).x);
  const finish = end(other, edge.otherPort, (chain[chain.length - 1] ?? one).x);
  const leave = [start, one.y + one.thick / 2, layers[one.rank].bottom];
  const arrive = [finish, layers[other.rank].top, other.y - other.thick / 2];
  if (loop) {
    const columns = [...chain].reverse().map((dummy) => [dummy.x, layers[dummy.rank].bottom, layers[dummy.rank].top, true]);
    edge.way = [leave, ...columns, arrive];
  } else if (one.rank === other.rank) {
    const [right, left] = one.x < other.x ? [one.right, -other.left] : [-one.left, other.right];
    edge.over = Math.abs(one.position - other.position) > 1;  // others stand between them
    const share = edge.over ? 0.6 : 1;
    edge.way = [[one, right], [other, left]].map(([item, side]) => {
      const y = item.y - (edge.over ? item.thick / 2 : 0);
      return [item.x + side * share, y, y];
    });
  } else {
    edge.way = [leave, ...chain.map((dummy) => [dummy.x, layers[dummy.rank].top, layers[dummy.rank].bottom]), arrive];
  }
}

// Where an edge touches an item: at its port, or a little to the side that it comes from.
function end(item, port, toward) {
  if (port) return item.x - item.left + port.x;
  if (isPort(item) || item.round) return item.x;
  const room = Math.min(item.left, item.right) * 0.6;
  return item.x + Math.max(-room, Math.min(room, (toward - item.x) * 0.25));
}

function pathOf(way, edge, down) {
  const point = (x, y) => (down ? `${round(x)} ${round(y)}` : `${round(y)} ${round(x)}`);
  if (edge.over !== undefined) {
    const [[x, y], [x2, y2]] = way;
    return edge.over ? `M${point(x, y)}C${point(x, y - 24)} ${point(x2, y2 - 24)} ${point(x2, y2)}`
                     : `M${point(x, y)}L${point(x2, y2)}`;
  }
  let text = "";
  let before = null;
  for (const [x, from, to, up] of way) {
    const sign = up ? -1 : 1;
    if (!before) {
      text = `M${point(x, from)}`;
    } else if (before.x !== x || before.y !== from) {
      const bend = before.sign === sign ? Math.abs(from - before.y) / 2 : SPACE.loop;
      text += `C${point(before.x, before.y + before.sign * bend)} ${point(x, from - sign * bend)} ${point(x, from)}`;
    }
    if (to !== from) text += `L${point(x, to)}`;
    before = {x, y: to, sign};
  }
  return text;
}

function round(number) {
  return Math.round(number * 10) / 10;
}
