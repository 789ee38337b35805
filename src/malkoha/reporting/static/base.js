// What all parts of the page need: making elements, showing hostile text, unpacking blocks, saying times.

const $ = (id) => document.getElementById(id);

/** Characters that cannot be seen, or that turn or hide others. */
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;
const SIMPLE = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escapeOf(character) {
  if (SIMPLE[character]) return SIMPLE[character];
  const code = character.codePointAt(0);
  const hex = code.toString(16);
  return code < 0x100 ? "\\x" + hex.padStart(2, "0") : code < 0x10000 ? "\\u" + hex.padStart(4, "0") : "\\U" + hex.padStart(8, "0");
}

/** Turn a text of the sample into nodes: itself, and marked escapes for what must not act or hide. */
function shown(text) {
  const nodes = [];
  let last = 0;
  for (const match of String(text).matchAll(HIDDEN)) {
    if (match.index > last) nodes.push(text.slice(last, match.index));
    const previous = nodes.at(-1);
    if (match.index === last && previous instanceof Element) previous.textContent += escapeOf(match[0]);
    else nodes.push(h("i", { class: "esc" }, escapeOf(match[0])));
    last = match.index + match[0].length;
  }
  if (last < text.length) nodes.push(text.slice(last));
  return nodes;
}

const plainText = (text) => String(text).replace(HIDDEN, escapeOf);

/** Make an element; attributes that are null or false are left out, children may be nested lists. */
function h(tag, attributes, ...children) {
  return dress(document.createElement(tag), attributes, children);
}

function s(tag, attributes, ...children) {
  return dress(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function dress(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Unpack a block: Base64, gzip, JSON. */
async function unpack(id) {
  const element = $("d-" + id);
  if (!element) return null;
  const binary = atob(element.textContent);
  const bytes = new Uint8Array(binary.length);
  for (let position = 0; position < binary.length; position++) bytes[position] = binary.charCodeAt(position);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

const whole = (value) => Number(value).toLocaleString("en-US");

/** Say a duration that is given in microseconds. */
function took(micros) {
  if (micros === null || micros === undefined) return "";
  const size = Math.abs(micros);
  if (size < 1000) return micros + " µs";
  if (size < 1e6) return three(micros / 1e3) + " ms";
  if (size < 60e6) return three(micros / 1e6) + " s";
  const seconds = Math.round(micros / 1e6);
  if (seconds < 3600) return Math.floor(seconds / 60) + " min " + (seconds % 60) + " s";
  return Math.floor(seconds / 3600) + " h " + Math.floor((seconds % 3600) / 60) + " min";
}

const three = (value) => String(Number(value.toPrecision(3)));

/** Say a moment in seconds since the first process was seen. */
const moment = (micros) => (micros / 1e6).toFixed(6);

function say(text) {
  $("said").textContent = text;
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "sr", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say("Copied");
}

/** Call a function once events have paused. */
function calmly(action, delay = 90) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, delay);
  };
}
