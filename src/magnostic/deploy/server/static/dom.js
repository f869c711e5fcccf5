// Elements, always made from text: nothing that was sent is ever read as HTML.

export function make(kind, attributes, ...content) {
  const element = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...content);
  return element;
}

export function show(element, whether) {
  element.hidden = !whether;
}
