"use strict";
(() => {
  // Without Plotly's tool bar, which would lie on titles: dragging zooms, a double click shows all again.
  const CONFIG = { responsive: true, displayModeBar: false };
  // A finger that drags over a figure scrolls the page.
  const DRAG = matchMedia("(pointer: coarse)").matches ? false : "zoom";
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
    return Plotly.react(figure.plot, structuredClone(data), { ...structuredClone(view.layout), dragmode: DRAG }, CONFIG);
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
      for (const link of document.querySelectorAll(`#files-${select.dataset.figure} a`))
        link.setAttribute("href", "figures/" + figure.views[figure.shown].file + link.href.slice(link.href.lastIndexOf(".")));
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

  // A table that is wider than the page fades at the edge behind which there is more.
  const scrolls = [...document.querySelectorAll(".scroll")];
  function fade(scroll) {
    const rest = scroll.scrollWidth - scroll.clientWidth - scroll.scrollLeft;
    scroll.classList.toggle("more-left", scroll.scrollLeft > 1);
    scroll.classList.toggle("more-right", rest > 1);
    scroll.parentElement.classList.toggle("is-wide", scroll.scrollWidth - scroll.clientWidth > 1);
  }
  const observer = new ResizeObserver((entries) => entries.forEach((entry) => fade(entry.target)));
  for (const scroll of scrolls) {
    scroll.addEventListener("scroll", () => fade(scroll), { passive: true });
    observer.observe(scroll);
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
