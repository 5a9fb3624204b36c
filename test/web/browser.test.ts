/** The dashboard in a real Chromium, over real HTTP, with the made-up feed behind it. */
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { ensureChromium } from '#servers/chromium.mjs';
import '../servers/global.ts';
import type { WebOptions } from '../../src/web/server.ts';
import { Browser, type Page, type Screen } from './chromium.ts';
import { Feed } from './feed.ts';
import { compilePage, type Site, startSite } from './site.ts';

const TOKEN = 'correct-horse-battery-staple';
const MINUTE = 60_000;
const chromium = await ensureChromium();
const program = 'path' in chromium ? chromium.path : null;
if (!program && 'missing' in chromium)
  process.stderr.write(`SKIPPED: dashboard in a browser: ${chromium.missing}\n`);

let browser: Browser;
let client = '';
const sites: Site[] = [];
const pages: Page[] = [];

interface Opened {
  readonly page: Page;
  readonly site: Site;
  readonly feed: Feed;
}

/** A page that has drawn its first picture. */
async function visit(
  options: Partial<WebOptions> & { feed?: Feed; hash?: string; screen?: Screen; minutes?: number } = {},
): Promise<Opened> {
  const { feed = new Feed(), hash = '', screen, minutes = 61, ...rest } = options;
  feed.play(minutes * MINUTE);
  const site = await startSite(client, { token: TOKEN, feed, ...rest });
  sites.push(site);
  const page = await browser.page(screen);
  pages.push(page);
  await page.goto(site.url + hash);
  await page.until('document.body?.dataset.drawn');
  return { page, site, feed };
}

