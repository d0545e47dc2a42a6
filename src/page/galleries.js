"use strict";
// Draws galleries, image definitions and image versions. Shared by the emulator's page and by `report`.
// The model is what `report --format json` prints; a member that is absent or null is left out of the page.

function el(tag, content, className) {
  const node = document.createElement(tag);
  if (content !== undefined && content !== null) node.append(content);
  if (className) node.className = className;
  return node;
}
const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const day = date => date ? el("span", date.slice(0, 10), "narrow") : null;
const stateOf = value => value ? el("span", value, "is-" + value) : null;

/** A text that may be broken where `at` matches. */
const breakable = (text, at) => text.split(at).join("\u200b");

function bar(label, note, percent, className) {
  const box = el("span", label, "cell " + (className || ""));
  if (note) box.append(el("small", note));
  const track = el("span", undefined, "bar"), fill = el("i");
  fill.style.width = percent + "%";
  track.append(fill);
  box.append(track);
  return box;
}

function regionCell(region) {
  const state = (region.state || "unknown").toLowerCase();
  const replicas = "×" + region.replicas + (region.exclude_from_latest ? ", not latest" : "");
  const note = region.state === "Replicating" ? (region.progress || 0) + " %" : state;
  const made = bar(replicas, note, region.state === "Completed" || region.state === "Failed" ? 100 : region.progress || 0, region.state);
  // to the eye a green bar says enough, so that more regions fit beside each other
  if (region.state === "Completed") made.querySelector("small").classList.add("unseen");
  made.title = [state, plural(region.replicas, "replica"), region.storage_account_type].filter(Boolean).join(", ");
  return made;
}

/** A list that is folded when it has more than `shown` entries. */
function folded(entries, noun, shown) {
  const list = el("ul");
  entries.forEach(entry => { const item = el("li"); item.append(entry); list.append(item); });
  if (entries.length <= shown) return list;
  const box = el("details");
  box.append(el("summary", plural(entries.length, noun)), list);
  return box;
}

// One entry for each column that is not a region: its heading, the value it sorts by, and how it is drawn.
const COLUMNS = [
  { head: "version", className: "name", value: version => version.version, draw: version => version.version },
  { head: "state", value: version => version.state, draw: version => {
    const box = el("span");
    if (version.state) box.append(stateOf(version.state));
    if (version.exclude_from_latest) box.append(" ", el("span", "excluded from latest", "chip wrapped"));
    return box.childNodes.length ? box : null;
  } },
  { head: "retention", className: "retention", value: version => version.retention && version.retention.action, draw: version => version.retention
    && el("span", `${version.retention.action}: ${version.retention.reason}`, version.retention.action === "remove" ? "warn" : "dim") },
  { head: "used by", className: "users", value: version => version.users && version.users.length, draw: version => {
    if (!version.users) return null;
    if (!version.users.length) return el("span", "nobody", "dim");
    return folded(version.users.map(user => {
      const line = el("span", user.name);
      line.title = user.id;
      line.append(" ", el("span", user.kind, "dim"));
      return line;
    }), "user", 2);
  } },
  { head: "cost a month", className: "number", value: version => version.monthly_cost && Number(version.monthly_cost), draw: version => version.monthly_cost },
  { head: "published", value: version => version.published_date, draw: version => day(version.published_date) },
  { head: "end of life", value: version => version.end_of_life_date, draw: version => {
    const date = day(version.end_of_life_date);
    if (date && version.is_past_end_of_life) date.classList.add("bad");
    return date;
  } },
  { head: "size", className: "number", value: version => version.size_gb, draw: version => version.size_gb ? version.size_gb + " GB" : null },
  { head: "base image", className: "base", value: version => version.base_image && version.base_image.urn, draw: version => {
    if (!version.base_image) return null;
    const box = el("span", breakable(version.base_image.urn, /(?<=:)/), "path");
    if (version.base_image.warning) box.append(" ", el("span", version.base_image.warning, "warn"));
    return box;
  } },
  { head: "tags", className: "tags", value: version => Object.keys(version.tags || {}).length, draw: version => {
    const tags = Object.entries(version.tags || {});
    return tags.length ? folded(tags.map(([name, value]) => {
      const chip = el("span", `${name} = ${value}`, "chip");
      chip.title = chip.textContent;
      return chip;
    }), "tag", 2) : null;
  } },
];

