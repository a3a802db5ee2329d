// What lies wrong in the picture of a page, as a list of texts: for tests.
() => {
  const wrong = [], inverse = document.getElementById("scene").getScreenCTM().inverse();
  const boxOf = (drawn) => {
    const box = drawn.getBBox(), at = inverse.multiply(drawn.getScreenCTM());
    return {left: at.e + box.x, top: at.f + box.y, right: at.e + box.x + box.width, bottom: at.f + box.y + box.height};
  };
  const inside = (a, b, by) => a.left >= b.left - by && a.right <= b.right + by && a.top >= b.top - by && a.bottom <= b.bottom + by;
  const apart = (a, b, by) => a.right <= b.left + by || b.right <= a.left + by || a.bottom <= b.top + by || b.bottom <= a.top + by;
  const nodes = [...document.querySelectorAll("#scene .node")].map((drawn) => {
    const shape = drawn.querySelector(".shape"), box = boxOf(shape);
    for (const text of drawn.querySelectorAll("text")) {
      if (!text.textContent) continue;
      const own = boxOf(text);
      if (!inside(own, box, 0.5)) wrong.push(`text out of its box: ${text.textContent}`);
      if (shape.tagName === "ellipse") {
        const [cx, cy] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
        const [a, b] = [(box.right - box.left) / 2, (box.bottom - box.top) / 2];
        // A line of text is higher than its letters.
        const far = Math.hypot((own.right - cx) / a, (Math.max(cy - own.top, own.bottom - cy) - 2.5) / b);
        if (far > 1.03) wrong.push(`text out of its ellipse: ${text.textContent} ${far}`);
      }
      for (const other of drawn.querySelectorAll("text")) {
        if (other !== text && other.textContent && !apart(own, boxOf(other), 2.5)) wrong.push(`text on text: ${text.textContent}`);
      }
    }
    return {drawn, box, name: drawn.getAttribute("aria-label")};
  });
  nodes.forEach((a, i) => nodes.slice(i + 1).forEach((b) => {
    if (!apart(a.box, b.box, 0.1)) wrong.push(`nodes overlap: ${a.name} and ${b.name}`);
  }));
  const frames = [...document.querySelectorAll("#scene .frame")].map(boxOf);
  for (const frame of frames) for (const node of nodes) {
    if (!inside(node.box, frame, 0.1) && !apart(node.box, frame, 0.1)) wrong.push(`across a frame: ${node.name}`);
  }
  const titles = [...document.querySelectorAll("#scene .frame-title")].map(boxOf);
  titles.forEach((title, i) => {
    if (!frames.some((frame) => inside(title, frame, 0.5))) wrong.push("the title of a frame sticks out");
    for (const node of nodes) if (!apart(title, node.box, 1)) wrong.push(`a title lies on ${node.name}`);
  });
  const labels = [...document.querySelectorAll("#scene .edge text")].map((drawn) => ({box: boxOf(drawn), text: drawn.textContent}));
  labels.forEach((label, i) => {
    for (const node of nodes) if (!apart(label.box, node.box, 0.5)) wrong.push(`label ${label.text} lies on ${node.name}`);
    for (const other of labels.slice(i + 1)) if (!apart(label.box, other.box, 1)) wrong.push(`label ${label.text} lies on ${other.text}`);
  });
  for (const path of document.querySelectorAll("#scene .edge path")) {
    const length = path.getTotalLength(), ends = [path.getPointAtLength(0), path.getPointAtLength(length)];
    const touches = (node, point, by) => point.x > node.box.left - by && point.x < node.box.right + by
      && point.y > node.box.top - by && point.y < node.box.bottom + by;
    const own = nodes.filter((node) => ends.some((end) => touches(node, end, 2)));
    if (own.length < 1) wrong.push(`an arrow ends nowhere: ${path.parentNode.querySelector("title").textContent}`);
    for (let at = 3; at < length - 3; at += 4) {
      const point = path.getPointAtLength(at);
      const on = nodes.find((node) => !own.includes(node) && touches(node, point, -1));
      if (on) { wrong.push(`${path.parentNode.querySelector("title").textContent} runs through ${on.name}`); break; }
    }
  }
  return [...new Set(wrong)];
}
