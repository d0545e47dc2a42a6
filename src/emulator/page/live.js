// Asks the emulator for its summary again and again, and draws it.
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