function compare(a, b) {
  if (a === b) return 0;
  if (a === undefined || a === null) return -1;
  if (b === undefined || b === null) return 1;
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
}

/** The versions of one definition, newest first, with a column for each region that any of them is in. */
function versionTable(definition) {
  const versions = definition.versions || [];
  if (!versions.length) return el("p", "no versions yet", "dim");
  const regions = [...new Set(versions.flatMap(version => (version.regions || []).map(region => region.name)))].sort();
  const find = (version, name) => (version.regions || []).find(region => region.name === name);
  const columns = COLUMNS.filter(column => versions.some(version => column.draw(version) !== null && column.draw(version) !== undefined));
  // regions follow the state and the verdict, as what a person looks for first
  const at = columns.findIndex(column => ["used by", "cost a month", "published"].includes(column.head));
  columns.splice(at < 0 ? columns.length : at, 0, ...regions.map(name => ({
    head: breakable(name, /(?=north|south|east|west|central)|(?<=north|south|east|west|central)/), className: "region",
    value: version => { const region = find(version, name); return region ? region.replicas : null; },
    draw: version => { const region = find(version, name); return region ? regionCell(region) : null; },
  })));

  const table = el("table", undefined, "versions"), head = el("thead"), body = el("tbody"), headings = el("tr");
  const rows = versions.map(version => {
    const line = el("tr");
    line.version = version;
    columns.forEach(column => {
      const drawn = column.draw(version), cell = el("td", drawn, column.className);
      cell.dataset.label = column.head;
      if (drawn === null || drawn === undefined) cell.classList.add("empty");
      line.append(cell);
    });
    return line;
  });
  const sort = (column, direction) => {
    rows.sort((a, b) => direction * compare(column.value(a.version), column.value(b.version)));
    body.replaceChildren(...rows);
    [...headings.children].forEach((heading, index) => {
      if (columns[index] === column) heading.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      else heading.removeAttribute("aria-sort");
    });
  };
  columns.forEach(column => {
    const heading = el("th", undefined, ["name", "number", "region"].includes(column.className) ? column.className : ""), button = el("button", column.head);
    heading.scope = "col";
    button.type = "button";
    button.addEventListener("click", () => sort(column, heading.getAttribute("aria-sort") === "descending" ? 1 : -1));
    heading.append(button);
    headings.append(heading);
  });
  head.append(headings);
  table.append(head, body);
  sort(columns[0], -1);
  table.sortBy = (head, direction) => {
    const column = columns.find(column => column.head === head);
    if (column) sort(column, direction);
  };
  const scroll = el("div", table, "scroll");
  // so that the keyboard can scroll it
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", `Versions of ${definition.name}`);
  return scroll;
}

function definitionBox(definition, isOpen) {
  const box = el("details", undefined, "definition"), summary = el("summary"), facts = el("span", undefined, "facts dim");
  box.open = isOpen;
  summary.append(el("h4", definition.name));
  [definition.os_type, definition.generation && "generation " + definition.generation, definition.architecture, definition.security_type,
    plural((definition.versions || []).length, "version"), definition.monthly_cost && definition.monthly_cost + " a month",
  ].filter(Boolean).forEach(fact => facts.append(el("span", fact)));
  summary.append(facts);
  box.append(summary);
  if (definition.usage_note) box.append(el("p", definition.usage_note, "warn"));
  box.append(versionTable(definition));
  return box;
}

function galleryBox(gallery, isOpen) {
  const box = el("section", undefined, "gallery"), facts = el("span", undefined, "facts dim");
  const heading = el("h3", gallery.name);
  heading.title = gallery.id;
  [gallery.resource_group, gallery.location, gallery.sharing, gallery.soft_delete && "soft delete"].filter(Boolean)
    .forEach(fact => facts.append(el("span", fact)));
  box.append(heading, " ", facts);
  if (gallery.state) box.append(" ", stateOf(gallery.state));
  (gallery.definitions || []).forEach(definition => box.append(definitionBox(definition, isOpen(definition))));
  if (!(gallery.definitions || []).length) box.append(el("p", "no image definitions yet", "dim"));
  return box;
}

const FILTERS = [
  ["in use", version => version.users && version.users.length],
  ["not used", version => version.users && !version.users.length],
  ["to be removed", version => version.retention && version.retention.action === "remove"],
  ["with problems", version => version.state === "Failed" || version.is_past_end_of_life || (version.regions || []).some(region => region.state !== "Completed")
    || version.base_image && version.base_image.warning],
];

