// Keeps the page alive: asks for it again every few seconds and swaps what changed. Without it, reload by hand.
"use strict";
(() => {
  const EVERY = 5000;
  const signal = document.getElementById("signal");
  if (!signal) return;
  let lastAnswer = Date.now();

  const busy = (part) => {
    const at = document.activeElement;
    const writes = at && part.contains(at) && at.matches("input, select, textarea");
    const picks = !getSelection().isCollapsed && part.contains(getSelection().anchorNode);
    return writes || picks;
  };

  const swap = (fresh) => {
    for (const part of document.querySelectorAll("[data-live]")) {
      const other = fresh.getElementById(part.id);
      if (!other || part.innerHTML === other.innerHTML || busy(part)) continue;
      const open = [...part.querySelectorAll("details")].map((one) => one.open);
      const kept = [...part.querySelectorAll("input:not([type=hidden]), select")].map((one) => one.value);
      const scrolled = [...part.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
      const at = document.activeElement;
      const targets = "a, button, summary, [tabindex]";
      const place = part.contains(at) ? [...part.querySelectorAll(targets)].indexOf(at) : -1;
      part.innerHTML = other.innerHTML;
      part.querySelectorAll("details").forEach((one, i) => { one.open = open[i] ?? one.open; });
      part.querySelectorAll("input:not([type=hidden]), select").forEach((one, i) => {
        if (kept[i] !== undefined) one.value = kept[i];
      });
      part.querySelectorAll(".scroll").forEach((one, i) => { one.scrollLeft = scrolled[i] ?? 0; });
      if (place >= 0) part.querySelectorAll(targets)[place]?.focus({ preventScroll: true });
    }
  };

  const say = (words, bad) => {
    signal.textContent = words;
    signal.classList.toggle("bad", bad);
  };

  const look = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.href, { redirect: "error", signal: AbortSignal.timeout(EVERY * 2) });
      if (!answer.ok) throw new Error(String(answer.status));
      swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
      lastAnswer = Date.now();
      say("Live", false);
    } catch {
      const silent = Math.round((Date.now() - lastAnswer) / 1000);
      say(`No answer for ${silent} s: these figures are that old`, true);
    }
  };

  say("Live", false);
  setInterval(look, EVERY);
  document.addEventListener("visibilitychange", look);
})();
