"use strict";
(() => {
  const CONFIG = {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };
  // In px; what A4 and Letter hold between the margins.
  const PRINT_WIDTH = 690;
  const hidden = new Set();
  const figures = new Map();

  const variantOf = (trace) => (trace.meta && trace.meta.variant) || null;

  function draw(figure) {
    const view = figure.views[figure.shown];
    const data = view.data.map((trace) =>
      hidden.has(variantOf(trace)) ? { ...trace, visible: "legendonly" } : trace);
    // Plotly writes into what it is given.
    return Plotly.react(figure.plot, structuredClone(data), structuredClone(view.layout), CONFIG);
  }

  for (const plot of document.querySelectorAll(".plot")) {
    const name = plot.id.slice("plot-".length);
    const views = JSON.parse(document.getElementById("data-" + name).textContent);
    const figure = { plot, views, shown: 0 };
    figures.set(name, figure);
    draw(figure);
  }

  for (const select of document.querySelectorAll("select[data-figure]")) {
    select.addEventListener("change", () => {
      const figure = figures.get(select.dataset.figure);
      figure.shown = Number(select.value);
      const label = document.querySelector(`label[for="${select.id}"]`).textContent;
      const chosen = document.getElementById("chosen-" + select.dataset.figure);
      chosen.textContent = label + ": " + figure.views[figure.shown].label;
      draw(figure);
    });
  }

  for (const box of document.querySelectorAll("input[data-variant]")) {
    box.checked = true;
    box.addEventListener("change", () => {
      if (box.checked) hidden.delete(box.dataset.variant);
      else hidden.add(box.dataset.variant);
      for (const figure of figures.values()) {
        if (figure.views.some((view) => view.data.some((trace) => variantOf(trace) === box.dataset.variant)))
          draw(figure);
      }
    });
  }

  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const each of opened) each.open = true;
    for (const { plot } of figures.values()) Plotly.relayout(plot, { autosize: false, width: PRINT_WIDTH });
  });
  window.addEventListener("afterprint", () => {
    for (const each of opened) each.open = false;
    for (const { plot } of figures.values()) Plotly.relayout(plot, { autosize: true, width: null });
  });
})();
