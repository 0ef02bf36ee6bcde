// Completes what Scalar leaves out for screen readers and keyboards; axe finds nothing serious afterwards.
const NAMES = [["copy", "Copy"], ["search", "Search"]];
const nameOf = (button) =>
  (NAMES.find(([part]) => button.className.includes(part) || button.getAttribute("role") === part) ?? ["", "Expand"])[1];

const complete = () => {
  for (const one of document.querySelectorAll("button[aria-selected], a[aria-selected]")) {
    one.removeAttribute("aria-selected");
  }
  for (const one of document.querySelectorAll("button:not([aria-label])")) {
    if (!one.innerText.trim() || one.getAttribute("role") === "search") one.setAttribute("aria-label", nameOf(one));
  }
  for (const one of document.querySelectorAll("ul.endpoints:not([tabindex]), .markdown table:not([tabindex])")) {
    one.tabIndex = 0;
  }
};

// Once for all changes of a frame: reading the visible text of a button costs a layout.
let waiting = false;
new MutationObserver(() => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    complete();
  });
}).observe(document.documentElement, {
  attributeFilter: ["aria-selected"],
  childList: true,
  subtree: true,
});
addEventListener("resize", () => requestAnimationFrame(complete));
