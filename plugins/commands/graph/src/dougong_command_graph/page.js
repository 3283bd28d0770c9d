"use strict";
const data = JSON.parse(document.getElementById("data").textContent), { nodes, edges, titles, words } = data;
const canvas = document.getElementById("map"), draw = canvas.getContext("2d"), side = document.getElementById("side");
const n = nodes.length, x = new Float64Array(n), y = new Float64Array(n), dx = new Float64Array(n), dy = new Float64Array(n);
const radius = nodes.map(node => 3 + 2.2 * Math.sqrt(node.degree));
const joined = nodes.map(() => []);
edges.forEach(([one, two], at) => { joined[one].push(at); joined[two].push(at); });
let view = { x: 0, y: 0, scale: 1 }, heat = 1, chosen = -1, hovered = -1, moved = false, held = null, waiting = false;
document.getElementById("count").textContent = `${n} ${words.entities}, ${edges.length} ${words.relations}`;

// A community begins together, on a spiral of sunflower seeds: the same page each time.
const order = [...nodes.keys()].sort((a, b) => nodes[a].community - nodes[b].community);
order.forEach((node, at) => { const r = 26 * Math.sqrt(at + .5), turn = at * 2.39996; x[node] = r * Math.cos(turn); y[node] = r * Math.sin(turn); });

// Forces: Barnes and Hut 1986 for what repels, springs for edges, a pull to the centre.
function tree() {
  let size = 1;
  for (let i = 0; i < n; i++) size = Math.max(size, Math.abs(x[i]), Math.abs(y[i]));
  const root = { x: 0, y: 0, half: size + 1, mass: 0, mx: 0, my: 0, node: -1, parts: null };
  for (let i = 0; i < n; i++) {
    let cell = root, depth = 0;
    for (;;) {
      const first = cell.mass === 0;
      cell.mass += 1; cell.mx += x[i]; cell.my += y[i];
      if (first) { cell.node = i; break; }
      if (depth++ > 40) break;
      if (!cell.parts) {
        cell.parts = [null, null, null, null];
        const old = cell.node; cell.node = -1;
        const part = into(cell, x[old], y[old]); part.mass = 1; part.mx = x[old]; part.my = y[old]; part.node = old;
      }
      cell = into(cell, x[i], y[i]);
    }
  }
  return root;
}
function into(cell, px, py) {
  const right = px >= cell.x, low = py >= cell.y, at = right + 2 * low, half = cell.half / 2;
  return cell.parts[at] ||= { x: cell.x + (right ? half : -half), y: cell.y + (low ? half : -half), half, mass: 0, mx: 0, my: 0, node: -1, parts: null };
}
function step() {
  const root = tree(), stack = [];
  for (let i = 0; i < n; i++) {
    let fx = -x[i] * .012, fy = -y[i] * .012;
    stack.push(root);
    while (stack.length) {
      const cell = stack.pop();
      if (!cell || cell.node === i) continue;
      const ax = x[i] - cell.mx / cell.mass, ay = y[i] - cell.my / cell.mass, far = ax * ax + ay * ay + 1;
      if (!cell.parts || 4 * cell.half * cell.half < far) { fx += 900 * cell.mass * ax / far; fy += 900 * cell.mass * ay / far; }
      else stack.push(...cell.parts);
    }
    dx[i] = fx; dy[i] = fy;
  }
  for (const [one, two] of edges) {
    const ax = x[two] - x[one], ay = y[two] - y[one], length = Math.hypot(ax, ay) || 1;
    const pull = .09 * (length - 46), px = pull * ax / length, py = pull * ay / length;
    dx[one] += px; dy[one] += py; dx[two] -= px; dy[two] -= py;
  }
  for (let i = 0; i < n; i++) {
    if (held && held.node === i) continue;
    const size = Math.hypot(dx[i], dy[i]) || 1, most = Math.min(size, 60 * heat) / size;
    x[i] += dx[i] * most * .8; y[i] += dy[i] * most * .8;
  }
  heat *= .985;
}

