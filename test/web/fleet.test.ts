import { expect, it } from 'vitest';
import type { Actual, Registered } from '../../src/contract.ts';
import { gatewayView, modelView } from '../../src/web/fleet.ts';

const digest = 'ab'.repeat(32);

it('a model of the registry is shown with what the hub knows beside', () => {
  const quality = { tested: 9, accuracy: 0.9, logLoss: 0.2, interval: [0.1, 0.3] as const };
  const manifest = { task: 'spam', version: 3, kind: 'linear', training: { rows: 50 }, quality };
  const registered = {
    digest,
    stage: 'candidate',
    since: 7,
    reason: 'why',
    size: 99,
    signer: null,
    manifest,
  } as unknown as Registered;
  const gain = { points: 0.9, by: 0.3, tested: 9 };
  expect(modelView(registered, { gain, waiting: true, runsOn: ['a'], of: 2 })).toEqual({
    task: 'spam',
    digest,
    version: 3,
    kind: 'linear',
    stage: 'candidate',
    since: 7,
    reason: 'why',
    trainedRows: 50,
    bytes: 99,
    signer: null,
    quality,
    gain,
    compared: null,
    waiting: true,
    runsOn: ['a'],
    of: 2,
  });
  expect(modelView(registered)).toMatchObject({ gain: null, waiting: false, runsOn: [], of: 0 });
});

it('a gateway is shown by the version of its base, by digest where that is not known, or blank', () => {
  const actual = (task: string, base: string | null): Actual => ({
    site: 'a',
    group: 'g',
    task,
    digest: base,
    labels: 4,
    companion: null,
    serial: 1,
    state: 'running',
    reason: '',
    at: 1,
  });
  const view = gatewayView({
    site: 'a',
    group: 'g',
    presence: 'online',
    lastSeen: 5,
    actual: [actual('x', digest), actual('y', 'cd'.repeat(32)), actual('z', null)],
    version: (name) => (name === digest ? 2 : null),
    window: (task) => (task === 'x' ? { rate: 3, accuracy: null } : null),
  });
  expect(view.tasks.map(({ model, rate }) => [model, rate])).toEqual([
    ['v2', 3],
    ['cdcdcdcdcdcd', null],
    [null, null],
  ]);
});
