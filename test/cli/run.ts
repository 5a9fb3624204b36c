/** Runs a command line in this process and gives what it printed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { runCli } from '../../src/cli/index.ts';

class Sink extends Writable {
  readonly chunks: Buffer[] = [];

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.chunks.push(Buffer.from(chunk));
    done();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly bytes: Buffer;
}

export async function sluice(
  argv: readonly string[],
  options: { stdin?: string | Uint8Array; env?: Record<string, string> } = {},
): Promise<Ran> {
  const stdout = new Sink();
  const stderr = new Sink();
  const stdin = Readable.from([Buffer.from(options.stdin ?? '')]);
  const code = await runCli(argv, { stdin, stdout, stderr, env: options.env ?? {}, exitCode: 0 });
  return { code, out: stdout.bytes.toString(), err: stderr.bytes.toString(), bytes: stdout.bytes };
}

/** A folder that is gone after the tests of the file. */
export function temporaryFolder(): {
  path: string;
  file(name: string, text: string): string;
  remove(): void;
} {
  const path = mkdtempSync(join(tmpdir(), 'sluice-cli-'));
  return {
    path,
    file(name, text) {
      writeFileSync(join(path, name), text);
      return join(path, name);
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** A configuration that needs no broker to be looked at. */
export const configuration = (state: string): string => `site: north-gate
sources:
  mail: { type: mqtt, url: "mqtt://gate:hunter2222@127.0.0.1:1", topics: [mail/in] }
  plant: { type: mqtt, url: "mqtt://127.0.0.1:1", topics: ["plant/+"] }
tasks:
  spam: { from: [mail], event: email, labels: [ham, spam] }
  machine:
    from: [plant]
    event: sensor
    fields: { t: { pointer: /t, unit: °C }, state: { type: category } }
    labels: [ok, fault]
sinks:
  core: { type: mqtt, url: "mqtt://127.0.0.1:1", password: hunter3333 }
store: { path: ${JSON.stringify(state)} }
http: { token: correct-horse-battery }
privacy: { key: fleet-key-0123456789 }
`;
