/** What the demo tells of the loop: one line a moment, with the model's version, short enough for 80 columns. */
import { expect, it } from 'vitest';
import { Teller } from '../../src/cli/demo/loop.ts';
import type { HubEvent } from '../../src/fleet/hub.ts';

const digest = 'ab'.repeat(32);
const quality = { tested: 500, accuracy: 0.984, logLoss: 0.07, interval: [0.05, 0.09] };
const figures = { rows: 512, baseLoss: 1.2345, difference: 1.1, interval: [0.8, 1.4] };
const moments = [
  { kind: 'drift', stream: 'errors', sites: ['south-gate'], since: 0, reason: 'why' },
  { kind: 'trained', digest, version: 2, rows: 11_254, tried: 7, quality },
  { kind: 'signed', digest, version: 2, signer: `ed25519:${'A'.repeat(43)}=` },
  { kind: 'gate', digest, passed: true, reason: 'a long account with evidence', figures },
  { kind: 'stage', digest, stage: 'canary', serial: 1, sites: ['north-gate'] },
  { kind: 'stage', digest, stage: 'fleet', serial: 2, sites: [] },
  { kind: 'stage', digest, stage: 'watch', serial: 3, sites: [] },
  { kind: 'live', digest, version: 2, serial: 3 },
].map((moment) => ({ ...moment, task: 'machine', at: 0 }) as unknown as HubEvent);

it('tells a loop that turns, each moment in a line of 80 columns', () => {
  const teller = new Teller();
  const lines = moments.map((moment) => teller.line(moment, 0.97));
  expect(lines).toEqual([
    'DRIFT      machine · error rate changed at south-gate',
    'candidate  machine v2 · best of 7 on 11,254 rows · validation 98.4 %',
    'signed     machine v2 abababab · ed25519:AAAAAAAAAAAAAAAA…',
    'test       machine v2 passed · log-loss 1.23 → 0.13 on 512 unseen rows',
    'roll-out   machine v2 · on trial at north-gate',
    'roll-out   machine v2 · goes to every gateway',
    'roll-out   machine v2 · runs on every gateway, watched for a while',
    'LIVE       machine v2 on every gateway · 97.0 % right',
  ]);
  for (const line of lines) expect(`00:00 ${line}`.length).toBeLessThanOrEqual(80);
});

it('a gate without figures gives its reason, an unknown model goes by its digest, an order is no moment', () => {
  const teller = new Teller();
  const gate = { kind: 'gate', digest, passed: false, reason: 'undecided', figures: null };
  const told = (moment: object) =>
    teller.line({ ...moment, task: 'spam', at: 0 } as unknown as HubEvent, null);
  expect(told(gate)).toBe('test       spam abababab not passed · undecided');
  expect(told({ kind: 'live', digest, version: 4, serial: 1 })).toBe('LIVE       spam v4 on every gateway');
  expect(told({ kind: 'order', what: 'pause', followed: true, reason: '' })).toBeNull();
});
