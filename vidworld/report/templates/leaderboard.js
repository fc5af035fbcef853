// Sorts and filters the rows that are there; without this script the whole table is shown in its own order.
const form = document.querySelector(".filters");
const body = document.querySelector(".board tbody");
const rows = [...body.rows];
const heads = [...document.querySelectorAll(".board thead th")];
const columns = heads.map((head) => head.dataset.column);
const filters = [...form.querySelectorAll("[data-filter]")];
const sortBox = form.querySelector("[data-sort]");
const find = form.querySelector("[data-find]");
let sorted = { column: null, down: false };

function show() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    const fits = filters.every((box) => !box.value || row.dataset[box.dataset.filter] === box.value)
      && words.every((word) => row.dataset.text.includes(word));
    row.hidden = !fits;
    shown += fits;
  }
  form.querySelector("output").textContent = `${shown} of ${rows.length} rows`;
  document.querySelector(".nothing").hidden = shown > 0;
}

function sort(column, down) {
  sorted = { column, down };
  const at = columns.indexOf(column);
  const keys = new Map(rows.map((row) => [row, row.cells[at]?.dataset.key])); // no column: the order of the page
  const numbers = column === "value" || column === "n";
  const compare = (a, b) => {
    const [x, y] = [keys.get(a), keys.get(b)];
    if (!numbers) return x.localeCompare(y, "en", { numeric: true }) * (down ? -1 : 1);
    const [m, n] = [parseFloat(x), parseFloat(y)];
    if (Number.isNaN(m) || Number.isNaN(n)) return Number.isNaN(m) - Number.isNaN(n); // what was not measured comes last
    return down ? n - m : m - n;
  };
  body.append(...(column ? [...rows].sort(compare) : rows));
  heads.forEach((head, i) => head.setAttribute("aria-sort", i === at ? (down ? "descending" : "ascending") : "none"));
  if (column) sortBox.value = column;
}

heads.forEach((head) => head.querySelector("button").addEventListener("click", () => {
  const column = head.dataset.column;
  sort(column, sorted.column === column && !sorted.down);
}));
sortBox.addEventListener("change", () => sort(sortBox.value, false));
form.addEventListener("input", show);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(() => { sort(null, false); show(); }));
form.hidden = false;
show();
