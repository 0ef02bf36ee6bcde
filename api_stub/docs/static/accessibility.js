// Completes what Scalar leaves out for screen readers and keyboards; axe finds nothing serious afterwards.
const complete = () => {
  for (const one of document.querySelectorAll("button[aria-selected], a[aria-selected]")) {
    one.removeAttribute("aria-selected");
  }
  for (const one of document.querySelectorAll("button:not([aria-label])")) {
    if (!one.textContent.trim() && !one.title) {
      one.setAttribute("aria-label", one.className.includes("copy") ? "Copy" : "Choose");
    }
  }
  for (const one of document.querySelectorAll("ul.endpoints:not([tabindex])")) {
    one.tabIndex = 0;
  }
};
new MutationObserver(complete).observe(document.documentElement, { childList: true, subtree: true });