describe.skipIf(!program)('the dashboard in Chromium', () => {
  beforeAll(async () => {
    [browser, client] = await Promise.all([
      Browser.start(program!),
      compilePage(path.join(inject('sluiceRun').folder, `page-${process.pid}`)),
    ]);
  });
  afterEach(async () => {
    for (const page of pages.splice(0)) await page.close();
    for (const { web } of sites.splice(0)) await web.close();
  });
  afterAll(() => browser?.close());

  it('loads without a complaint and asks no other host', async () => {
    const { page, site } = await visit();
    await page.until('document.querySelectorAll("canvas").length === 4');
    expect(page.complaints).toEqual([]);
    expect(page.requests.filter((url) => !url.startsWith(site.url) && !url.startsWith('data:'))).toEqual([]);
    expect(page.requests.length).toBeGreaterThan(10);
  });

  it('shows demands first, then the stages, quality with its marks, flow, verdicts, and the rest', async () => {
    const { page } = await visit();
    const order = await page.ask<string[]>(
      '[...document.querySelectorAll("main section, main nav")].map((e) => e.id)',
    );
    expect(order).toEqual([
      'needs',
      'strip',
      'quality',
      'flow',
      'verdicts',
      'models',
      'dead',
      'fleet',
      'audit',
    ]);
    expect(await page.text('#needs-list li')).toMatch(/press-07 · vibration slope drifts/);
    expect(
      await page.ask('[...document.querySelectorAll(".stage-name")].map((e) => e.textContent).join(" ")'),
    ).toBe('collect prepare train test deploy watch');
    expect(await page.text('#stages')).toMatch(/v2 2\/2\s+on every gateway/);
    expect(await page.text('#quality-note')).toMatch(/▲ drift of log-loss at north-gate/);
    expect(await page.text('#legend-quality')).toMatch(/measured 9\d\.\d %/);
    const words = await page.ask<string>(
      'document.getElementById("plot-quality").getAttribute("aria-label")',
    );
    expect(words).toMatch(/^Last hour: measured now 9\d\.\d %, lowest 8\d\.\d %/);
    // Something is drawn: the canvas is not of one colour.
    const drawn = await page.ask<number>(
      '(() => { const c = document.querySelector("#plot-quality canvas"); const d = new Uint32Array(c.getContext("2d").getImageData(0, 0, c.width, c.height).data.buffer); return new Set(d).size })()',
    );
    expect(drawn).toBeGreaterThan(10);
    expect(await page.ask<number>('document.querySelectorAll("#recent tbody tr").length')).toBe(20);
    await page.until('document.querySelector("#recent .why")?.textContent.includes("vibration")');
    for (const [id, text] of [
      ['models', 'v3'],
      ['dead', 'DECODE_JSON'],
      ['fleet', 'south-yard'],
      ['audit', 'passed the gate'],
    ])
      expect(await page.text(`#${id}`)).toContain(text);
  });

  it('changes by itself when something happens, and keeps the focus where it is', async () => {
    const { page, feed } = await visit({ minutes: 56 });
    expect(await page.text('#needs-list')).not.toContain('log-loss');
    await page.ask('document.querySelector("[data-do=range][data-arg=day]").focus()');
    feed.play(2 * MINUTE);
    await page.until('document.querySelector("#needs-list").innerText.includes("log-loss 0.112 → 0.48")');
    expect(await page.text('#stages')).toContain('1 ▲');
    expect(await page.ask('document.activeElement.dataset.arg')).toBe('day');
    expect(await page.ask('document.title')).toMatch(/^\(\d\) north-gate · Sluice$/);
  });

  it('shows another task, site and range', async () => {
    const { page } = await visit();
    await page.click('[data-do=task][data-arg=spam]');
    await page.until('document.querySelector("#good")?.innerText.includes("confirmed")');
    expect(await page.text('#good')).toBe('Good mail 0 lost of 12,400 confirmed (≤ 0.024 %, 95 %)');
    expect(await page.text('#recent')).toContain('‹masked›');
    // What becomes of a mail stands beside its label, with the reason to point at.
    expect(await page.text('#recent')).toContain('tagged');
    expect(await page.ask<string>('document.querySelector("#recent .action").title')).not.toBe('null');
    await page.click('[data-do=range][data-arg=day]');
    await page.until(
      'document.querySelector("#plot-quality").getAttribute("aria-label").startsWith("Last 24 hours")',
    );
    await page.ask(
      '(() => { const s = document.getElementById("sites"); s.value = "south-yard"; s.dispatchEvent(new Event("change")) })()',
    );
    await page.until(
      '[...document.querySelectorAll("#recent .site")].length > 0 && [...document.querySelectorAll("#recent .site")].every((e) => e.textContent === "south-yard")',
    );
    expect(page.complaints).toEqual([]);
  });

  it('takes a token out of the address, gives a label with one click and remembers it', async () => {
    const { page, feed } = await visit({ hash: `#token=${TOKEN}` });
    expect(await page.ask('location.hash')).toBe('');
    expect(page.requests.filter((url) => url.includes(TOKEN) && !url.includes('#'))).toEqual([]);
    await page.click('#recent tbody tr:nth-child(2) .labels button:last-child');
    await page.until('document.querySelector("#recent .given")');
    expect(feed.posted).toEqual([
      {
        what: 'feedback',
        body: { task: 'machine', event: expect.stringMatching(/^machine\//), label: 'fault' },
      },
    ]);
    expect(await page.text('#toast')).toBe('Learned: the label is in the journal.');
    // It outlives the next pictures, which the server makes.
    await page.ask('document.activeElement.blur()');
    await page.click('h1');
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(await page.text('#recent .given')).toBe('✓ fault');
  });

  it('holds the list still under a pointer and on demand, and then goes on', async () => {
    const { page, feed } = await visit();
    const first = () => page.ask<string>('document.querySelector("#recent tbody tr").dataset.key');
    const moves = async () => {
      const before = await first();
      feed.play(MINUTE);
      await new Promise((resolve) => setTimeout(resolve, 700));
      return (await first()) !== before;
    };
    await page.click('#recent tbody .why');
    expect(await moves()).toBe(false);
    await page.click('h1');
    await page.until('!document.querySelector("#recent:hover")');
    await page.click('#hold');
    expect(await page.text('#hold')).toBe('held');
    expect(await moves()).toBe(false);
    await page.click('#hold');
    await page.click('h1');
    expect(await moves()).toBe(true);
  });

  it('asks for the token once, says when it is wrong, and then approves with a reason', async () => {
    const { page, feed } = await visit();
    await page.click('#needs [data-do=model].main');
    await page.until('document.getElementById("sign-in").open');
    await page.type('not-the-token');
    await page.key('Enter');
    await page.until('!document.getElementById("sign-in").open');
    const approve = async () => {
      await page.click('#needs [data-do=model].main');
      await page.until('document.getElementById("sure").open');
      await page.click('#sure-reason');
      await page.type('checked by Kim');
      await page.click('#sure-go');
    };
    await approve();
    await page.until('document.getElementById("sign-in").open');
    expect(await page.text('#toast')).toContain('not accepted');
    expect(feed.posted).toEqual([]);
    await page.type(TOKEN);
    await page.key('Enter');
    await page.until('!document.getElementById("sign-in").open');
    await approve();
    await page.until('!document.querySelector("#needs [data-do=model]")');
    expect(feed.posted).toMatchObject([
      { what: 'promote', body: { task: 'machine', reason: 'checked by Kim' } },
    ]);
    expect(page.complaints.filter((text) => !text.includes('401'))).toEqual([]);
  });

  it('labels a span of a device, with the times of the alarm already there', async () => {
    const { page, feed } = await visit({ hash: `#token=${TOKEN}` });
    const drift = feed.now - 5 * MINUTE;
    await page.click('[data-do=span]');
    await page.until('document.getElementById("span").open');
    expect(await page.ask('document.getElementById("span-device").value')).toBe('press-07');
    await page.ask('(() => { document.getElementById("span-label").value = "fault" })()');
    await page.click('#span-form .main');
    await page.until('document.getElementById("toast").className === "shown"');
    expect(feed.posted).toEqual([
      {
        what: 'feedback',
        body: { task: 'machine', device: 'press-07', label: 'fault', from: drift, to: expect.any(Number) },
      },
    ]);
    const { to } = feed.posted[0].body as { to: number };
    expect(Math.abs(to - feed.now)).toBeLessThan(1_500);
  });

  it('replays a dead letter at once and drops only after a question', async () => {
    const { page, feed } = await visit({ hash: `#token=${TOKEN}` });
    await page.click('#dead-body [data-do=replay]');
    await page.until('document.getElementById("toast").className === "shown"');
    await page.click('#dead-body [data-do=drop]');
    await page.until('document.getElementById("sure").open');
    expect(feed.posted.map(({ what }) => what)).toEqual(['replay']);
    await page.click('#sure-go');
    await page.until('document.querySelectorAll("#dead-body li").length === 2');
    expect(feed.posted).toMatchObject([{ what: 'replay' }, { what: 'drop', body: { ids: ['1042'] } }]);
  });

  it('without a configured token shows buttons disabled, says why, and sends nothing', async () => {
    const { page, feed } = await visit({ token: null });
    expect(await page.text('#off')).toBe('Changes are off: set http.token in the configuration.');
    const all =
      'document.querySelectorAll("[data-do=feedback], [data-do=model], [data-do=drop], [data-do=span]")';
    expect(
      await page.ask(
        `[...${all}].length > 40 && [...${all}].every((b) => b.getAttribute("aria-disabled") === "true" && b.title !== "")`,
      ),
    ).toBe(true);
    await page.click('#recent .labels button');
    await page.until('document.getElementById("toast").className.includes("failed")');
    expect(feed.posted).toEqual([]);
    expect(page.requests.some((url) => url.includes('/api/feedback'))).toBe(false);
  });

  it('finds an event by device and time', async () => {
    const { page } = await visit();
    await page.click('#q');
    await page.type('press-11 14:07');
    await page.key('Enter');
    await page.until('document.querySelector("#found table")');
    expect(await page.text('#found')).toMatch(/1 found\. Around 14:07:00/);
    expect(await page.text('#found tbody')).toMatch(/14:07:00\s+press-11/);
    expect(page.requests.find((url) => url.includes('/api/find'))).toMatch(
      /q=press-11&task=machine&at=\d{13}$/,
    );
    await page.click('[data-do=clear-found]');
    expect(await page.text('#found')).toBe('');
  });

  it('keeps hostile text inert', async () => {
    const bad = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>';
    const feed = new Feed(undefined, {
      site: bad,
      backend: bad,
      tasks: [{ name: bad, kind: 'reading', labels: [bad, 'javascript:window.hurt=1'] }],
    });
    feed.state.window(bad, bad, { from: feed.now - 10_000, to: feed.now, events: 9, verdicts: { [bad]: 9 } });
    const verdict = { event: bad, device: bad, at: feed.now, label: bad, score: 0.9, model: bad };
    feed.state.verdicts(bad, bad, [verdict]);
    feed.state.alarm(bad, { ...feed.alarm('drift', bad, 0, bad), task: bad, features: [bad], detector: bad });
    feed.state.model({ at: feed.now, task: bad, site: bad, name: bad });
    const { page } = await visit({ feed, minutes: 0 });
    expect(await page.text('#recent')).toContain('<img src=x onerror=');
    expect(await page.text('#needs')).toContain('<img src=x onerror=');
    expect(await page.ask('document.querySelectorAll("img, script:not([src])").length')).toBe(0);
    expect(await page.ask('window.hurt === undefined')).toBe(true);
    expect(await page.ask('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
    expect(page.complaints).toEqual([]);
  });

  it('fits a phone: nothing scrolls sideways, fingers find the buttons', async () => {
    const { page } = await visit({ screen: { width: 390, height: 844, phone: true } });
    await page.until('document.querySelectorAll("canvas").length === 4');
    expect(await page.ask('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390);
    const wide = await page.ask<string[]>(
      '[...document.querySelectorAll("main *")].filter((e) => !e.closest(".sr") && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 80))',
    );
    expect(wide).toEqual([]);
    const low = await page.ask<number>(
      'Math.min(...[...document.querySelectorAll("main button")].map((b) => b.getBoundingClientRect().height).filter((h) => h > 0))',
    );
    expect(low).toBeGreaterThanOrEqual(32);
  });

  it('is walked through with the keyboard in reading order, and named for those who do not see', async () => {
    const { page } = await visit();
    const walked: string[] = [];
    for (let i = 0; i < 12; i++) {
      await page.key('Tab');
      walked.push(
        await page.ask<string>(
          '(document.activeElement.getAttribute("aria-label") ?? document.activeElement.innerText.split("\\n")[0]).trim() || document.activeElement.id',
        ),
      );
    }
    expect(walked).toEqual([
      'Skip to what needs you',
      'machine',
      'spam',
      expect.stringMatching(/^all sites|sites$/),
      'sign in',
      'see: press-07 · vibration slope drifts',
      'label span: press-07 · vibration slope drifts',
      'compare: machine v3 waits for approval',
      'approve: machine v3 waits for approval',
      'reject: machine v3 waits for approval',
      'collect',
      'prepare',
    ]);
    const nameless = await page.ask<string[]>(
      '[...document.querySelectorAll("button, input, select, section, table, [role=img]")].filter((e) => !(e.innerText?.trim() || e.ariaLabel || e.labels?.length || e.hasAttribute("aria-labelledby") || e.caption)).map((e) => e.outerHTML.slice(0, 80))',
    );
    expect(nameless).toEqual([]);
    const landmarks =
      '["header", "main", "nav", "footer", "[role=search]"].every((s) => document.querySelector(s))';
    expect(await page.ask(landmarks)).toBe(true);
  });

  it('has contrast in light and in dark', async () => {
    // WCAG 2.2, 1.4.3: the ratio of relative luminances of the texts' colours and what lies behind them.
    const ratios = `(() => {
      const rgb = (c) => c.match(/[\\d.]+/g).map(Number);
      const lum = (c) => { const [r, g, b] = c.map((x) => { x /= 255; return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4 }); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
      const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] === 1) return c.slice(0, 3) } return [255, 255, 255] };
      const all = [...document.querySelectorAll("main *, header *")].filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.nodeValue.trim()) && e.checkVisibility() && !e.closest('[aria-disabled=true]'));
      const ratio = (e) => { const [a, b] = [lum(rgb(getComputedStyle(e).color).slice(0, 3)), lum(behind(e))].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05) };
      return all.filter((e) => ratio(e) < 4.5).map((e) => ratio(e).toFixed(2) + ' ' + e.className + ' ' + e.innerText.slice(0, 40));
    })()`;
    for (const dark of [false, true]) {
      const { page } = await visit({ screen: { width: 1280, height: 900, dark } });
      expect([dark, await page.ask<string[]>(ratios)]).toEqual([dark, []]);
    }
  });

  it('says that it is stale when the server is gone, and comes back by itself', async () => {
    const feed = new Feed();
    const { page, site } = await visit({ feed });
    const { port } = new URL(site.url);
    await site.web.close();
    await page.until('document.documentElement.classList.contains("stale")');
    expect(await page.text('#stale')).toMatch(/^No answer since \d\d:\d\d:\d\d/);
    sites.push(await startSite(client, { token: TOKEN, feed, listen: `127.0.0.1:${port}` }));
    await page.until('document.getElementById("live").innerText === "● live"');
    expect(await page.ask('document.getElementById("stale").hidden')).toBe(true);
  });

  it('that begins with nothing says what to do next', async () => {
    const { page } = await visit({ minutes: 0 });
    expect(await page.text('#needs-list')).toBe(
      'Nothing needs you. machine has seen no event yet: check that its source publishes.',
    );
    expect(await page.text('#recent')).toContain('No verdict of machine yet');
    expect(await page.text('#plot-quality')).toContain('No quality yet');
    expect(await page.ask('/NaN|undefined|null/.test(document.body.innerText)')).toBe(false);
  });
});
