// Short messages in the corner, which never lie over the buttons of a row.

const STAYS_MS = 8000;
const MOST = 3;
const box = document.getElementById("notices");

/**
 * Show a message. `tone` is good, bad, doubt or empty. With `choices` ([label, action] pairs) it stays until one is
 * chosen; else it goes by itself. With `id` it replaces the message of the same id.
 */
export function notice(title, text, tone = "", choices = [], id = "") {
  const element = document.createElement("div");
  element.className = "notice";
  element.dataset.tone = tone;
  if (id) element.dataset.id = id;
  const strong = document.createElement("strong");
  strong.textContent = title;
  const body = document.createElement("div");
  body.textContent = text;
  element.append(strong, body);
  if (choices.length) element.append(buttons(element, choices));
  else setTimeout(() => element.remove(), STAYS_MS);

  const before = id && [...box.children].find((other) => other.dataset.id === id);
  if (before) before.replaceWith(element);
  else box.append(element);
  const passing = [...box.children].filter((other) => !other.querySelector("button"));
  for (const old of passing.slice(0, Math.max(0, passing.length - MOST))) old.remove();
}

function buttons(element, choices) {
  const row = document.createElement("div");
  row.className = "pair";
  for (const [label, action] of choices) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", () => {
      element.remove();
      action();
    });
    row.append(button);
  }
  return row;
}
