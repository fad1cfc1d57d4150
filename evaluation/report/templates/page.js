"use strict";
(() => {
  // Charts: colours are names of CSS variables, so that light, dark and print each get their own.
  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    const resolve = (value) => {
      if (typeof value === "string" && value.startsWith("var(")) return style.getPropertyValue(value.slice(4, -1)).trim();
      if (Array.isArray(value)) return value.map(resolve);
      if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolve(v)]));
      return value;
    };
    return resolve;
  };
  const draw = () => {
    if (typeof Plotly === "undefined") return;
    const resolve = colours();
    const family = getComputedStyle(document.body).fontFamily;
    document.querySelectorAll(".chart").forEach((box) => {
      const figure = resolve(JSON.parse(box.querySelector("script").textContent));
      figure.layout.font.family = family;
      const target = box.querySelector(".plot");
      target.style.height = figure.layout.height + "px";
      Plotly.react(target, figure.data, figure.layout, { displayModeBar: false, responsive: true });
    });
  };
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  matchMedia("print").addEventListener("change", draw);

  // Tables: a click on a head sorts, a second click turns the order round.
  const key = (row, column) => {
    const cell = row.cells[column];
    const value = cell.dataset.value ?? cell.textContent.trim();
    const number = Number(value);
    return value === "" ? null : Number.isNaN(number) ? value.toLowerCase() : number;
  };
  document.querySelectorAll("table[data-sortable]").forEach((table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = head.querySelector("button");
      if (!button) return;
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows].map((row) => [key(row, column), row]);
        rows.sort(([a], [b]) => {
          if (a === null || b === null) return (a === null) - (b === null); // what is absent comes last
          const order = typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
          return down ? -order : order;
        });
        table.tBodies[0].append(...rows.map(([, row]) => row));
      });
    });
  });

  // Search and outcome filter, with the number of rows that are left.
  document.querySelectorAll("[data-filters]").forEach((tools) => {
    const rows = [...document.getElementById(tools.dataset.filters).tBodies[0].rows];
    const search = tools.querySelector("input");
    const choices = [...tools.querySelectorAll("button")];
    const count = tools.querySelector("output");
    const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const kind = choices.find((choice) => choice.getAttribute("aria-pressed") === "true")?.dataset.kind ?? "";
      let left = 0;
      rows.forEach((row) => {
        row.hidden = (kind !== "" && row.dataset.kind !== kind) || !words.every((word) => texts.get(row).includes(word));
        left += !row.hidden;
      });
      count.textContent = `${left.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
    };
    search.addEventListener("input", apply);
    choices.forEach((choice) => choice.addEventListener("click", () => {
      choices.forEach((other) => other.setAttribute("aria-pressed", String(other === choice)));
      apply();
    }));
    apply();
  });
})();
