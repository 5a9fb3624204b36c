/**
 * The dashboard as it is served, on a free port: the page compiled as the set-up compiles it, and
 * the made-up feed behind it.
 */
import { execFile } from 'node:child_process';
import { copyFile, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { Telemetry } from '../../src/telemetry.ts';
import { startWeb, type Web, type WebOptions } from '../../src/web/server.ts';
import { Feed } from './feed.ts';

const root = path.resolve(import.meta.dirname, '..', '..').replace(/\/dist$/, '');

/** Compiles the page below `out`; gives the folder to serve. Rejects with what the compiler says. */
export async function compilePage(out: string): Promise<string> {
  const source = path.join(root, 'src', 'web', 'client');
  await mkdir(path.join(out, 'client'), { recursive: true });
  const tsc = path.join(root, 'node_modules', '.bin', 'tsc');
  await promisify(execFile)(tsc, ['-p', source, '--outDir', out]).catch((error) => {
    throw new Error(String(error.stdout || error.message));
  });
  await copyFile(path.join(source, 'style.css'), path.join(out, 'client', 'style.css'));
  return path.join(out, 'client');
}

export interface Site {
  readonly web: Web;
  readonly feed: Feed;
  readonly url: string;
}

export async function startSite(
  client: string,
  { feed = new Feed(), ...changes }: Partial<WebOptions> & { readonly feed?: Feed } = {},
): Promise<Site> {
  const web = await startWeb({
    listen: '127.0.0.1:0',
    telemetry: new Telemetry({ level: 'silent' }),
    ready: () => ({ ok: true, reasons: [] }),
    status: () => ({}),
    dashboard: { state: feed.state, actions: feed.actions, client, live: { tickMs: 200 } },
    ...changes,
  });
  return { web, feed, url: `${web.address}/` };
}
