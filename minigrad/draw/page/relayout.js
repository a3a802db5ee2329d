// Graphviz's own layout, in the browser: the plan of the page as DOT with boxes of fixed sizes, and places out of its answer;
// null where it fails.

let graphviz = null;
async function relayout(plan) {
  let answer;
  try {
    graphviz ??= await Viz.instance();
    answer = graphviz.renderJSON(dotOf(plan));
  } catch (error) {  // such as a graph too large for its memory: the page's own layout takes it
    say(`Graphviz could not lay this out: ${error.message}`);
    return null;
  }
  const [, , , height] = answer.bb.split(",").map(Number);
  const flip = (y) => height - y;
  const placed = {width: 0, height: 0, nodes: [], frames: [], edges: []};
  const margin = SPACE.margin;
  const objects = new Map((answer.objects || []).map((object) => [object.name, object]));
  for (const i of plan.nodes.keys()) {
    const [x, y] = objects.get(`n${i}`).pos.split(",").map(Number);
    placed.nodes.push({x: x + margin, y: flip(y) + margin});
  }
  for (const frame of plan.frames) {
    const object = objects.get(`cluster_${frame.path}`);
    if (!object || !object.bb) {
      placed.frames.push(null);
      continue;
    }
    const [x, y, x2, y2] = object.bb.split(",").map(Number);
    placed.frames.push({x: x + margin, y: flip(y2) + margin, w: x2 - x, h: y2 - y, doors: []});
  }
  const edges = new Map((answer.edges || []).map((edge) => [edge.id, edge]));
  for (const i of plan.edges.keys()) {
    const edge = edges.get(`e${i}`);
    let start = null, end = null;
    const points = [];
    for (const part of edge.pos.split(" ")) {
      const [mark, ...numbers] = /^[se],/.test(part) ? part.split(",") : ["", ...part.split(",")];
      const point = `${round(Number(numbers[0]) + margin)} ${round(flip(Number(numbers[1])) + margin)}`;
      if (mark === "s") start = point;
      else if (mark === "e") end = point;
      else points.push(point);
    }
    const path = `${start ? `M${start}L` : "M"}${points[0]}C${points.slice(1).join(" ")}${end ? `L${end}` : ""}`;
    const place = edge.lp && edge.lp.split(",").map(Number);
    placed.edges.push({path, label: place && plan.edges[i].label
      ? {text: plan.edges[i].label.text, x: place[0] + margin, y: flip(place[1]) + margin, anchor: "middle"} : null});
  }
  const [, , width] = answer.bb.split(",").map(Number);
  [placed.width, placed.height] = [width + 2 * margin, height + 2 * margin];
  return placed;
}

// Ids are numbers of this page, and the sizes are those that the page has measured: no text of the user is in it.
function dotOf(plan) {
  const inches = (pixels) => (pixels / 72).toFixed(4);
  const numbers = new Map(plan.nodes.map((node, i) => [node.id, i]));
  const lines = [`digraph { graph [rankdir=${plan.direction} nodesep=0.32 ranksep=0.4] node [shape=box fixedsize=true label=""]`,
    "edge [arrowsize=0.7]"];
  const inside = new Map([["", {nodes: [], frames: []}]]);
  for (const frame of plan.frames) {
    inside.set(frame.path, {nodes: [], frames: []});
    inside.get(frame.parent).frames.push(frame);
  }
  plan.nodes.forEach((node, i) => inside.get(node.frame).nodes.push(`n${i} [width=${inches(node.w)} height=${inches(node.h)}]`));
  const write = (path) => {
    lines.push(...inside.get(path).nodes);
    for (const frame of inside.get(path).frames) {
      const size = `<<table border="0" cellpadding="0" cellspacing="0" fixedsize="true" width="${Math.ceil(frame.titleWidth)}" height="20"><tr><td></td></tr></table>>`;
      lines.push(`subgraph cluster_${frame.path} { graph [label=${size} labeljust=l margin=10]`);
      write(frame.path);
      lines.push("}");
    }
  };
  write("");
  const rows = new Map();
  plan.nodes.forEach((node, i) => {
    if (node.row !== undefined) rows.set(node.row, [...(rows.get(node.row) || []), `n${i}`]);
  });
  for (const row of rows.values()) if (row.length > 1) lines.push(`{rank=same ${row.join(" ")}}`);
  plan.edges.forEach((edge, i) => {
    const label = edge.label
      ? ` label=<<table border="0" cellpadding="0" cellspacing="0" fixedsize="true" width="${Math.ceil(edge.label.w) + 10}" height="14"><tr><td></td></tr></table>>` : "";
    lines.push(`n${numbers.get(edge.source)} -> n${numbers.get(edge.target)} [id=e${i}${edge.back ? " constraint=false" : ""}${label}]`);
  });
  return `${lines.join("\n")}\n}`;
}
