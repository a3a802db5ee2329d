// Walking the tape: forward, node by node, with the value that appears; then backward, with the cotangent that has arrived,
// the rules that are run, and how what they give adds up where it goes.

const steps = data.steps;
const stepper = {at: 0, timer: null};

// The last text of each slot up to a step, and for each node the widest that it ever has: so boxes keep their size.
function slotsAt(last) {
  const found = new Map();
  for (let i = 0; i <= last; i++) for (const [id, slot, text] of steps[i].slots) found.set(`${slot} ${id}`, text);
  return found;
}

for (const graph of data.graphs) {
  const byId = new Map(graph.nodes.map((node) => [node.id, node]));
  for (const {slots} of steps) {
    for (const [id, slot, text] of slots) {
      const node = byId.get(id);
      if (!node) continue;
      node.slots = {value: "", ...node.slots};
      if (textWidth(text, 10, true) > textWidth(node.slots[slot] || "", 10, true)) node.slots[slot] = text;
    }
  }
}

// What is drawn for a node of the graph: itself, or the closed frame that it is in.
function drawnFor(id) {
  const nodes = data.graphs[state.graph].nodes;
  const number = nodes.findIndex((node) => node.id === id);
  return number < 0 ? null : standIn(number);
}

stepper.refresh = () => {
  const step = steps[stepper.at], texts = slotsAt(stepper.at);
  for (const node of shown.nodes) {
    for (const line of node.drawn.querySelectorAll(".slot")) {
      const text = texts.get(`${line.classList[1]} ${node.id}`) || "";
      line.firstChild ? line.firstChild.textContent = text : line.append(text);
    }
    node.drawn.classList.toggle("later", !node.box && Boolean(node.slots) && !texts.has(`value ${node.id}`));
    node.drawn.classList.remove("now", "read", "gets");
  }
  const now = drawnFor(step.node);
  const read = new Set(step.reads.map(([, , id]) => drawnFor(id))), gets = new Set(step.gives.map(({to}) => drawnFor(to)));
  for (const node of read) if (node && node !== now) node.drawn.classList.add("read");
  for (const node of gets) if (node && node !== now) node.drawn.classList.add("gets");
  if (now) {
    now.drawn.classList.add("now");
    reveal(now);
  }
  for (const edge of shown.edges) {
    const classes = edge.drawn.classList, here = edge.target === now && edge.source !== now;
    classes.toggle("reading", here && step.phase === "forward" && read.has(edge.source));
    classes.toggle("giving", here && step.phase === "backward" && gets.has(edge.source));
  }
  stepper.tell();
};

stepper.go = (to) => {
  stepper.at = Math.min(Math.max(to, 0), steps.length - 1);
  $("slider").value = stepper.at;
  const phase = steps[stepper.at].phase, same = steps.filter((step) => step.phase === phase);
  const place = `${phase} ${same.indexOf(steps[stepper.at]) + 1} of ${same.length}`;
  $("where").textContent = place;
  $("slider").setAttribute("aria-valuetext", `${place}: ${steps[stepper.at].name}`);
  $("spoken").textContent = spoken(steps[stepper.at]);
  document.body.dataset.step = stepper.at;
  stepper.refresh();
};

// What a screen reader says of a step: what the panel shows, in short.
function spoken({name, values, gives}) {
  const told = [`${name}: ${values.map((labelled) => labelled.join(" ")).join(", ")}`];
  for (const {rule, amount, name: to, before, total} of gives) {
    told.push(`${rule}: ${amount} to ${to}${before === undefined ? "" : `, with what was there ${total}`}`);
  }
  return told.join("; ");
}

stepper.play = () => {
  const playing = stepper.timer !== null;
  clearInterval(stepper.timer);
  stepper.timer = null;
  if (!playing) {
    if (stepper.at === steps.length - 1) stepper.go(0);
    stepper.timer = setInterval(() => {
      stepper.go(stepper.at + 1);
      if (stepper.at === steps.length - 1) stepper.play();
    }, 1100);
  }
  $("play").setAttribute("aria-pressed", String(!playing));
  $("play").textContent = playing ? "play" : "pause";
};

// --- what the panel says of a step --------------------------------------------------------------------------------------

stepper.tell = () => {
  told = null;
  $("details").replaceChildren();
  const step = steps[stepper.at];
  const parts = [html("p", {class: `phase ${step.phase}`}, $("where").textContent), html("h2", {}, step.name)];
  const numbers = (label, text, kind = "") => [html("h3", {}, label), html("code", {class: `numbers ${kind}`}, text)];
  if (step.line) parts.push(html("p", {class: "note"}, step.line), html("code", {}, step.source));
  parts.push(html("p", {class: "words"}, step.words));
  if (step.phase === "forward") {
    for (const [argument, name, , text] of step.reads) parts.push(...numbers(`reads ${argument}, from ${name}`, text));
    for (const [label, text] of step.values) parts.push(...numbers(label, text, "appears"));
  } else {
    for (const [label, text] of step.values) parts.push(...numbers(label, text, "arrives"));
    for (const [argument, name, , text] of step.reads) parts.push(...numbers(`reads ${argument}, from ${name}`, text));
    for (const give of step.gives) parts.push(tellGive(give));
  }
  $("steps").replaceChildren(...parts);
};

function tellGive({name, rule, amount, before, total, nth, of}) {
  const box = html("section", {class: "give", "aria-label": `to ${name}`},
    html("h3", {}, `to ${name}`), html("code", {}, rule), html("code", {class: "numbers"}, amount));
  if (before === undefined) {
    box.append(html("p", {}, of > 1 ? `the first of ${of} cotangents that ${name} gets: they are added up`
                                    : `all that ${name} gets: it has one consumer`));
  } else {
    box.append(html("p", {}, `added to what was there, the ${["first", "second", "third"][nth - 1] || `${nth}th`} of ${of}:`),
      html("code", {class: "numbers"}, before), html("p", {}, nth === of ? "in all:" : "so far:"), html("code", {class: "numbers total"}, total));
  }
  return box;
}

// --- controls -----------------------------------------------------------------------------------------------------------

$("slider").max = steps.length - 1;
$("slider").addEventListener("input", () => stepper.go(Number($("slider").value)));
for (const [id, to] of [["first", () => 0], ["back", () => stepper.at - 1], ["next", () => stepper.at + 1], ["last", () => steps.length - 1]]) {
  $(id).addEventListener("click", () => stepper.go(to()));
}
$("play").addEventListener("click", stepper.play);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || ["INPUT", "SELECT"].includes(event.target.tagName) || focused()) return;
  const to = {ArrowRight: stepper.at + 1, ArrowLeft: stepper.at - 1, Home: 0, End: steps.length - 1}[event.key];
  if (to === undefined) return;
  event.preventDefault();
  stepper.go(to);
});
