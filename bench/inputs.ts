/** Inputs of the benchmarks: real mail where there is some, else the simulator's; readings of about 300 bytes. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Message } from '../src/contract.ts';
import { seededRandom } from '../src/task/random.ts';
import { openTask, type Task } from '../src/task/task.ts';
import type { BenchOptions } from './case.ts';

export function message(payload: Uint8Array, n: number, topic = 'plant/press/telemetry'): Message {
  return { source: 'bench', topic, key: null, payload, headers: {}, at: 1_700_000_000_000 + n, position: '' };
}

export const random = (seed: number): (() => number) => seededRandom(seed, 'bench');

/** The n-th reading: 300 bytes of JSON as a machine would send them. */
export function reading(n: number, rng: () => number): Buffer {
  const body = {
    device: `press-${String(n % 50).padStart(2, '0')}`,
    seq: n,
    ts: new Date(1_700_000_000_000 + n * 100).toISOString(),
    temperature: Math.round(rng() * 80_000) / 1000,
    vibration: Math.round(rng() * 50_000) / 1000,
    current: Math.round(rng() * 20_000) / 1000,
    pressure: Math.round(rng() * 10_000) / 1000,
    rpm: Math.round(rng() * 3_000),
    mode: rng() < 0.5 ? 'auto' : 'hand',
    note: '',
  };
  const missing = 300 - JSON.stringify(body).length;
  return Buffer.from(JSON.stringify({ ...body, note: 'x'.repeat(Math.max(0, missing)) }));
}

export const FIELDS = {
  temperature: { type: 'number', range: [-50, 150] },
  vibration: { type: 'number', range: [0, 100] },
  current: { type: 'number', range: [0, 100] },
  pressure: { type: 'number', range: [0, 100] },
  rpm: { type: 'number', range: [0, 10_000] },
  mode: { type: 'category' },
} as const;

export function machineTask(preset: 'full' | 'fast' = 'fast'): Task {
  return openTask({
    name: 'machine',
    event: 'sensor',
    labels: ['ok', 'fault'],
    decode: { kind: 'json', options: { fields: FIELDS, device: { pointer: '/device' } } },
    features: { options: { preset } },
    seed: 1,
  });
}

/** Mail as the preset `full` or `fast` has it. */
export function mailTask(preset: 'full' | 'fast' = 'full'): Task {
  return openTask({
    name: 'spam',
    event: 'email',
    labels: ['ham', 'spam'],
    decode: { kind: 'mime' },
    features: { options: { preset } },
    seed: 1,
  });
}

export interface LabelledMail {
  readonly raw: Buffer;
  readonly label: string;
}

/** The newest mails of the real stream; a reason where there is none. */
export async function realMails(options: BenchOptions, most: number): Promise<LabelledMail[] | string> {
  if (!options.data) return 'no real data: set SLUICE_DATA';
  const index = path.join(options.data, 'spamassassin', 'index.tsv');
  const lines = (await readFile(index, 'utf8')).split('\n').filter((line) => /\t(ham|spam)(\t|$)/.test(line));
  const wanted = lines.slice(0, options.quick ? Math.min(most, 200) : most);
  return Promise.all(
    wanted.map(async (line) => {
      const [file, label] = line.split('\t');
      return { label, raw: await readFile(path.join(path.dirname(index), file)) };
    }),
  );
}
