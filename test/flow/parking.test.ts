/** Messages that wait for another one: unsettled, bounded, freed in order, never lost. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Decoded, DecoderMemory, Delivery, Event, Outgoing } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { RowArena } from '../../src/features/rows.ts';
import { Credit } from '../../src/flow/credit.ts';
import { type ParkingLimits, ParkingPreparer } from '../../src/flow/parking.ts';
import type { Taker } from '../../src/flow/preparer.ts';
import { Slot } from '../../src/flow/settle.ts';
import type { Task } from '../../src/task/task.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { messageOf } from '../decode/corpus.ts';

const NONE: Decoded = {
  events: [],
  refusal: null,
  waitsFor: null,
  frees: null,
  requests: [],
  lost: 0,
  late: 0,
};
const request: Outgoing = { topic: 'ask', key: null, payload: '' };

/** `birth x` frees x, `data x …` waits for it; `bad birth x` frees and is refused; `gap x` says that 3 are lost. */
class Toy implements DecoderMemory {
  urgent = false;
  readonly known = new Set<string>();
  readonly taken: string[] = [];

  take({ payload }: { payload: Uint8Array }, _now: number, again: boolean): Decoded {
    const text = Buffer.from(payload).toString();
    this.taken.push(again ? `${text} again` : text);
    const [what, name] = text.replace('bad ', '').split(' ');
    if (what === 'throw') throw new SluiceError('DECODE_WIRE', 'it is broken');
    this.urgent = what === 'birth' && name === 'weighty';
    if (what === 'birth') {
      this.known.add(name);
      if (text.startsWith('bad'))
        return { ...NONE, refusal: new SluiceError('DECODE_SHAPE', 'bad'), frees: name };
      return { ...NONE, frees: name };
    }
    if (!this.known.has(name)) return { ...NONE, waitsFor: name, requests: [request] };
    return { ...NONE, events: [{ id: text } as Event], lost: what === 'gap' ? 3 : 0 };
  }

  asks(): readonly Outgoing[] {
    return this.taken.some((text) => text.startsWith('data lost')) ? [request] : [];
  }

  save = () => new Uint8Array();
}

let now: number;
let log: string[];
let unfinished: number;
let memories: Map<string, Toy>;
let asked: string[];
let telemetry: Telemetry;
let saves: (() => void)[];

beforeEach(() => {
  [now, log, unfinished, asked] = [0, [], 0, []];
  memories = new Map();
  saves = [];
  telemetry = new Telemetry({ level: 'silent' });
});

function open(limits: Partial<ParkingLimits> = {}): ParkingPreparer {
  const arena = new RowArena(0, 1);
  const taker: Taker = {
    hasRoom: () => true,
    arena: () => arena,
    take: (slot, events) => {
      unfinished -= 1;
      log.push(`took ${textOf(slot)}: ${events.length}`);
      slot.finish('done');
    },
    mayScore: () => true,
    score: () => {},
    refuse: (slot, error) => {
      unfinished -= 1;
      log.push(`${error.code} ${textOf(slot)}`);
      slot.finish('done');
    },
    setAside: () => {
      unfinished -= 1;
    },
    takeUp: () => {
      unfinished += 1;
    },
    rest: () => {},
  };
  const task = { name: 'machine', fill: () => {} } as unknown as Task;
  const memory = (source: string) => {
    const toy = new Toy();
    memories.set(source, toy);
    return toy;
  };
  const clock = { now: () => now, sleep: async () => {} };
  const bounds = { messages: 100, bytes: 10_000, ms: 1_000, ...limits };
  const keep = () => new Promise<void>((resolve) => saves.push(resolve));
  const context = { task, memory, keep, limits: bounds, clock, telemetry };
  return new ParkingPreparer(
    { ...context, request: (source, all) => asked.push(...all.map(({ topic }) => `${topic} ${source}`)) },
    taker,
  );
}

const textOf = (slot: Slot) => Buffer.from(slot.message.payload).toString();
/** What was settled, in order. */
function offer(
  preparer: ParkingPreparer,
  text: string,
  more: Partial<Delivery> & { source?: string } = {},
): string[] {
  const settled: string[] = [];
  const { source = 'plant', ...rest } = more;
  const delivery = {
    message: messageOf(text, { source }),
    settle: (how: string) => settled.push(how),
    ...rest,
  };
  unfinished += 1;
  preparer.offer(new Slot(delivery, 1, new Credit(10, 1_000), 0, null), false);
  return settled;
}

