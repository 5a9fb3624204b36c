/** A consumer that is killed without warning, again and again, loses nothing. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import { fresh, numbered, openSink, openSource, range, ready, until } from './mqtt.kit.ts';

const MESSAGES = 5_000;
/** Kills come after so many noted messages more. */
const KILL_AFTER = [37, 400, 1, 900, 250, 600];

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Node 20 runs no TypeScript: the consumer and what it imports are compiled into a folder of their own. */
function compileConsumer(folder: string): string {
  const config = join(folder, 'tsconfig.json');
  const compilerOptions = { rootDir: root, outDir: join(folder, 'out'), noCheck: true, incremental: false };
  const typeRoots = [join(root, 'node_modules', '@types')];
  writeFileSync(
    config,
    JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      compilerOptions: { ...compilerOptions, tsBuildInfoFile: null, typeRoots },
      files: [join(root, 'test/io/mqtt.consumer.ts')],
      include: [],
    }),
  );
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', config]);
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  return join(folder, 'out/test/io/mqtt.consumer.js');
}

async function kill(child: ChildProcess): Promise<void> {
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  child.kill('SIGKILL');
  await closed;
}

describe.skipIf(mosquittoMissing)('a consumer killed with SIGKILL in the middle of a stream', () => {
  let broker: Mosquitto;
  let folder: string;
  let program: string;
  beforeAll(async () => {
    broker = await Mosquitto.start();
    folder = mkdtempSync(join(tmpdir(), 'sluice-consumer-'));
    program = compileConsumer(folder);
  });
  afterAll(async () => {
    await broker?.stop();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  it.each([5, 4])('version %i: loses none of 5,000 messages', async (version) => {
    const topic = fresh('t');
    const session = fresh('session');
    const first = openSource({ url: broker.url, version, topics: [topic], session });
    const sink = openSink({ url: broker.url });
    await ready(first, sink);
    await first.close(); // the session is there, so what is published now is kept for it
    const published = sink.publish(numbered(topic, MESSAGES));
    const file = join(folder, `noted-${version}`);
    writeFileSync(file, '');
    const noted = () => readFileSync(file, 'utf8').split('\n').slice(0, -1);
    for (const more of [...KILL_AFTER, Number.POSITIVE_INFINITY]) {
      const goal = noted().length + more;
      const args = [program, file, broker.url, String(version), topic, session];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
      await until('the consumer gets on', () => noted().length >= goal || new Set(noted()).size === MESSAGES);
      await kill(child);
    }
    await published;
    expect([...new Set(noted())].sort((a, b) => Number(a) - Number(b))).toEqual(range(MESSAGES));
    // It acknowledged as it went: the kills brought back at most what was in flight each time.
    expect(noted().length - MESSAGES).toBeLessThanOrEqual(KILL_AFTER.length * 2 * 200);
  });
});
