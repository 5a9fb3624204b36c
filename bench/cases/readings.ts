/** Readings from the bytes of each wire format to events, and to feature rows. */
import { decoders } from '../../src/decode/index.ts';
import { encodePayload } from '../../src/envelope/sparkplug.ts';
import { RowArena } from '../../src/features/rows.ts';
import { openEngine } from '../../src/model/engine.ts';
import { type BenchCase, type BenchOptions, type Measure, measure } from '../case.ts';
import { FIELDS, machineTask, message, random, reading } from '../inputs.ts';

const READINGS = 100_000;
/** Rows in an arena before it is used again. */
const BATCH = 256;
const NUMBERS = ['temperature', 'vibration', 'current', 'pressure', 'rpm'] as const;
const PEER = 'JSON.parse of the same readings in JSON and nothing else';

const count = ({ quick }: BenchOptions): number => (quick ? 5_000 : READINGS);

function jsonOf(options: BenchOptions): Buffer[] {
  const rng = random(options.seed);
  return Array.from({ length: count(options) }, (_, n) => reading(n, rng));
}

/** The other side of every case here. */
const parse = (payloads: readonly Buffer[]) => () =>
  measure(() => {
    let sum = 0;
    for (const payload of payloads) sum += JSON.parse(payload.toString()).rpm;
    return sum > -1 ? payloads.length : 0;
  });

const featuresJson: BenchCase = {
  name: 'features-json',
  what: '300-byte JSON readings to feature rows: identity, declared fields, ranges, columns',
  peer: PEER,
  unit: 'readings',
  async prepare(options) {
    const task = machineTask();
    const payloads = jsonOf(options);
    const messages = payloads.map((payload, n) => message(payload, n));
    const arena = new RowArena(task.shape.dims, task.shape.denseDims);
    return {
      sluice: () =>
        measure(() => {
          for (const [n, one] of messages.entries()) {
            if (n % BATCH === 0) arena.reset();
            for (const event of task.decode(one)) task.fill(event, arena);
          }
          return messages.length;
        }),
      peer: parse(payloads),
    };
  },
};

/** Readings that a model has learned before it is timed: what a stack takes to score depends on it. */
const LEARNED = 4_000;
const SCORED = 20_000;

/** From bytes to probabilities on one thread, by a model that has learned. */
async function scorer(preset: 'full' | 'fast', payloads: readonly Buffer[]): Promise<() => Promise<Measure>> {
  const task = machineTask(preset);
  const arena = new RowArena(task.shape.dims, task.shape.denseDims);
  const model = task.newModel(openEngine({ backend: 'auto', threads: 1 }));
  let n = 0;
  const fill = (part: readonly Buffer[]) => {
    arena.reset();
    for (const payload of part)
      for (const event of task.decode(message(payload, n++))) task.fill(event, arena);
    return arena.view();
  };
  const batches = (from: number, to: number) =>
    Array.from({ length: Math.ceil((to - from) / BATCH) }, (_, b) =>
      payloads.slice(from + b * BATCH, Math.min(to, from + (b + 1) * BATCH)),
    );
  for (const part of batches(0, LEARNED))
    await model.learn(
      fill(part),
      Int32Array.from(part, (payload) => (JSON.parse(payload.toString()).temperature > 40 ? 1 : 0)),
    );
  const timed = batches(LEARNED, payloads.length);
  return () =>
    measure(async () => {
      for (const part of timed) await model.score(fill(part));
      return payloads.length - LEARNED;
    });
}

const readingsFull: BenchCase = {
  name: 'readings-full',
  what: '300-byte JSON readings to probabilities by the default of readings: windows of 50 devices and a `stack` that has learned 4,000',
  peer: 'the same by the preset `fast`: no windows, `linear`',
  unit: 'readings',
  async prepare(options) {
    const payloads = jsonOf(options).slice(0, LEARNED + (options.quick ? 1_000 : SCORED));
    return { sluice: await scorer('full', payloads), peer: await scorer('fast', payloads) };
  },
};

const decodeSenml: BenchCase = {
  name: 'decode-senml',
  what: 'SenML packs of six records in JSON to events of one reading each',
  peer: PEER,
  unit: 'readings',
  async prepare(options) {
    const payloads = jsonOf(options);
    const decoder = decoders.senml.open(decoders.senml.options.parse({ fields: FIELDS }));
    const messages = payloads.map((payload, n) => {
      const { device, mode, ...values } = JSON.parse(payload.toString());
      const base = { bn: `urn:dev:${device}:`, bt: 1_700_000_000 + n, n: 'mode', vs: mode };
      return message(
        Buffer.from(JSON.stringify([base, ...NUMBERS.map((name) => ({ n: name, v: values[name] }))])),
        n,
      );
    });
    return {
      sluice: () =>
        measure(() => {
          let events = 0;
          for (const one of messages) events += decoder.decode(one).length;
          return events;
        }),
      peer: parse(payloads),
    };
  },
};

const decodeSparkplug: BenchCase = {
  name: 'decode-sparkplug',
  what: 'Sparkplug B data of five metrics by alias, with the memory of births and numbering, to events',
  peer: PEER,
  unit: 'readings',
  async prepare(options) {
    const payloads = jsonOf(options);
    const decoder = decoders.sparkplug.open(decoders.sparkplug.options.parse({ fields: FIELDS }));
    const at = 1_700_000_000_000;
    const birth = encodePayload(
      at,
      NUMBERS.map((name, alias) => ({ name, alias, type: 'double', value: 0 })),
      0,
    );
    const messages = payloads.map((payload, n) => {
      const values = JSON.parse(payload.toString());
      const metrics = NUMBERS.map((name, alias) => ({ alias, type: 'double', value: values[name] }) as const);
      const data = encodePayload(at + n + 1, metrics, (n + 1) & 255);
      return message(data, n + 1, 'spBv1.0/plant/DDATA/north/press');
    });
    return {
      sluice: () =>
        measure(() => {
          const memory = decoder.remember!(null);
          memory.take(message(birth, 0, 'spBv1.0/plant/DBIRTH/north/press'), at, false);
          let events = 0;
          for (const one of messages) events += memory.take(one, one.at, false).events.length;
          return events;
        }),
      peer: parse(payloads),
    };
  },
};

export const readingCases: readonly BenchCase[] = [featuresJson, readingsFull, decodeSenml, decodeSparkplug];
