// Reloads the page every few seconds and replaces the parts that changed. Without it, reload by hand.
"use strict";
(() => {
  const EVERY = 5000;
  const signal = document.getElementById("signal");
  if (!signal) return;
  let lastAnswer = Date.now();

  const inUse = (part) => {
    const at = document.activeElement;
    const editing = at && part.contains(at) && at.matches("input, select, textarea");
    const selecting = !getSelection().isCollapsed && part.contains(getSelection().anchorNode);
    return editing || selecting;
  };

  const replaceParts = (fresh) => {
    for (const part of document.querySelectorAll("[data-live]")) {
      const other = fresh.getElementById(part.id);
      if (!other || part.innerHTML === other.innerHTML || inUse(part)) continue;
      const open = [...part.querySelectorAll("details")].map((one) => one.open);
      const values = [...part.querySelectorAll("input:not([type=hidden]), select")].map((one) => one.value);
      const scrolled = [...part.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
      const at = document.activeElement;
      const targets = "a, button, summary, [tabindex]";
      const place = part.contains(at) ? [...part.querySelectorAll(targets)].indexOf(at) : -1;
      part.innerHTML = other.innerHTML;
      showCopyButtons();
      part.querySelectorAll("details").forEach((one, i) => { one.open = open[i] ?? one.open; });
      part.querySelectorAll("input:not([type=hidden]), select").forEach((one, i) => {
        if (values[i] !== undefined) one.value = values[i];
      });
      part.querySelectorAll(".scroll").forEach((one, i) => { one.scrollLeft = scrolled[i] ?? 0; });
      if (place >= 0) part.querySelectorAll(targets)[place]?.focus({ preventScroll: true });
    }
  };

  const showStatus = (text, bad) => {
    signal.textContent = text;
    signal.classList.toggle("bad", bad);
  };

  const refresh = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.href, { redirect: "error", signal: AbortSignal.timeout(EVERY * 2) });
      if (!answer.ok) throw new Error(String(answer.status));
      replaceParts(new DOMParser().parseFromString(await answer.text(), "text/html"));
      lastAnswer = Date.now();
      showStatus("Live", false);
    } catch {
      const silent = Math.round((Date.now() - lastAnswer) / 1000);
      showStatus(`No answer for ${silent} s: these figures are that old`, true);
    }
  };

  const showCopyButtons = () => {
    for (const one of document.querySelectorAll("button.copy")) one.hidden = !navigator.clipboard;
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  });

  const read = (chart, column) => {
    chart.querySelectorAll(".column.read").forEach((one) => one.classList.remove("read"));
    column.classList.add("read");
    chart.closest("figure").querySelector("[data-reading]").textContent = column.dataset.values;
  };
  document.addEventListener("pointerover", (event) => {
    const column = event.target.closest?.("[data-chart] .column");
    if (column) read(column.closest("[data-chart]"), column);
  });
  document.addEventListener("keydown", (event) => {
    const chart = event.target.closest?.("[data-chart]");
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!chart || step === undefined) return;
    event.preventDefault();
    const columns = [...chart.querySelectorAll(".column")];
    const at = columns.findIndex((one) => one.classList.contains("read"));
    const next = at < 0 ? columns.length - 1 : Math.min(Math.max(at + step, 0), columns.length - 1);
    read(chart, columns[next]);
  });

  showCopyButtons();
  showStatus("Live", false);
  setInterval(refresh, EVERY);
  document.addEventListener("visibilitychange", refresh);
})();
