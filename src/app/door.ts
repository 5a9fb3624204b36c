/**
 * The way in for messages over HTTP: which source a request means, and whether anybody is let in. Promises: no message
 * is taken whose verdict could not be kept, and where none can, that is said at once. It knows the sources of type
 * `http` alone.
 */
import type { Config } from '../config.ts';
import type { Health, Source } from '../contract.ts';
import { HttpSource } from '../io/http.ts';
import type { Admitted, Asked, Turned } from '../web/classify.ts';

interface Opened {
  readonly name: string;
  readonly source: Source;
}

export class Door {
  readonly #config: Config;
  readonly #sources: () => readonly Opened[];
  readonly #store: { health(): Health };

  constructor(config: Config, sources: () => readonly Opened[], store: { health(): Health }) {
    this.#config = config;
    this.#sources = sources;
    this.#store = store;
  }

  enter({ task, deadlineMs }: Asked): Admitted | Turned {
    const open = this.#sources().flatMap(({ name, source }) =>
      source instanceof HttpSource ? [{ name, source }] : [],
    );
    const chosen = this.#choose(
      task,
      open.map(({ name }) => name),
    );
    if ('error' in chosen) return chosen;
    const health = this.#store.health();
    if (!health.ok)
      return { status: 503, error: `The store cannot keep it: ${health.reason}`, why: 'failed' };
    const { source } = open.find(({ name }) => name === chosen.source)!;
    return { entrance: source.enter(chosen.task, deadlineMs), maxBytes: this.#largest(chosen.source) };
  }

  #choose(
    task: string,
    open: readonly string[],
  ): { readonly task: string; readonly source: string } | Turned {
    const { sources, tasks } = this.#config;
    const configured = Object.keys(sources).filter((name) => sources[name].type === 'http');
    const ways = Object.entries(tasks).flatMap(([name, { from }]) => {
      const source = from.find((one) => configured.includes(one));
      return source === undefined ? [] : [{ task: name, source }];
    });
    if (ways.length === 0) return { status: 404, error: 'No task reads a source of type http here.' };
    const names = ways.map((way) => way.task).join(', ');
    const only = new Set(ways.map(({ source }) => source)).size === 1 ? ways[0] : undefined;
    const way = task === '' ? only : ways.find((one) => one.task === task);
    if (!way) return { status: 400, error: `Name a task that is read over HTTP, as in ?task=: ${names}.` };
    if (open.includes(way.source)) return way;
    return { status: 503, error: 'The gateway is starting or stopping.', why: 'stopped' };
  }

  /** Of all tasks that read it: what one of them refuses is its dead letter. */
  #largest(source: string): number {
    const tasks = Object.values(this.#config.tasks).filter(({ from }) => from.includes(source));
    return Math.max(...tasks.map(({ decode }) => decode.options.maxBytes));
  }
}
