/**
 * Pictures of the dashboard with the made-up feed, to be looked at: `node dist/test/web/shots.js FOLDER`. They go into
 * the README.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ensureChromium } from '#servers/chromium.mjs';
import { Browser, type Screen } from './chromium.ts';
import { Feed } from './feed.ts';
import { compilePage, startSite } from './site.ts';

const TOKEN = 'a-token-of-the-demo';
const MINUTES = 62;

interface Shot {
  readonly name: string;
  readonly screen: Screen;
  readonly minutes?: number;
  readonly task?: string;
}

const shots: readonly Shot[] = [
  { name: 'dash-desktop', screen: { width: 1280, height: 900 } },
  { name: 'dash-phone', screen: { width: 390, height: 844, phone: true } },
  { name: 'dash-dark', screen: { width: 1280, height: 900, dark: true } },
  { name: 'dash-mail', screen: { width: 1280, height: 900 }, task: 'spam' },
  { name: 'dash-trial', screen: { width: 1280, height: 900 }, minutes: 46 },
  { name: 'dash-empty', screen: { width: 1280, height: 900 }, minutes: 0 },
];

async function take(browser: Browser, client: string, folder: string, shot: Shot): Promise<void> {
  const feed = new Feed(Date.now() - (shot.minutes ?? MINUTES) * 60_000);
  feed.play((shot.minutes ?? MINUTES) * 60_000);
  const site = await startSite(client, { token: TOKEN, feed });
  const page = await browser.page(shot.screen);
  try {
    await page.goto(`${site.url}#token=${TOKEN}`);
    await page.until('document.body?.dataset.drawn');
    if (shot.task) {
      await page.click(`[data-do=task][data-arg=${shot.task}]`);
      await page.until(`document.querySelector('#stages')?.innerText.includes('label')`);
    }
    await new Promise((resolve) => setTimeout(resolve, 600));
    writeFileSync(path.join(folder, `${shot.name}.png`), await page.shot());
    for (const complaint of page.complaints) process.stderr.write(`${shot.name}: ${complaint}\n`);
  } finally {
    await page.close();
    await site.web.close();
  }
}

const folder = process.argv[2] ?? 'shots';
mkdirSync(folder, { recursive: true });
const found = await ensureChromium();
if ('missing' in found) throw new Error(found.missing);
const browser = await Browser.start(found.path);
try {
  const client = await compilePage(path.join('.cache', 'page'));
  for (const shot of shots) await take(browser, client, folder, shot);
} finally {
  await browser.close();
}
