/**
 * The status page: one self-contained HTML document, no host but its own, readable on a phone, in light and
 * in dark, and without colour. It asks `/ready` and `/api/status` every two seconds and says so when the
 * gateway no longer answers. Text from outside is set as text, never as HTML.
 * Built once at start; `csp` allows exactly its own style and script.
 */
import { createHash } from 'node:crypto';

const style = `
:root{color-scheme:light dark;--bg:#f6f7f8;--card:#fff;--ink:#16191d;--soft:#5a6470;--line:#d9dee3;--ok:#0b6b3a;--bad:#a3221b}
@media(prefers-color-scheme:dark){:root{--bg:#101316;--card:#181c20;--ink:#e8ebee;--soft:#9aa5b1;--line:#2c333a;--ok:#5fd394;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,sans-serif;font-variant-numeric:tabular-nums}
main{max-width:60rem;margin:0 auto;padding:1rem}
header{display:flex;flex-wrap:wrap;gap:.25rem 1rem;align-items:baseline;justify-content:space-between}
h1{font-size:1.25rem;margin:.25rem 0}
h2{font-size:1rem;margin:0 0 .5rem}
section{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.75rem 1rem;margin:.75rem 0}
.soft{color:var(--soft)}
.ok{color:var(--ok);font-weight:600}
.bad{color:var(--bad);font-weight:600}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(8.5rem,1fr));gap:.75rem;margin:0}
dt{color:var(--soft);font-size:.8125rem}
dd{margin:0;font-size:1.125rem;overflow-wrap:anywhere}
ul{margin:.25rem 0 0;padding-left:1.25rem;overflow-wrap:anywhere}
a{color:inherit}
`;

const script = `
'use strict';
const $ = (id) => document.getElementById(id);
const make = (tag, text, cls) => {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (cls) node.className = cls;
  return node;
};
const isNumber = (x) => typeof x === 'number' && Number.isFinite(x);
const count = (x) => (isNumber(x) ? x.toLocaleString('en') : '–');
const rate = (x) => (isNumber(x) ? (x >= 100 ? Math.round(x).toLocaleString('en') : x.toFixed(1)) + '/s' : '–');
const ms = (x) => (isNumber(x) ? (x >= 100 ? Math.round(x) : x.toFixed(1)) : '–');
const percent = (x) => (isNumber(x) ? (100 * x).toFixed(1) + ' %' : 'no labels yet');
const bytes = (x) => {
  if (!isNumber(x)) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  while (x >= 1024 && unit < 3) { x /= 1024; unit += 1; }
  return (unit ? x.toFixed(1) : x) + ' ' + units[unit];
};
const figures = (pairs) => {
  const list = make('dl');
  for (const [name, value] of pairs) {
    const box = make('div');
    box.append(make('dt', name), make('dd', value));
    list.append(box);
  }
  return list;
};
const card = (title, pairs) => {
  const box = make('section');
  box.append(make('h2', title), figures(pairs));
  return box;
};
const latency = (task) => (task.latencyMs ? ms(task.latencyMs.p50) + ' / ' + ms(task.latencyMs.p99) : '–');
const taskCard = (name, task) => card(name + (task.state ? ' · ' + task.state : ''), [
  ['verdicts', count(task.verdicts)],
  ['rate', rate(task.rate)],
  ['accuracy', percent(task.accuracy)],
  ['ms p50 / p99', latency(task)],
  ['labels learned', count(task.learned)],
  ['dead letters', count(task.dead)],
  ...(isNumber(task.inFlight) ? [['in flight', count(task.inFlight)]] : []),
]);
const showReady = (ready) => {
  const line = $('ready');
  line.textContent = ready.ok ? '● ready' : '▲ not ready';
  line.className = ready.ok ? 'ok' : 'bad';
  $('reasons').replaceChildren(...(ready.reasons || []).map((reason) => make('li', reason)));
};
const showStatus = (status) => {
  if (status.site) { $('site').textContent = status.site; document.title = status.site + ' · Sluice'; }
  $('about').textContent = [status.version && 'sluice ' + status.version, status.backend].filter(Boolean).join(' · ');
  const tasks = Object.entries(status.tasks || {}).map(([name, task]) => taskCard(name, task));
  const outbox = Object.entries(status.outbox || {}).map(([sink, box]) =>
    [sink, count(box.messages) + ' waiting · ' + bytes(box.bytes)]);
  const flow = status.inFlight
    ? [['events in flight', count(status.inFlight.events)], ['bytes in flight', bytes(status.inFlight.bytes)]]
    : [];
  const boxes = [['flow', flow], ['outbox', outbox]].filter(([, pairs]) => pairs.length > 0);
  $('cards').replaceChildren(...tasks, ...boxes.map(([title, pairs]) => card(title, pairs)));
};
const ask = async (path) => (await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(5000) })).json();
const refresh = async () => {
  try {
    if (!document.hidden) {
      const [ready, status] = await Promise.all([ask('/ready'), ask('/api/status')]);
      showReady(ready);
      showStatus(status);
      $('seen').textContent = '· as of ' + new Date().toLocaleTimeString();
    }
  } catch {
    showReady({ ok: false, reasons: ['The gateway does not answer; the figures below are the last ones seen.'] });
  }
  setTimeout(refresh, 2000);
};
refresh();
`;

const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** Content-Security-Policy of the page (and, being the strictest, of every answer). */
export const csp = [
  "default-src 'none'",
  `style-src ${hash(style)}`,
  `script-src ${hash(script)}`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

export const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sluice</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<main>
<header>
<h1 id="site">Sluice</h1>
<span id="ready" role="status">…</span>
</header>
<div class="soft"><span id="about"></span> <span id="seen"></span></div>
<ul id="reasons" class="bad"></ul>
<div id="cards"><noscript>This page needs JavaScript; the same figures are at <a href="/api/status">/api/status</a> and <a href="/metrics">/metrics</a>.</noscript></div>
<footer class="soft"><a href="/api/status">status as JSON</a> · <a href="/metrics">Prometheus metrics</a> · <a href="/ready">readiness</a></footer>
</main>
<script>${script}</script>
</body>
</html>
`;
