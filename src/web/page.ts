/**
 * The dashboard's document: landmarks and headings, filled by the modules under `/client/`. Its policy allows scripts
 * and styles of this server alone, nothing inline, no other host, and no text to become HTML (trusted types). Built
 * once at start; holds no data.
 */

/** Content-Security-Policy of the page and of every other answer. */
export const csp = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

const head = (title: string, more = ''): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="data:,">
${more}</head>
`;

const section = (id: string, title: string, inside: string, tools = ''): string => `
<section id="${id}" class="card" aria-labelledby="${id}-title" tabindex="-1">
<div class="card-head"><h2 id="${id}-title">${title}</h2>${tools}</div>
${inside}
</section>`;

const chart = (id: string, title: string): string =>
  `<figure class="chart" id="chart-${id}"><figcaption><span class="chart-title">${title}</span> <span class="legend" id="legend-${id}"></span></figcaption><div class="plot" role="img" aria-label="${title}" id="plot-${id}"></div></figure>`;

const ranges = `<div class="switch" role="group" aria-label="Time range"><button type="button" data-do="range" data-arg="hour" aria-pressed="true">1 h</button><button type="button" data-do="range" data-arg="day" aria-pressed="false">24 h</button></div>`;

const hold = `<button type="button" class="quiet" id="hold" data-do="hold" aria-pressed="false">hold</button>`;

const search = `<form id="search" role="search" autocomplete="off"><label for="q" class="sr">Find an event by id, Message-ID, device or time</label><input id="q" name="q" type="search" maxlength="400" placeholder="find: event id, Message-ID, device, time 14:07" spellcheck="false"><button type="submit">find</button></form>
<div id="found" aria-live="polite"></div>`;

const signIn = `<dialog id="sign-in" aria-labelledby="sign-in-title"><form id="sign-in-form"><h2 id="sign-in-title">Sign in</h2>
<p>Labels, approvals and replays need the token that stands under <code>http.token</code> in the configuration. It is kept in this tab until you close it.</p>
<label for="token">Token</label><input id="token" type="password" autocomplete="current-password" maxlength="4096" required>
<div class="buttons"><button type="button" data-do="close-dialog">cancel</button><button type="submit" class="main">sign in</button></div></form></dialog>`;

const span = `<dialog id="span" aria-labelledby="span-title"><form id="span-form"><h2 id="span-title">Label a span</h2>
<p>Every reading of the device between the two times gets the label; the model learns from them in order.</p>
<label for="span-device">Device</label><input id="span-device" required maxlength="512">
<label for="span-from">From</label><input id="span-from" type="datetime-local" step="1" required>
<label for="span-to">To</label><input id="span-to" type="datetime-local" step="1" required>
<label for="span-label">Label</label><select id="span-label"></select>
<div class="buttons"><button type="button" data-do="close-dialog">cancel</button><button type="submit" class="main">label</button></div></form></dialog>`;

const sure = `<dialog id="sure" aria-labelledby="sure-title"><form id="sure-form"><h2 id="sure-title"></h2><p id="sure-text"></p>
<label for="sure-reason" id="sure-reason-label">Why (for the audit log)</label><input id="sure-reason" maxlength="400">
<div class="buttons"><button type="button" data-do="close-dialog">cancel</button><button type="submit" class="main" id="sure-go">go</button></div></form></dialog>`;

export const page = `${head(
  'Sluice',
  '<link rel="stylesheet" href="/client/uplot.css">\n<link rel="stylesheet" href="/client/style.css">\n<script type="module" src="/client/main.js"></script>\n',
)}<body>
<a class="skip" href="#needs">Skip to what needs you</a>
<header class="top">
<div class="brand"><h1 id="site">Sluice</h1><span id="about" class="soft"></span></div>
<div id="states" class="states"><span id="ready" class="badge" role="status">…</span><span id="fleet-badge" class="badge" hidden></span><span id="live" class="badge" role="status">connecting</span></div>
<div class="controls"><div id="tasks" class="switch" role="group" aria-label="Task"></div><label class="sr" for="sites">Site</label><select id="sites" hidden></select><button type="button" id="sign" data-do="sign" class="quiet">sign in</button></div>
</header>
<div id="stale" role="alert" hidden></div>
<main>
<noscript>This page needs JavaScript; the same figures are at <a href="/api/overview">/api/overview</a> and <a href="/metrics">/metrics</a>.</noscript>
${section('needs', 'Needs you <span id="needs-count" class="pill" hidden></span>', '<p id="off" class="soft note" hidden></p><ul id="needs-list" class="needs"></ul>')}
<nav id="strip" aria-label="Stages"><ol id="stages" class="stages"></ol></nav>
<div class="grid">
${section('quality', 'Quality', `${chart('quality', 'Right verdicts')}<p id="quality-note" class="soft note"></p>`, ranges)}
${section('flow', 'Flow', `${chart('rate', 'Throughput')}${chart('latency', 'Latency')}${chart('waiting', 'Waiting')}`)}
</div>
${section('verdicts', 'Verdicts', `<p id="good" class="good-mail" hidden></p>${search}<div id="recent"></div>`, hold)}
<div class="grid halves">
${section('models', 'Models and roll-outs', '<div id="models-body"></div>')}
${section('dead', 'Dead letters', '<div id="dead-body"></div>', '<div id="dead-tools" class="tools"></div>')}
</div>
<div class="grid halves">
${section('fleet', 'Gateways', '<div id="fleet-body" tabindex="0" role="group" aria-label="Gateways"></div>')}
${section('audit', 'Audit log', '<div id="audit-body"></div>')}
</div>
</main>
<footer class="soft"><a href="/api/overview">JSON</a><a href="/metrics">Prometheus</a><a href="/ready">readiness</a><span id="seen"></span></footer>
<div id="toast" role="status" aria-live="polite"></div>
${signIn}
${span}
${sure}
</body>
</html>
`;

/** Where the page was not built. */
export const unbuilt = `${head('Sluice')}<body><main><h1>Sluice</h1>
<p>The dashboard was not built. <code>npm start</code> builds it.</p>
<p>The figures are at <a href="/api/overview">/api/overview</a> and <a href="/metrics">/metrics</a>.</p></main></body>
</html>
`;

/** Of a process that shows none. */
export const plain = `${head('Sluice')}<body><main><h1>Sluice</h1>
<p>This process shows no dashboard. Its figures are at <a href="/api/status">/api/status</a> and <a href="/metrics">/metrics</a>.</p></main></body>
</html>
`;
