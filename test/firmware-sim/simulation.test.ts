import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { EXAMPLE } from '../../firmware-sim/scenario/example.ts';
import { readScenario } from '../../firmware-sim/scenario/read.ts';
import { Simulation, type SimulationResult } from '../../firmware-sim/scenario/run.ts';
import { progressLine, resultLines } from '../../firmware-sim/status.ts';
import { contextOf, fineClock } from '../../firmware-sim/wire.ts';
import type { Alarm, Outgoing } from '../../src/contract.ts';
import { driftPayload } from '../../src/envelope/fleet.ts';
import { Envelope } from '../../src/envelope.ts';
import { startBroker } from '../../src/io/broker.ts';
import { mqtt } from '../../src/io/mqtt.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { makeGateway } from '../e2e/gateway.ts';

const MAIN = fileURLToPath(new URL('../../dist/firmware-sim/main.js', import.meta.url));
const telemetry = new Telemetry({ level: 'silent' });
const ending: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

async function brokerUrl(): Promise<string> {
  const broker = await startBroker();
  ending.push(() => broker.close());
  return broker.url;
}

async function folder(): Promise<string> {
  const made = await mkdtemp(path.join(os.tmpdir(), 'sluice-sim-'));
  ending.push(() => rm(made, { recursive: true, force: true }));
  return made;
}

/** The built program: its exit code and what it wrote. */
function sim(...words: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [MAIN, ...words], { env: { ...process.env, SIM_SECRET: '' } });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, out, err })));
}

describe('a scenario against a real gateway', () => {
  it('ends with one object that accounts for every message, phase, drift and device', {
    timeout: 60_000,
  }, async () => {
    const url = await brokerUrl();
    const gateway = await makeGateway(`
site: north
sources:
  plant: { type: mqtt, url: "${url}", version: 4, topics: ["plant/+/telemetry"] }
tasks:
  machine:
    from: [plant]
    event: sensor
    device: { topicLevel: 1 }
    fields:
      temperature: { type: number, range: [-40, 200] }
      vibration: { type: number, range: [0, 60] }
      current: { type: number, range: [0, 120] }
      pressure: { type: number, range: [0, 16] }
      rpm: { type: number, range: [0, 6000] }
      mode: { type: category }
    labels: [ok, fault]
sinks:
  broker: { type: mqtt, url: "${url}", version: 4 }
`);
    ending.push(() => gateway.remove());
    await gateway.start();
    const file = path.join(await folder(), 'scenario.yaml');
    await writeFile(
      file,
      `
where: { type: mqtt, url: "${url}", version: 4, connections: 2 }
sites: { north: {} }
for: 5s
readings:
  devices: 100
  rate: 400
  labels: { delay: 100ms, fraction: 1, wrong: 0 }
network: { offline: { every: 3s, for: 500ms }, buffer: 3, clock: { offset: 10s } }
drift:
  - { name: turn, kind: concept, at: 3500ms }
`,
    );
    const { code, out, err } = await sim('-c', file, '--json', '-');
    await gateway.stop();
    expect(err).toBe('');
    const result = JSON.parse(out) as SimulationResult;
    expect(result).toMatchObject({ lost: 0, refused: 0, unreadableAnswers: 0, seed: 7, followers: null });
    expect(code).toBe(0);
    const [machine] = result.tasks;
    expect(machine.sent).toBe(machine.verdicts + machine.deadLetters);
    expect(machine).toMatchObject({ deadUnexpected: 0, foreign: 0, outstanding: 0 });
    expect(result.sites.north).toEqual(result.tasks);
    const { devices } = result;
    expect(devices!.outages).toBeGreaterThan(20);
    expect(devices!.late).toBeGreaterThan(10);
    const [{ phases }] = result.phases;
    expect(phases.map(({ name }) => name)).toEqual(['start', 'turn begins']);
    expect(phases.reduce((sum, { sent }) => sum + sent, 0)).toBe(machine.sent);
    expect(phases.reduce((sum, { tested }) => sum + tested, 0)).toBe(machine.tested);
    expect(phases[0].accuracy).toBeGreaterThan(0.75);
    expect(phases[1].accuracy).toBeLessThan(phases[0].accuracy!);
    expect(result.drift).toMatchObject([
      { name: 'turn', site: 'north', after: 3_500, over: 0, kind: 'concept', how: 'abrupt', what: 'begins' },
    ]);
    expect(Math.abs(result.drift[0].at - Date.parse(result.startedAt!) - 3_500)).toBeLessThanOrEqual(2);
  });
});

describe('the program', () => {
  it('prints an example that its own check takes, and refuses with places and exit code 78', {
    timeout: 30_000,
  }, async () => {
    const example = await sim('--example');
    expect(example).toMatchObject({ code: 0, out: EXAMPLE });
    const file = path.join(await folder(), 'scenario.yaml');
    await writeFile(file, example.out);
    expect(await sim('-c', file, '--check')).toEqual({ code: 0, out: 'the scenario is good\n', err: '' });
    await writeFile(file, 'where: { type: mqtt, url: "mqtt://h", pasword: x }\n');
    const refused = await sim('-c', file);
    expect(refused).toMatchObject({ code: 78, out: '' });
    expect(refused.err).toContain(`${file}:1:39 where.pasword: unknown option; did you mean "password"?`);
    expect((await sim('-c', file, '--rate', '3')).code).toBe(2);
  });
});