test('what waits is not settled, and the lane counts as dry; it follows the one that frees it, in order of arrival', () => {
  const preparer = open();
  const first = offer(preparer, 'data x 1');
  offer(preparer, 'data y 1');
  offer(preparer, 'data x 2');
  expect([first, log, unfinished]).toEqual([[], [], 0]);
  offer(preparer, 'birth x');
  offer(preparer, 'data x 3');
  expect(log).toEqual(['took birth x: 0', 'took data x 1: 1', 'took data x 2: 1', 'took data x 3: 1']);
  expect([first, unfinished]).toEqual([['done'], 0]);
  expect(memories.get('plant')!.taken.slice(-3)).toEqual(['data x 1 again', 'data x 2 again', 'data x 3']);
});

test('a message that is refused frees what waits for it all the same', () => {
  const preparer = open();
  offer(preparer, 'data x 1');
  offer(preparer, 'bad birth x');
  expect(log).toEqual(['DECODE_SHAPE bad birth x', 'took data x 1: 1']);
});

test('what the memory must not lose is on disk before the message that taught it is settled; nobody else waits', async () => {
  const preparer = open();
  offer(preparer, 'data weighty 1');
  const settled = offer(preparer, 'birth weighty');
  offer(preparer, 'data weighty 2');
  expect([settled, log, unfinished]).toEqual([[], ['took data weighty 1: 1', 'took data weighty 2: 1'], 1]);
  saves[0]();
  await new Promise(setImmediate);
  expect([settled, log.at(-1), unfinished]).toEqual([['done'], 'took birth weighty: 0', 0]);
});

test('what cannot be decoded is refused, and nothing else is disturbed', () => {
  const preparer = open();
  offer(preparer, 'throw');
  expect([log, unfinished]).toEqual([['DECODE_WIRE throw'], 0]);
});

test('names of two sources are not the same', () => {
  const preparer = open();
  offer(preparer, 'data x 1', { source: 'north' });
  offer(preparer, 'birth x', { source: 'south' });
  expect(log).toEqual(['took birth x: 0']);
  offer(preparer, 'birth x', { source: 'north' });
  expect(log).toContain('took data x 1: 1');
});

describe('bounds', () => {
  test('of number: the oldest become dead letters that can be replayed', () => {
    const preparer = open({ messages: 10 });
    for (let i = 0; i < 11; i += 1) {
      now = i;
      offer(preparer, `data x ${i}`);
    }
    expect(log).toEqual(['DECODE_UNBORN data x 0', 'DECODE_UNBORN data x 1']);
    offer(preparer, 'birth x');
    expect(log.filter((line) => line.startsWith('took data')).length).toBe(9);
  });

  test('of bytes', () => {
    const preparer = open({ bytes: 100 });
    for (let i = 0; i < 50; i += 1) {
      now = i;
      offer(preparer, `data x ${i}`);
    }
    expect(log.filter((line) => line.startsWith('DECODE_UNBORN')).length).toBeGreaterThan(30);
    offer(preparer, 'birth x');
    expect(log.filter((line) => line.startsWith('took data')).length).toBeGreaterThan(5);
  });

  test('of time; questions are asked again meanwhile', () => {
    const preparer = open();
    offer(preparer, 'data lost');
    now = 1_000;
    preparer.tick();
    expect([log, asked]).toEqual([[], ['ask plant', 'ask plant']]);
    now = 1_001;
    preparer.tick();
    expect([log, unfinished]).toEqual([['DECODE_UNBORN data lost'], 0]);
  });
});

describe('when reading ends', () => {
  test('what its transport delivers again is left to it, the rest becomes a dead letter', () => {
    const preparer = open();
    const kept = offer(preparer, 'data x 1');
    offer(preparer, 'data x 2', { comesAgain: false });
    preparer.end(false);
    expect([kept, log, unfinished]).toEqual([[], ['DECODE_UNBORN data x 2'], 0]);
  });

  test('for good, everything that waits becomes a dead letter', () => {
    const preparer = open();
    const waited = offer(preparer, 'data x 1');
    preparer.end(true);
    expect([waited, log]).toEqual([['done'], ['DECODE_UNBORN data x 1']]);
  });
});

test('what is lost, and what waits, is told', async () => {
  const preparer = open();
  offer(preparer, 'data x 1');
  preparer.tick();
  const value = (name: 'parked_messages' | 'parked_bytes' | 'sequence_lost') => telemetry.value(name);
  expect([await value('parked_messages'), await value('parked_bytes')]).toEqual([1, 8]);
  offer(preparer, 'birth x');
  offer(preparer, 'gap x');
  preparer.tick();
  expect([await value('parked_messages'), await value('parked_bytes')]).toEqual([0, 0]);
  expect(await value('sequence_lost')).toBe(3);
});
