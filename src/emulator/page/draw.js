// Draws a summary of the emulator into the document: galleries, versions and regions, other resources, operations, requests.
"use strict";
const at = id => document.getElementById(id);
function el(tag, content, className) {
  const node = document.createElement(tag);
  if (content !== undefined && content !== null) node.append(content);
  if (className) node.className = className;
  return node;
}
function row(tag, cells) {
  const line = el("tr");
  cells.forEach(cell => line.append(cell instanceof Node && cell.nodeName === "TD" ? cell : el(tag, cell)));
  return line;
}
function table(id, heads, rows, none) {
  at(id).replaceChildren(...(rows.length
    ? [row("th", heads), ...rows.map(cells => row("td", cells))]
    : [row("td", [el("td", none, "dim")])]));
}
// Ids without what is the same in all of them.
const short = id => (id || "").replace(/^\/subscriptions\/[^/]+(?=\/)/i, "").replace(/^\/resourceGroups\//i, "").replace(/\/?providers\/Microsoft\.Compute/i, "").replace(/^\//, "");
const last = id => id.slice(id.lastIndexOf("/") + 1);
const state = value => el("span", value, "is-" + value);
const path = (text, whole) => { const cell = el("td", text, "path"); cell.title = whole || text; return cell; };
const narrow = content => el("td", content, "narrow");
function bar(label, note, percent, className) {
  const box = el("span", label, "cell " + (className || ""));
  if (note) box.append(el("small", note));
  const track = el("span", undefined, "bar"), fill = el("i");
  fill.style.width = percent + "%";
  track.append(fill);
  box.append(track);
  return box;
}
function region(found) {
  if (!found) return el("span", "–", "dim");
  const label = found.state === "Replicating" ? found.progress + " %" : found.state.toLowerCase();
  return bar(label, "×" + found.replicas, found.state === "Failed" ? 100 : found.progress, found.state);
}
const count = (shown, all) => all > shown ? shown + " of " + all : String(all);

/** The versions of one definition: a line each, newest first, and a column for every region that any of them is in. */
function matrix(name, versions) {
  const regions = [...new Set(versions.flatMap(version => version.regions.map(region => region.region)))];
  const made = el("table", undefined, "matrix");
  made.append(row("th", [name, versions.length ? "state" : "", ...regions]));
  versions.sort((a, b) => b.name.localeCompare(a.name, "en", { numeric: true })).forEach(version => made.append(row("td", [
    el("td", version.name, "name"), narrow(state(version.state)),
    ...regions.map(name => region(version.regions.find(one => one.region === name)))])));
  if (!versions.length) made.append(row("td", [el("td", "no versions yet", "dim")]));
  return made;
}
function galleries(data) {
  const all = new Map(), lower = id => id.toLowerCase();
  const gallery = id => {
    if (!all.has(lower(id))) all.set(lower(id), { id, definitions: new Map() });
    return all.get(lower(id));
  };
  const definition = id => {
    const of = gallery(id.replace(/\/images\/[^/]+$/i, "")).definitions;
    if (!of.has(lower(id))) of.set(lower(id), { id, versions: [] });
    return of.get(lower(id));
  };
  data.resources.forEach(resource => {
    if (/\/galleries$/i.test(resource.type)) gallery(resource.id).resource = resource;
    if (/\/galleries\/images$/i.test(resource.type)) definition(resource.id);
  });
  data.versions.forEach(version => definition(version.id.replace(/\/versions\/[^/]+$/i, "")).versions.push(version));
  return [...all.values()].map(({ id, resource, definitions }) => {
    const box = el("section", undefined, "gallery"), head = el("div", el("h3", last(id)));
    const group = (/resourceGroups\/([^/]+)/i.exec(id) || [])[1];
    head.append(el("span", [group, resource && resource.location].filter(Boolean).join(", "), "dim"));
    if (resource) head.append(state(resource.state));
    box.append(head);
    definitions.forEach(one => box.append(matrix(last(one.id), one.versions)));
    if (!definitions.size) box.append(el("span", "no image definitions yet", "dim"));
    return box;
  });
}
const time = text => text.replace("T", " ").slice(0, 19) + " UTC";
function show(data) {
  const scale = data.settings.time_scale;
  at("speed").textContent = scale === null ? "quick time" : scale === 0 ? "work takes no time" : "time × " + scale;
  at("operation-count").textContent = data.operations.length || "";
  table("operations", ["operation", "resource", "progress"], data.operations.map(operation => [
    narrow(operation.action), path(short(operation.resource), operation.resource),
    operation.percent === null ? bar("does not end", "", 0) : bar(operation.percent + " %", "", operation.percent)]), "None.");
  at("version-count").textContent = count(data.versions.length, data.versionCount);
  const boxes = galleries(data);
  at("versions").replaceChildren(...(boxes.length ? boxes : [el("span", "No galleries yet.", "dim")]));
  const others = data.resources.filter(resource => !/\/galleries(\/images)?$/i.test(resource.type));
  at("resource-count").textContent = data.resourceCount > data.resources.length ? "of " + data.resourceCount + " in all" : "";
  table("resources", ["resource", "location", "state"], others.map(resource => [
    path(short(resource.id), resource.id), narrow(resource.location), narrow(state(resource.state))]), "None.");
  table("requests", ["at", "", "path", ""], data.requests.map(request => [
    narrow(request.at.slice(11, 19)), narrow(request.method), path(short(request.path) || "/", request.path),
    narrow(el("span", String(request.status || "dropped"), "s" + (String(request.status)[0] === "0" ? 5 : String(request.status)[0])))]), "None yet.");
}
