/**
 * The files of the dashboard's page: a fixed list, read at start and kept in memory, plain and compressed. Nothing
 * else of the disk can be asked for. Where the page was not built (a gateway run from a bare checkout), `/` says so.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const SCRIPT = 'text/javascript; charset=utf-8';
const STYLE = 'text/css; charset=utf-8';
/** Our own modules, as tsc names them, and the style. */
const OWN = [
  'main.js',
  'actions.js',
  'charts.js',
  'dom.js',
  'fleet.js',
  'format.js',
  'head.js',
  'live.js',
  'lists.js',
  'points.js',
  'session.js',
  'times.js',
  'style.css',
];
/** Of the chart library: exactly these two. */
const CHART = [
  { name: 'uplot.js', file: 'dist/uPlot.esm.js' },
  { name: 'uplot.css', file: 'dist/uPlot.min.css' },
];

export interface Asset {
  readonly type: string;
  readonly body: Buffer;
  readonly gzip: Buffer;
  /** Quoted, as If-None-Match has it. */
  readonly etag: string;
}

/** By name, as `/client/<name>` is asked for; null where the page was not built. */
export type Assets = ReadonlyMap<string, Asset> | null;

/** `folder`: the compiled client; default beside this module. */
export function loadAssets(folder = fileURLToPath(new URL('./client/', import.meta.url))): Assets {
  try {
    const chart = path.dirname(createRequire(import.meta.url).resolve('uplot/package.json'));
    const own = OWN.map((name) => ({ name, file: path.join(folder, name) }));
    const all = [...own, ...CHART.map(({ name, file }) => ({ name, file: path.join(chart, file) }))];
    return new Map(all.map(({ name, file }) => [name, load(name, readFileSync(file))]));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'MODULE_NOT_FOUND') return null;
    throw error;
  }
}

function load(name: string, body: Buffer): Asset {
  const etag = `"${createHash('sha256').update(body).digest('base64url')}"`;
  return { type: name.endsWith('.css') ? STYLE : SCRIPT, body, gzip: gzipSync(body), etag };
}