describe('a simulation', () => {
  /** Answers every reading with the truth it cannot know: the label `ok`. */
  async function answering(url: string): Promise<{ tell(messages: readonly Outgoing[]): Promise<void> }> {
    const context = contextOf({ site: 'gateway', telemetry });
    const topics = ['plant/+/+/telemetry'];
    const source = mqtt.source.open('in', mqtt.source.options.parse({ url, version: 4, topics }), context);
    const sink = mqtt.sink.open('out', mqtt.sink.options.parse({ url, version: 4 }), context);
    const stop = new AbortController();
    const work = (async () => {
      const { identityOf } = await import('../../firmware-sim/identity.ts');
      for await (const deliveries of source.read(stop.signal)) {
        await sink.publish(
          deliveries.map(({ message }) => {
            const site = message.topic.split('/')[1];
            const data = { event: identityOf({ ...message, key: null }), label: 'ok' };
            const event = { specversion: '1.0', source: `/sluice/${site}/machine`, data };
            return { topic: `sluice/${site}/machine/verdict`, key: null, payload: JSON.stringify(event) };
          }),
        );
        for (const delivery of deliveries) delivery.settle('done');
      }
    })();
    ending.push(async () => {
      stop.abort();
      await work;
      await source.close();
      await sink.close();
    });
    while (!source.health().ok) await fineClock.sleep(10);
    return { tell: (messages) => sink.publish(messages) };
  }

  it('of two sites keeps their books apart, adds them up, and finds its drift in the alarms of the right one', async () => {
    const url = await brokerUrl();
    const gateway = await answering(url);
    const { scenario } = readScenario(
      `
where: { type: mqtt, url: "${url}", version: 4 }
sites: { north: {}, south: {} }
readings: { devices: 10, rate: 300 }
faults: { invalid: 0, truncated: 0, empty: 0 }
network: { duplicate: 0 }
drift: [{ name: turn, kind: concept, at: 500ms }]
`,
      'f',
    );
    const simulation = new Simulation({ scenario: scenario!, telemetry });
    await simulation.start();
    const alarm: Alarm = {
      ...{ task: 'machine', stream: 'margin', detector: 'adwin', state: 'drift' },
      ...{ statistic: 1, threshold: 0.5, window: 50, model: 'x+1', before: 0.1, now: 0.4 },
      ...{ at: 0, since: 0, features: [], devices: [] },
    };
    const tell = async (site: string) => {
      const payload = driftPayload(new Envelope('cloudevents', site, 'machine'), {
        ...alarm,
        at: Date.now(),
        since: Date.now(),
      });
      await gateway.tell([{ topic: `sluice/${site}/machine/drift`, key: null, payload }]);
    };
    const before = simulation.progress();
    await fineClock.sleep(250);
    await tell('north');
    while (simulation.progress().counts.seconds < 1.2) await fineClock.sleep(10);
    await tell('south');
    while (simulation.progress().alarms < 2) await fineClock.sleep(10);
    expect(progressLine(before, simulation.progress())).toContain('2 alarms');
    const result = await simulation.drain(5_000);
    await simulation.stop();
    expect(result).toMatchObject({ lost: 0, falseAlarms: 1 });
    expect(result.drift).toHaveLength(2);
    expect(result.drift.find(({ site }) => site === 'north')).toMatchObject({
      firstAlarm: null,
      falseAlarmsBefore: 1,
    });
    const south = result.drift.find(({ site }) => site === 'south')!;
    expect(south).toMatchObject({ stream: 'margin', detector: 'adwin', falseAlarmsBefore: 0, alarms: 1 });
    expect(south.delayMs).toBeGreaterThan(300);
    expect(south.delayMs).toBeLessThan(5_000);
    const { north } = result.sites;
    expect(north[0].sent + result.sites.south[0].sent).toBe(result.tasks[0].sent);
    expect(north[0].sent).toBeGreaterThan(50);
    expect(result.devices).toMatchObject({ devices: 10, dropped: 0 });
    const lines = resultLines(result).join('\n');
    expect(lines).toMatch(/turn begins +south +0\.5 s +\d\.\d s +margin/);
    expect(lines).toMatch(/turn begins +north +0\.5 s +no alarm/);
    expect(lines).toContain('1 false alarms');
  });

  it('says so where there is no broker', async () => {
    const { scenario } = readScenario('where: { type: mqtt, url: "mqtt://127.0.0.1:1" }', 'f');
    let now = 0;
    const clock = {
      now: () => now,
      sleep: async () => {
        now += 5_000;
      },
    };
    await expect(new Simulation({ scenario: scenario!, clock, telemetry }).start()).rejects.toMatchObject({
      code: 'BROKER_UNREACHABLE',
    });
  });
});