const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
let ink, page, edgeInk, light;
function colours() { ink = style("--ink"); page = style("--page"); edgeInk = style("--edge"); light = style("--light"); paint(); }
const colour = community => community < 0 ? edgeInk : `hsl(${(community * 137.5) % 360} 62% ${light})`;
const sx = i => (x[i] - view.x) * view.scale + canvas.clientWidth / 2, sy = i => (y[i] - view.y) * view.scale + canvas.clientHeight / 2;
function paint() { if (!waiting) { waiting = true; requestAnimationFrame(frame); } }
function frame() {
  waiting = false;
  if (heat > .02) { const end = performance.now() + 24; do step(); while (heat > .02 && performance.now() < end); if (!moved) fit(); paint(); }
  const ratio = devicePixelRatio || 1, wide = canvas.clientWidth, high = canvas.clientHeight;
  if (canvas.width !== wide * ratio || canvas.height !== high * ratio) { canvas.width = wide * ratio; canvas.height = high * ratio; }
  draw.setTransform(ratio, 0, 0, ratio, 0, 0);
  draw.clearRect(0, 0, wide, high);
  const focus = chosen >= 0 ? chosen : hovered, near = new Set(focus < 0 ? [] : [focus, ...joined[focus].flatMap(at => edges[at].slice(0, 2))]);
  draw.strokeStyle = edgeInk; draw.lineWidth = 1;
  for (const strong of [false, true]) {
    draw.globalAlpha = strong ? .9 : focus < 0 ? .35 : .12;
    draw.beginPath();
    for (const [one, two] of edges) if ((one === focus || two === focus) === strong) { draw.moveTo(sx(one), sy(one)); draw.lineTo(sx(two), sy(two)); }
    draw.stroke();
  }
  const scale = Math.min(1.6, Math.max(.35, Math.sqrt(view.scale)));
  for (let i = n - 1; i >= 0; i--) {
    const px = sx(i), py = sy(i);
    if (px < -40 || py < -40 || px > wide + 40 || py > high + 40) continue;
    draw.globalAlpha = focus < 0 || near.has(i) ? 1 : .25;
    draw.fillStyle = colour(nodes[i].community);
    draw.beginPath(); draw.arc(px, py, radius[i] * scale, 0, 6.2832); draw.fill();
    if (i === chosen) { draw.strokeStyle = ink; draw.lineWidth = 2; draw.stroke(); }
  }
  draw.font = "12px system-ui, 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif"; draw.textAlign = "center"; draw.lineJoin = "round";
  const taken = [];
  for (const i of [...near, ...nodes.keys()]) {
    const px = sx(i), py = sy(i) - radius[i] * scale - 5;
    if (px < 0 || py < 0 || px > wide || py > high || focus >= 0 && !near.has(i)) continue;
    const name = nodes[i].name.length > 28 ? nodes[i].name.slice(0, 27) + "…" : nodes[i].name, half = draw.measureText(name).width / 2 + 3;
    if (taken.some(([a, b, c]) => Math.abs(a - px) < half + c && Math.abs(b - py) < 14)) continue;
    taken.push([px, py, half]);
    if (taken.length > 160) break;
    draw.globalAlpha = 1; draw.strokeStyle = page; draw.lineWidth = 3; draw.strokeText(name, px, py); draw.fillStyle = ink; draw.fillText(name, px, py);
  }
}
function fit() {
  let size = 60;
  for (let i = 0; i < n; i++) size = Math.max(size, Math.abs(x[i]), Math.abs(y[i]));
  view = { x: 0, y: 0, scale: Math.min(2, .47 * Math.min(canvas.clientWidth, canvas.clientHeight) / size) };
}

