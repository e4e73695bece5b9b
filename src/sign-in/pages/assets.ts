import type { PageResult } from './page.ts'

/** How long a browser may use them without asking, in seconds. */
const MAX_AGE = 300

/** The style sheet of all pages: readable on a phone, and in the colors that the user prefers. */
export function styleSheet(): PageResult {
  return asset('text/css; charset=utf-8', STYLE)
}

/** The icon of all pages. */
export function icon(): PageResult {
  return asset('image/svg+xml', ICON)
}

function asset(type: string, body: string): PageResult {
  return {
    code: 200,
    headers: [
      ...['Content-Type', type],
      ...['Cache-Control', `public, max-age=${MAX_AGE}`],
      ...['Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'"],
      ...['Cross-Origin-Resource-Policy', 'same-origin'],
    ],
    body,
  }
}

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#2457c5" d="M2 15V7a6 6 0 0 1 12 0v8h-3V7a3 3 0 0 0-6 0v8z"/></svg>
`

const STYLE = `:root {
  color-scheme: light dark;
  --text: #1b1f27;
  --muted: #555c6b;
  --page: #f4f5f8;
  --surface: #ffffff;
  --line: #d6dae2;
  --accent: #1f4fb8;
  --on-accent: #ffffff;
  --code: #eceff5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e8eaf0;
    --muted: #a9b1c2;
    --page: #12151b;
    --surface: #1b1f28;
    --line: #363d4b;
    --accent: #8fb2ff;
    --on-accent: #10182b;
    --code: #262c38;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0;
  background: var(--page);
  color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif;
}
header, main { max-width: 44rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 1.25rem; }
main {
  margin-bottom: 2rem;
  padding-top: 1.5rem;
  padding-bottom: 1.5rem;
  background: var(--surface);
  border: 1px solid var(--line);
  border-radius: 0.75rem;
}
@media (max-width: 46rem) {
  main { margin: 0; border-width: 1px 0; border-radius: 0; }
}
.brand { margin: 0 0 1rem; font-weight: 600; color: var(--muted); }
h1 { margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 2rem 0 0.5rem; font-size: 1.15rem; }
p { margin: 0 0 0.9rem; }
a, summary { color: var(--accent); }
summary { margin: 0 0 0.9rem; cursor: pointer; }
.name, .address, .groups li { overflow-wrap: anywhere; }
.hint { color: var(--muted); font-size: 0.9rem; }
.clusters .address { color: var(--muted); }
.option { white-space: nowrap; }
.problem { border-left: 0.25rem solid var(--accent); padding-left: 0.75rem; overflow-wrap: anywhere; }
code, pre { font-family: ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace; font-size: 0.9em; }
code { overflow-wrap: anywhere; }
pre {
  margin: 0 0 1rem;
  padding: 0.8rem 1rem;
  background: var(--code);
  border: 1px solid var(--line);
  border-radius: 0.5rem;
  white-space: pre-wrap;
}
pre code { user-select: all; font-size: 1em; }
.button, button {
  display: inline-block;
  min-height: 2.75rem;
  padding: 0.6rem 1.25rem;
  border: 1px solid var(--accent);
  border-radius: 0.5rem;
  background: var(--accent);
  color: var(--on-accent);
  font: inherit;
  font-weight: 600;
  text-decoration: none;
  cursor: pointer;
}
label { display: block; margin: 0.9rem 0 0.3rem; }
input[type=file], textarea {
  width: 100%;
  padding: 0.6rem 0.75rem;
  border: 1px solid var(--muted);
  border-radius: 0.5rem;
  background: var(--surface);
  color: var(--text);
  font: inherit;
}
textarea { font-family: ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace; font-size: 0.85rem; resize: vertical; }
textarea::placeholder { color: var(--muted); opacity: 1; }
button { margin: 1.5rem 0 0.9rem; background: transparent; color: var(--accent); }
.button:focus-visible, button:focus-visible, input:focus-visible, textarea:focus-visible, summary:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
ul { margin: 0; padding: 0; list-style: none; }
.clusters li { padding: 0.5rem 0; border-top: 1px solid var(--line); }
.clusters li .address { display: block; font-size: 0.9rem; }
dl { margin: 0; }
dt { margin-top: 0.8rem; color: var(--muted); font-size: 0.9rem; }
dd { margin: 0; }
dd p { margin: 0.4rem 0 0; }
.groups { display: flex; flex-wrap: wrap; gap: 0.4rem; }
.groups li { padding: 0.1rem 0.6rem; background: var(--code); border: 1px solid var(--line); border-radius: 0.4rem; }
`
