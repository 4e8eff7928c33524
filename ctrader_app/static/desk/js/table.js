// Tables whose rows stay the same elements while their figures change: a button does not vanish under the finger.

export class LiveTable {
  /**
   * `columns` are {label, text(row), tone?(row), class?}; `actions` are {label, run(row, button)}, and `id(row)` tells
   * rows apart.
   */
  constructor(table, { columns, actions, id }) {
    this.table = table;
    this.body = table.tBodies[0];
    this.columns = columns;
    this.actions = actions;
    this.id = id;
    this.rows = new Map();
  }

  show(rows) {
    const wanted = new Set(rows.map(this.id));
    for (const [id, line] of this.rows) {
      if (!wanted.has(id)) {
        line.element.remove();
        this.rows.delete(id);
      }
    }
    rows.forEach((row, index) => {
      const line = this.rows.get(this.id(row)) ?? this.#make(row);
      line.row = row;
      this.#fill(line);
      if (this.body.children[index] !== line.element) this.body.insertBefore(line.element, this.body.children[index] ?? null);
    });
    this.table.hidden = rows.length === 0;
  }

  #make(row) {
    const element = document.createElement("tr");
    element.dataset.id = this.id(row);
    const line = { row, element, cells: [] };
    for (const column of this.columns) {
      const cell = element.insertCell();
      cell.className = column.class ?? "";
      cell.dataset.label = column.label;
      line.cells.push(cell);
    }
    if (this.actions.length) element.insertCell().className = "do";
    for (const action of this.actions) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "quiet";
      button.textContent = action.label;
      button.addEventListener("click", () => action.run(line.row, button));
      element.lastElementChild.append(button);
    }
    this.rows.set(this.id(row), line);
    return line;
  }

  #fill(line) {
    this.columns.forEach((column, index) => {
      const cell = line.cells[index];
      const text = column.text(line.row);
      if (cell.textContent !== text) cell.textContent = text;
      column.decorate?.(cell, line.row);
    });
  }
}