// Sorts all tables. A narrow screen shows cards, which have no headings to press.
function sortControls(boxes) {
  const box = el("span", undefined, "sort"), label = el("label", "sort by "), choice = el("select"), order = el("button", "▼");
  COLUMNS.forEach(column => choice.append(el("option", column.head)));
  label.append(choice);
  order.type = "button";
  order.setAttribute("aria-label", "Reverse the order");
  const sort = () => boxes.querySelectorAll("table.versions").forEach(table => table.sortBy(choice.value, order.textContent === "▼" ? -1 : 1));
  choice.addEventListener("change", sort);
  order.addEventListener("click", () => { order.textContent = order.textContent === "▼" ? "▲" : "▼"; sort(); });
  box.append(label, order);
  return box;
}

/** Draws `model.galleries` into `target`, with a filter above them. Keeps the filter and what is folded when drawn again. */
function drawGalleries(target, model) {
  const galleries = model.galleries || [];
  const folds = target.folds || (target.folds = new Map());
  if (!target.controls) {
    const search = el("input"), controls = el("div", undefined, "controls"), boxes = el("div");
    search.type = "search";
    search.placeholder = "Filter by name, region, tag or user";
    search.setAttribute("aria-label", "Filter the versions");
    controls.setAttribute("role", "search");
    controls.append(search);
    const checks = FILTERS.map(([label, matches]) => {
      const check = el("input"), text = el("label", check);
      check.type = "checkbox";
      text.append(" " + label);
      controls.append(text);
      return { check, text, matches };
    });
    controls.append(sortControls(boxes));
    const fold = el("button", "Collapse all");
    fold.type = "button";
    controls.append(fold);
    const shown = el("span", undefined, "dim");
    shown.setAttribute("aria-live", "polite");
    controls.append(shown);
    target.controls = { search, checks, boxes, shown, controls };
    search.addEventListener("input", () => applyFilter(target));
    checks.forEach(({ check }) => check.addEventListener("change", () => applyFilter(target)));
    fold.addEventListener("click", () => {
      const all = [...boxes.querySelectorAll("details.definition")], open = all.some(box => box.open);
      all.forEach(box => { box.open = !open; });
      fold.textContent = open ? "Expand all" : "Collapse all";
    });
    target.replaceChildren(controls, boxes);
  }
  const { boxes, checks } = target.controls;
  const versions = galleries.flatMap(gallery => gallery.definitions || []).flatMap(definition => definition.versions || []);
  // a filter that no version can match is only in the way
  checks.forEach(({ text, matches, check }) => { text.hidden = !check.checked && !versions.some(matches); });
  target.controls.controls.hidden = !versions.length;
  boxes.replaceChildren(...(galleries.length
    ? galleries.map(gallery => galleryBox(gallery, definition => folds.get(definition.id) !== false))
    : [el("span", "No galleries yet.", "dim")]));
  const definitions = galleries.flatMap(gallery => gallery.definitions || []);
  boxes.querySelectorAll("details.definition").forEach((box, index) =>
    box.addEventListener("toggle", () => folds.set(definitions[index].id, box.open)));
  applyFilter(target);
}

function applyFilter(target) {
  const { search, checks, boxes, shown } = target.controls;
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean), wanted = checks.filter(({ check }) => check.checked);
  let count = 0, all = 0;
  boxes.querySelectorAll("table.versions tbody tr").forEach(row => {
    const definition = row.closest("details").querySelector("h4").textContent, gallery = row.closest("section").querySelector("h3").textContent;
    const text = [gallery, definition, row.textContent, ...(row.version.regions || []).map(region => region.name)].join(" ").toLowerCase();
    row.hidden = !(words.every(word => text.includes(word)) && wanted.every(({ matches }) => matches(row.version)));
    all += 1;
    if (!row.hidden) count += 1;
  });
  const isFiltered = words.length || wanted.length;
  boxes.querySelectorAll("details.definition, section.gallery").forEach(box => {
    box.hidden = Boolean(isFiltered) && !box.querySelector("tbody tr:not([hidden])");
  });
  shown.textContent = isFiltered ? `${count} of ${plural(all, "version")}` : "";
}

// A printed page shows everything.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(box => { box.open = true; }));
