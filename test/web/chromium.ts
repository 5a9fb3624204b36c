/**
 * A real Chromium for tests, spoken to over two pipes (Chrome DevTools Protocol, JSON messages ended by NUL): no port,
 * no package, and the browser ends with its pipes. One page at a time, in a profile of its own that is removed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';

type Params = Readonly<Record<string, unknown>>;
interface Reply {
  readonly id?: number;
  readonly method?: string;
  readonly sessionId?: string;
  readonly params?: Params;
  readonly result?: Params;
  readonly error?: { readonly message: string };
}

const PATIENCE_MS = 15_000;
const FLAGS = [
  '--headless=new',
  '--remote-debugging-pipe',
  '--no-first-run',
  '--no-default-browser-check',
  '--disable-background-networking',
  '--disable-features=Translate,MediaRouter,OptimizationHints,DialMediaRouteProvider',
  '--disable-breakpad',
  '--metrics-recording-only',
  '--no-service-autorun',
  '--password-store=basic',
  '--disable-component-update',
  '--disable-default-apps',
  '--disable-extensions',
  '--disable-sync',
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--hide-scrollbars',
  '--mute-audio',
  // As root (in a container) there is no sandbox to be had.
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
];

export interface Screen {
  readonly width: number;
  readonly height: number;
  readonly phone?: boolean;
  readonly dark?: boolean;
}

export class Browser {
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #ended: Promise<void>;
  readonly #waiting = new Map<
    number,
    { resolve: (result: Params) => void; reject: (error: Error) => void }
  >();
  readonly #listeners = new Set<(reply: Reply) => void>();
  #next = 1;

  private constructor(child: ChildProcess, folder: string) {
    this.#process = child;
    this.#folder = folder;
    this.#ended = new Promise((resolve) => child.once('exit', () => resolve()));
    let rest = '';
    (child.stdio[4] as Readable).setEncoding('utf8').on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\0');
      rest = parts.pop() ?? '';
      for (const part of parts) this.#take(JSON.parse(part) as Reply);
    });
    (child.stdio[3] as Writable).on('error', () => undefined); // it ended; who waits is told by the time-out
  }

  static async start(program: string): Promise<Browser> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-chromium-'));
    const args = [...FLAGS, `--user-data-dir=${folder}`, 'about:blank'];
    const stdio = ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] as const;
    return new Browser(spawn(program, args, { stdio: [...stdio] }), folder);
  }

  /** A fresh page with storage of its own. */
  async page(screen: Screen = { width: 1280, height: 900 }): Promise<Page> {
    const { browserContextId } = await this.send('Target.createBrowserContext');
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank', browserContextId });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, String(sessionId), String(browserContextId));
    await page.begin(screen);
    return page;
  }

  send(method: string, params: Params = {}, sessionId?: string): Promise<Params> {
    const id = this.#next++;
    const answer = new Promise<Params>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`Chromium did not answer ${method}`)), PATIENCE_MS);
      const done = (work: () => void) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        work();
      };
      this.#waiting.set(id, {
        resolve: (result) => done(() => resolve(result)),
        reject: (error) => done(() => reject(error)),
      });
    });
    (this.#process.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return answer;
  }

  listen(listener: (reply: Reply) => void): void {
    this.#listeners.add(listener);
  }

  async close(): Promise<void> {
    await this.send('Browser.close').catch(() => this.#process.kill('SIGKILL'));
    await this.#ended;
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #take(reply: Reply): void {
    const waiting = reply.id === undefined ? undefined : this.#waiting.get(reply.id);
    if (waiting && reply.error) waiting.reject(new Error(reply.error.message));
    else if (waiting) waiting.resolve(reply.result ?? {});
    else for (const listener of this.#listeners) listener(reply);
  }
}

export class Page {
  /** Errors and warnings of the console, exceptions, and what the policy forbade. */
  readonly complaints: string[] = [];
  /** Every address that was asked for. */
  readonly requests: string[] = [];
  readonly #browser: Browser;
  readonly #session: string;
  readonly #context: string;

  constructor(browser: Browser, session: string, context: string) {
    this.#browser = browser;
    this.#session = session;
    this.#context = context;
  }

  async begin(screen: Screen): Promise<void> {
    this.#browser.listen((reply) => {
      if (reply.sessionId === this.#session) this.#note(reply.method ?? '', reply.params ?? {});
    });
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await this.#send(`${domain}.enable`);
    await this.resize(screen);
  }

  async resize({ width, height, phone = false, dark = false }: Screen): Promise<void> {
    const metrics = { width, height, deviceScaleFactor: phone ? 2 : 1, mobile: phone };
    await this.#send('Emulation.setDeviceMetricsOverride', metrics);
    const features = [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }];
    await this.#send('Emulation.setEmulatedMedia', { features });
  }

  #send(method: string, params: Params = {}): Promise<Params> {
    return this.#browser.send(method, params, this.#session);
  }

  #note(method: string, params: Params): void {
    const text = () => JSON.stringify(params).slice(0, 600);
    if (method === 'Network.requestWillBeSent') this.requests.push((params.request as { url: string }).url);
    if (method === 'Runtime.exceptionThrown') this.complaints.push(text());
    if (method === 'Runtime.consoleAPICalled' && ['error', 'warning', 'assert'].includes(String(params.type)))
      this.complaints.push(text());
    const entry = params.entry as { level: string } | undefined;
    if (method === 'Log.entryAdded' && (entry?.level === 'error' || entry?.level === 'warning'))
      this.complaints.push(text());
  }

  async goto(url: string): Promise<void> {
    await this.#send('Page.navigate', { url });
  }

  /** The value of an expression (or of its promise) in the page; it must be JSON. */
  async ask<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.#send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(`in the page: ${JSON.stringify(exceptionDetails).slice(0, 600)}`);
    return (result as { value: T }).value;
  }

  /** Until the expression is true. */
  async until(expression: string, patience = PATIENCE_MS): Promise<void> {
    for (const end = Date.now() + patience; Date.now() < end; ) {
      if (await this.ask<boolean>(`Boolean(${expression})`).catch(() => false)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`in vain waited for: ${expression}`);
  }

  /** The visible text of what a selector finds first. */
  text(selector: string): Promise<string> {
    return this.ask<string>(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ''`);
  }

  /** A click with the mouse, where the middle of the element is. */
  async click(selector: string): Promise<void> {
    const find = `document.querySelector(${JSON.stringify(selector)})`;
    await this.until(find);
    const place = await this.ask<{ x: number; y: number }>(
      `(() => { const e = ${find}; e.scrollIntoView({ block: 'center', behavior: 'instant' }); const r = e.getBoundingClientRect(); return { x: r.x + r.width / 2, y: r.y + r.height / 2 } })()`,
    );
    for (const type of ['mouseMoved', 'mousePressed', 'mouseReleased'])
      await this.#send('Input.dispatchMouseEvent', { type, ...place, button: 'left', clickCount: 1 });
  }

  async key(key: string): Promise<void> {
    const codes: Readonly<Record<string, number>> = { Tab: 9, Enter: 13, Escape: 27 };
    const text = key === 'Enter' ? '\r' : undefined;
    for (const type of ['keyDown', 'keyUp'])
      await this.#send('Input.dispatchKeyEvent', {
        type,
        key,
        code: key,
        windowsVirtualKeyCode: codes[key],
        ...(type === 'keyDown' ? { text } : {}),
      });
  }

  async type(text: string): Promise<void> {
    await this.#send('Input.insertText', { text });
  }

  /** PNG of the whole page. */
  async shot(): Promise<Uint8Array> {
    const { cssContentSize } = await this.#send('Page.getLayoutMetrics');
    const { width, height } = cssContentSize as { width: number; height: number };
    const clip = { x: 0, y: 0, width, height, scale: 1 };
    const { data } = await this.#send('Page.captureScreenshot', { captureBeyondViewport: true, clip });
    return Buffer.from(String(data), 'base64');
  }

  async close(): Promise<void> {
    await this.#browser.send('Target.disposeBrowserContext', { browserContextId: this.#context });
  }
}
