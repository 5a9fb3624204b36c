/** The page's script run on a document of a few lines: what it shows of what the server answers. */
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { page } from '../../src/web/page.ts';

class Element {
  readonly tag: string;
  className = '';
  children: Element[] = [];
  #own = '';

  constructor(tag: string) {
    this.tag = tag;
  }

  get textContent(): string {
    return this.#own + this.children.map((child) => child.textContent).join(' ');
  }

  set textContent(text: string) {
    this.children = [];
    this.#own = text;
  }

  append(...children: Element[]): void {
    this.children.push(...children);
  }

  replaceChildren(...children: Element[]): void {
    this.#own = '';
    this.children = children;
  }
}

/** Runs the script once against these answers; a missing answer is a server that is away. */
async function show(answers: Readonly<Record<string, unknown>>): Promise<(id: string) => Element> {
  const ids = [...page.matchAll(/id="(\w+)"/g)].map((match) => match[1]);
  const elements = new Map(ids.map((id) => [id, new Element(id)]));
  const script = /<script>([\s\S]*)<\/script>/.exec(page)?.[1] ?? '';
  await new Promise<void>((resolve) => {
    const fetch = async (path: string) => {
      if (!(path in answers)) throw new Error('away');
      return { json: async () => structuredClone(answers[path]) };
    };
    const document = {
      hidden: false,
      title: '',
      getElementById: (id: string) => elements.get(id) ?? null,
      createElement: (tag: string) => new Element(tag),
    };
    // The script asks for its next turn when it is done with this one.
    const setTimeout = () => resolve();
    runInNewContext(script, { document, fetch, setTimeout, AbortSignal });
  });
  return (id) => elements.get(id)!;
}

describe('the status page', () => {
  it('shows site, readiness, tasks, flow and outbox', async () => {
    const task = {
      state: 'live',
      verdicts: 12_345,
      rate: 51.25,
      accuracy: 0.9871,
      latencyMs: { p50: 0.4, p95: 2, p99: 123.4 },
      learned: 200,
      dead: 3,
    };
    const get = await show({
      '/ready': { ok: true, reasons: [] },
      '/api/status': {
        site: 'north-gate',
        version: '0.1.0',
        backend: 'cpu',
        inFlight: { events: 7, bytes: 2048 },
        outbox: { core: { messages: 5, bytes: 3 * 1024 ** 2 } },
        tasks: { spam: task },
      },
    });
    expect(get('site').textContent).toBe('north-gate');
    expect(get('about').textContent).toBe('sluice 0.1.0 · cpu');
    expect([get('ready').textContent, get('ready').className]).toEqual(['● ready', 'ok']);
    const cards = get('cards').textContent;
    for (const text of [
      'spam · live',
      '12,345',
      '51.3/s',
      '98.7 %',
      '0.4 / 123',
      '200',
      'events in flight 7',
      '2.0 KiB',
      'core 5 waiting · 3.0 MiB',
    ])
      expect(cards).toContain(text);
  });

  it('says what is not ready, and invents no figure that it was not given', async () => {
    const get = await show({
      '/ready': { ok: false, reasons: ['source mail: not connected'] },
      '/api/status': { site: 's', tasks: { spam: { accuracy: null } } },
    });
    expect([get('ready').textContent, get('ready').className]).toEqual(['▲ not ready', 'bad']);
    expect(get('reasons').textContent).toBe('source mail: not connected');
    expect(get('cards').textContent).toContain('accuracy no labels yet');
    expect(get('cards').textContent).not.toMatch(/NaN|undefined|null/);
  });

  it('says so when the gateway does not answer', async () => {
    const get = await show({});
    expect(get('ready').textContent).toBe('▲ not ready');
    expect(get('reasons').textContent).toContain('does not answer');
  });
});
