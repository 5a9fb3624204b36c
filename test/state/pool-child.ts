/** Puts rows into a pool for ever and says what is durable, until it is killed. */
import { writeSync } from 'node:fs';
import { openPool } from '../../src/state/pool.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { labelled } from './pool-kit.ts';

const [folder, round] = process.argv.slice(2);
const say = (line: string) => writeSync(1, `${line}\n`);
const clock = { now: () => Date.now(), sleep: () => Promise.resolve() };
const telemetry = new Telemetry({ level: 'silent' });
const pool = await openPool({ path: folder, limits: { bytes: 2 ** 30, age: 1e9 }, clock, telemetry });
say('open');

async function churn(lane: number): Promise<void> {
  for (let k = 0; ; k++) {
    const n = Number(round) * 1_000_000 + lane * 100_000 + k * 10;
    const rows = Array.from({ length: 10 }, (_, i) => labelled(n + i, { seq: n + i }));
    await pool.put(rows);
    say(`put ${n}`);
    await pool.put([labelled(n + 1, { seq: n + 50_000_000, label: -1 })]);
    say(`withdrawn ${n + 1}`);
    if (k % 3 !== 0) continue;
    await pool.saveState('hub', `at ${n}`);
    await pool.forget({ task: 'spam', event: `e-${n + 2}` });
    say(`forgot ${n + 2}`);
  }
}
await Promise.all([1, 2, 3].map(churn));
