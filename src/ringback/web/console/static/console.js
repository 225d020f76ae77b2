// The console's one script: live updates, keys and copy buttons. Every page works without it.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("scripted");

  // What a tab keeps. Storage may be forbidden; then a page begins with the defaults.
  const kept = (store, name, value) => {
    try {
      if (value === undefined) return store().getItem(name);
      store().setItem(name, value);
    } catch { return null; }
  };
  const ofTab = () => sessionStorage, ofBrowser = () => localStorage;

  // ---- live updates ----
  const STALE_AFTER_MS = 15000, LONGEST_WAIT_MS = 60000;
  const region = document.querySelector("[data-live]"), bar = document.getElementById("live");
  const state = document.getElementById("live-state"), pause = document.getElementById("live-pause");
  const fresh = document.getElementById("live-new");
  let source = null, again = 0, waitMs = 2000, heardAt = 0, asOf = "", isOver = false;
  const waiting = new Map();
  let isPaused = kept(ofTab, "paused") === "yes";

  const say = text => { if (state.textContent !== text) state.textContent = text; };

  function keyed(element) {
    return element.children.length > 0 && [...element.children].every(child => child.dataset.key);
  }

  // Put `next` in the place of `old`: open details stay open, and the focus stays on the same control.
  function replace(old, next) {
    const opened = [...old.querySelectorAll("details")];
    next.querySelectorAll("details").forEach((one, i) => { if (opened[i] && opened[i].open) one.open = true; });
    if (old.isEqualNode(next)) return;
    const controls = "a, button, summary, [tabindex]";
    const focused = [...old.querySelectorAll(controls)].indexOf(document.activeElement);
    // A live area tells its changes only while it stays in the page.
    if (old.hasAttribute("aria-live")) old.replaceChildren(...next.childNodes);
    else old.replaceWith(next);
    const place = old.isConnected ? old : next;
    if (focused >= 0) (place.querySelectorAll(controls)[focused] || document.getElementById("content")).focus({preventScroll: true});
  }

  // Compare piece by piece, by data-key, so that only what has changed is replaced.
  function update(old, next) {
    if (old.isEqualNode(next)) return;
    if (!keyed(old) || !keyed(next)) { replace(old, next); return; }
    const known = new Map([...old.children].map(child => [child.dataset.key, child]));
    let last = null;
    for (const child of [...next.children]) {
      const found = known.get(child.dataset.key);
      known.delete(child.dataset.key);
      if (found) update(found, child);
      else if (last) last.after(child);
      else old.prepend(child);
      last = [...old.children].find(one => one.dataset.key === child.dataset.key) || last;
    }
    for (const gone of known.values()) gone.remove();
  }

  // Nothing moves while the pointer is on something that can be clicked.
  const isPointedAt = () => region.querySelector("a:hover, button:hover, summary:hover") !== null;

  // Later texts of the same part overtake those that wait for the pointer.
  function show(html) {
    const part = document.createElement("template");
    part.innerHTML = html;
    for (const next of [...part.content.children]) waiting.set(next.dataset.key, next);
    if (isPointedAt()) return;
    for (const old of [...region.children]) {
      const next = waiting.get(old.dataset.key);
      if (next) update(old, next);
    }
    waiting.clear();
  }

  function hear(event) {
    const told = JSON.parse(event.data);
    heardAt = Date.now();
    waitMs = 2000;
    if (told.ended) { isOver = true; close(); say(told.ended); return; }
    show(told.html || "");
    if (fresh && told.fresh !== undefined) {
      fresh.hidden = told.fresh === 0;
      fresh.textContent = (told.fresh >= 500 ? "500 or more" : told.fresh) + " new";
    }
    asOf = told.as_of;
    say("Live, as of " + asOf);
  }

  function close() {
    clearTimeout(again);
    if (source) source.close();
    source = null;
  }

  function open() {
    close();
    if (isPaused || isOver || document.hidden) return;
    const asked = new URLSearchParams(location.search);
    if (region.dataset.newest) asked.set("newest", region.dataset.newest);
    heardAt = Date.now();
    source = new EventSource(region.dataset.live + "?" + asked);
    source.onmessage = hear;
    source.onerror = () => {
      stale();
      // After a refusal the browser does not try again by itself.
      if (source && source.readyState === EventSource.CLOSED) {
        again = setTimeout(open, waitMs);
        waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS);
      }
    };
  }

  const stale = () => say((asOf ? "as of " + asOf + ", " : "") + "reconnecting");

  function setPaused(paused) {
    isPaused = paused;
    kept(ofTab, "paused", paused ? "yes" : "no");
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Resume updates" : "Pause updates";
    if (paused) { close(); say("Updates are paused" + (asOf ? ", as of " + asOf : "")); }
    else { say("connecting"); open(); }
  }

  if (region && bar && window.EventSource) {
    bar.hidden = false;
    if (fresh) fresh.href = location.href;
    pause.addEventListener("click", () => setPaused(!isPaused));
    document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else open(); });
    window.addEventListener("pagehide", close);
    window.addEventListener("pageshow", event => { if (event.persisted) open(); });
    setInterval(() => { if (source && Date.now() - heardAt > STALE_AFTER_MS) stale(); }, 1000);
    setPaused(isPaused);
  }

  // ---- copy buttons ----
  document.addEventListener("click", event => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const done = told => {
      button.textContent = told;
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    };
    if (!navigator.clipboard) { done("Not allowed"); return; }
    navigator.clipboard.writeText(button.dataset.copy).then(() => done("Copied"), () => done("Not allowed"));
  });

  // ---- keys ----
  const switched = document.getElementById("keys-switch");
  let areKeysOn = kept(ofBrowser, "keys") !== "off", begun = 0;
  function setKeys(on) {
    areKeysOn = on;
    kept(ofBrowser, "keys", on ? "on" : "off");
    if (switched) switched.checked = on;
  }
  if (switched) {
    switched.closest("[hidden]").hidden = false;
    switched.checked = areKeysOn;
    switched.addEventListener("change", () => setKeys(switched.checked));
  }

  function toRow(step) {
    const rows = [...document.querySelectorAll("[data-row], [data-entry]")];
    if (!rows.length) return;
    const at = rows.findIndex(row => row.contains(document.activeElement));
    const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step));
    const control = rows[next].querySelector("a, button, summary");
    if (!control && !rows[next].hasAttribute("tabindex")) rows[next].setAttribute("tabindex", "-1");
    (control || rows[next]).focus();
  }

  const follow = name => {
    const link = document.querySelector(`nav a[data-go="${name}"]`);
    if (link) link.click();
  };

  document.addEventListener("keydown", event => {
    const typing = event.target.closest("input, select, textarea, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !areKeysOn) return;
    const key = event.key, isSecond = Date.now() - begun < 1500;
    begun = 0;
    if (isSecond && "cadn".includes(key)) follow(key);
    else if (key === "g") { begun = Date.now(); return; }
    else if (key === "/") document.getElementById("q")?.focus();
    else if (key === "?") follow("?");
    else if (key === "j" || key === "k") toRow(key === "j" ? 1 : -1);
    else if (key === "p" && pause && !bar.hidden) setPaused(!isPaused);
    else return;
    event.preventDefault();
  });
})();