function element(name, text, of = "", parent = side) { const made = document.createElement(name); made.textContent = text; made.className = of; parent.append(made); return made; }
function places(list) {
  for (const [file, line, before, said, after] of list) {
    const box = element("div", "", "place");
    element("span", `${file}, ${words.line} ${line}`, "soft", box);
    box.append("…" + before.trimStart()); element("mark", said, "", box); box.append(after.trimEnd() + "…");
  }
}
function go(label, node, parent) {
  const button = element("button", label, "", parent);
  button.onclick = () => { show(node); moved = true; view.x = x[node]; view.y = y[node]; view.scale = Math.max(view.scale, 1); paint(); };
}
function show(node) {
  chosen = node;
  side.replaceChildren(); side.hidden = node < 0; side.scrollTop = 0;
  paint();
  if (node < 0) return;
  const one = nodes[node];
  element("button", "×", "close").onclick = () => show(-1);
  element("h2", one.name);
  element("p", [one.kind, one.community >= 0 ? `${words.community} ${titles[one.community] || one.community}` : ""].filter(Boolean).join(" · "), "soft");
  const others = one.names.filter(name => name !== one.name);
  if (others.length) element("p", `${words.also}: ${others.join(" · ")}`, "soft");
  if (one.claims.length) element("h3", words["said of it"]);
  for (const [label, value, place] of one.claims) { element("p", `${label} ${value}`); places([place]); }
  if (joined[node].length) element("h3", `${words["joined to"]} (${joined[node].length})`);
  for (const at of joined[node].slice(0, 60)) {
    const [from, to, label, kind, found] = edges[at], other = from === node ? to : from, arrow = label ? (from === node ? "→ " : "← ") : "";
    go(`${arrow}${label || words[kind] || kind}: ${nodes[other].name}`, other, side);
    const more = element("details", ""); element("summary", `${words.places} (${found.length})`, "soft", more);
    more.ontoggle = () => { if (more.open && more.childElementCount === 1) { places(found); more.append(...[...side.children].slice(-found.length)); } };
  }
  element("h3", words.places);
  places(one.places);
  if (one.more) element("p", words.more.replace("{n}", one.more), "soft");
}

document.getElementById("search").oninput = event => {
  const list = document.getElementById("found"), asked = event.target.value.normalize("NFKC").toLowerCase().trim();
  list.replaceChildren();
  if (!asked) return;
  const found = [...nodes.keys()].filter(i => nodes[i].names.some(name => name.normalize("NFKC").toLowerCase().includes(asked))).slice(0, 30);
  for (const i of found) go(nodes[i].name, i, element("li", "", "", list));
  if (!found.length) element("li", words["nothing found"], "soft", list);
};
document.getElementById("search").onkeydown = event => { if (event.key === "Enter") document.querySelector("#found button")?.click(); };
function at(event) {
  let best = -1, least = 16;
  for (let i = 0; i < n; i++) { const far = Math.hypot(sx(i) - event.offsetX, sy(i) - event.offsetY) - radius[i] * Math.sqrt(view.scale); if (far < least) { least = far; best = i; } }
  return least < 8 ? best : -1;
}
canvas.onpointerdown = event => { held = { px: event.offsetX, py: event.offsetY, node: at(event), far: 0 }; canvas.setPointerCapture(event.pointerId); };
canvas.onpointermove = event => {
  if (!held) { const over = at(event); if (over !== hovered) { hovered = over; canvas.style.cursor = over < 0 ? "grab" : "pointer"; paint(); } return; }
  const ax = event.offsetX - held.px, ay = event.offsetY - held.py;
  held.far += Math.abs(ax) + Math.abs(ay); held.px = event.offsetX; held.py = event.offsetY; moved = true;
  if (held.node < 0) { view.x -= ax / view.scale; view.y -= ay / view.scale; }
  else { x[held.node] += ax / view.scale; y[held.node] += ay / view.scale; heat = Math.max(heat, .12); }
  paint();
};
canvas.onpointerup = () => { if (held && held.far < 5) show(held.node); held = null; };
canvas.onpointercancel = () => { held = null; };
function zoom(factor, px, py) {
  const ax = px - canvas.clientWidth / 2, ay = py - canvas.clientHeight / 2, scale = Math.min(8, Math.max(.03, view.scale * factor));
  view.x += ax / view.scale - ax / scale; view.y += ay / view.scale - ay / scale; view.scale = scale; moved = true; paint();
}
canvas.addEventListener("wheel", event => { event.preventDefault(); zoom(Math.exp(-event.deltaY * .0015), event.offsetX, event.offsetY); }, { passive: false });
canvas.onkeydown = event => {
  const by = 60 / view.scale, way = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by] }[event.key];
  if (way) { view.x += way[0]; view.y += way[1]; moved = true; paint(); }
  else if (event.key === "+" || event.key === "-") zoom(event.key === "+" ? 1.25 : .8, canvas.clientWidth / 2, canvas.clientHeight / 2);
  else if (event.key === "Escape") show(-1);
};
addEventListener("resize", paint);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", colours);
colours();
