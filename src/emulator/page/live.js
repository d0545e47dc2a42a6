// Draws the emulator's summary, and asks for it again while the page is visible.
const at = id => document.getElementById(id);
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
// IDs without the parts that are the same in all of them.
const short = id => (id || "").replace(/^\/subscriptions\/[^/]+(?=\/)/i, "").replace(/^\/resourceGroups\//i, "").replace(/\/?providers\/Microsoft\.Compute/i, "").replace(/^\//, "");
const last = id => id.slice(id.lastIndexOf("/") + 1);
const path = (text, whole) => { const cell = el("td", text, "path"); cell.title = whole || text; return cell; };
const narrow = content => el("td", content, "narrow");
const count = (shown, all) => all > shown ? shown + " of " + all : String(all);
const time = text => text.replace("T", " ").slice(0, 19) + " UTC";

/** The summary as the model that `drawGalleries` takes. */
function modelOf(data) {
  const galleries = new Map(), definitions = new Map(), key = id => id.toLowerCase();
  const gallery = id => {
    if (!galleries.has(key(id))) {
      const group = (/resourceGroups\/([^/]+)/i.exec(id) || [])[1];
      galleries.set(key(id), { id, name: last(id), resource_group: group, definitions: [] });
    }
    return galleries.get(key(id));
  };
  const definition = id => {
    if (!definitions.has(key(id))) {
      const made = { id, name: last(id), versions: [] };
      definitions.set(key(id), made);
      gallery(id.replace(/\/images\/[^/]+$/i, "")).definitions.push(made);
    }
    return definitions.get(key(id));
  };
  data.resources.forEach(resource => {
    if (/\/galleries$/i.test(resource.type)) Object.assign(gallery(resource.id), { location: resource.location, state: resource.state });
    if (/\/galleries\/images$/i.test(resource.type)) definition(resource.id);
  });
  data.versions.forEach(version => definition(version.id.replace(/\/versions\/[^/]+$/i, "")).versions.push({
    ...version, version: version.name, regions: version.regions.map(region => ({ ...region, name: region.region })),
  }));
  return { galleries: [...galleries.values()] };
}

function show(data) {
  const scale = data.settings.time_scale;
  at("speed").textContent = scale === null ? "quick time" : scale === 0 ? "work takes no time" : "time × " + scale;
  at("operation-count").textContent = data.operations.length || "";
  table("operations", ["operation", "resource", "progress"], data.operations.map(operation => [
    narrow(operation.action), path(short(operation.resource), operation.resource),
    operation.percent === null ? bar("does not end", "", 0) : bar(operation.percent + " %", "", operation.percent)]), "None.");
  at("version-count").textContent = count(data.versions.length, data.versionCount);
  drawGalleries(at("versions"), modelOf(data));
  const others = data.resources.filter(resource => !/\/galleries(\/images)?$/i.test(resource.type));
  at("resource-count").textContent = data.resourceCount > data.resources.length ? "of " + data.resourceCount + " in all" : "";
  table("resources", ["resource", "location", "state"], others.map(resource => [
    path(short(resource.id), resource.id), narrow(resource.location), narrow(stateOf(resource.state))]), "None.");
  table("requests", ["at", "", "path", ""], data.requests.map(request => {
    const status = String(request.status || "dropped");
    return [narrow(request.at.slice(11, 19)), narrow(request.method), path(short(request.path) || "/", request.path),
      narrow(el("span", status, /^[23]/.test(status) ? "good" : "bad"))];
  }), "None yet.");
}

let before = "";
async function tick() {
  let wait = 1000;
  if (!document.hidden) {
    try {
      const answer = await fetch("/_emulator/summary");
      const text = await answer.text();
      const data = JSON.parse(text);
      at("link").textContent = "";
      at("clock").textContent = time(data.now);
      const same = text.replace(/"now":"[^"]*",/, "");
      if (same !== before) { show(data); before = same; }
      if (data.operations.length || data.versions.some(version => version.regions.some(one => one.state === "Replicating"))) wait = 300;
    } catch (error) {
      at("link").textContent = "the emulator does not answer: " + error.message;
    }
  }
  setTimeout(tick, wait);
}
tick();
