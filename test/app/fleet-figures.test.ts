/** Figures of a fleet last as long as the hub knows the gateway. */
import { expect, test } from 'vitest';
import { FleetFigures } from '../../src/app/fleet-figures.ts';
import { Telemetry } from '../../src/telemetry.ts';

const site = (name: string, tasks: readonly string[]) => ({
  site: name,
  lastSeen: 1_000,
  online: true,
  actual: {},
  windows: Object.fromEntries(
    tasks.map((task) => [task, { from: 0, to: 1, numbers: { rate: 5, 'quality.window.accuracy': 0.9 } }]),
  ),
});

test('a gateway or a task that the hub no longer knows is no longer told', async () => {
  const telemetry = new Telemetry({ level: 'silent' });
  const figures = new FleetFigures(telemetry);
  figures.tell([site('a', ['one', 'two']), site('b', ['one'])], 3_000);
  expect(await telemetry.value('fleet_last_seen_seconds')).toBe(4);
  figures.tell([site('b', []), site('c', ['one'])], 4_000);
  const text = await telemetry.registry.metrics();
  expect(text).toContain('sluice_fleet_rate{site="c",task="one"} 5');
  expect(text).not.toMatch(/site="a"/);
  expect(text).not.toMatch(/fleet_(rate|accuracy)\{site="b"/);
  expect(text).toContain('sluice_fleet_last_seen_seconds{site="b"} 3');
});
