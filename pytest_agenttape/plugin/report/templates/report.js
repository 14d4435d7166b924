"use strict";
(() => {
  const search = document.getElementById("search");
  const kind = document.getElementById("kind");
  const outcome = document.getElementById("outcome");
  const shown = document.getElementById("shown");
  const tests = [...document.querySelectorAll(".test")].map((node) => ({
    node,
    name: node.querySelector(".name").textContent.toLowerCase(),
    steps: [...node.querySelectorAll(".step")].map((step) => ({ step, text: step.textContent.toLowerCase() })),
  }));

  const fits = (node, wanted) =>
    wanted === "" || node.dataset.outcome === wanted || (wanted in node.dataset && node.dataset[wanted] === "yes");

  const apply = () => {
    const words = search.value.toLowerCase().trim();
    let count = 0;
    for (const test of tests) {
      const named = words === "" || test.name.includes(words);
      let any = false;
      for (const { step, text } of test.steps) {
        const visible = (kind.value === "" || step.dataset.kind === kind.value) && (named || text.includes(words));
        step.hidden = !visible;
        any = any || visible;
      }
      test.node.hidden = !(fits(test.node, outcome.value) && (any || (named && kind.value === "")));
      if (words !== "" && !test.node.hidden && !named) test.node.open = true;
      count += test.node.hidden ? 0 : 1;
    }
    shown.textContent = `${count} of ${tests.length} tests`;
  };

  for (const control of [search, kind, outcome]) control.addEventListener("input", apply);
  document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(document.activeElement.tagName);
    if (event.key === "/" && !typing) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape" && document.activeElement === search) {
      search.value = "";
      apply();
    }
  });
  apply();
})();
