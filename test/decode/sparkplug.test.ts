/** Sparkplug B 3.0: values by type, births and aliases, order, deaths, questions, bounds. */
import { describe, expect, test } from 'vitest';
import type { Decoded, Event, ReadingBody } from '../../src/contract.ts';
import { openSparkplug, sparkplugOptions } from '../../src/decode/sparkplug.ts';
import { SluiceError } from '../../src/errors.ts';
import { messageOf } from './corpus.ts';
import { bdSeq, payload, T, type TestMetric } from './sparkplug-writer.ts';

const AT = Date.UTC(2026, 0, 1);
const REBIRTH = 'Node Control/Rebirth';

const told = (events: readonly Event[]) =>
  events.map(({ device, at, body }) => {
    const { values, categories } = body as ReadingBody;
    return [device, at - AT, ...[...values].map((v, i) => categories[i] ?? (Number.isNaN(v) ? null : v))];
  });

/** A plant with one decoder of `temperature` and `mode`, its clock in ms since AT. */
class Plant {
  readonly decoder;
  memory;

  constructor(options: Record<string, unknown> = {}) {
    const fields = {
      temperature: { pointer: '/Inputs/Temperature', range: [-50, 150] },
      mode: { type: 'category' },
    };
    this.decoder = openSparkplug(sparkplugOptions.parse({ fields, ...options }));
    this.memory = this.decoder.remember!(null);
  }

  send(
    type: string,
    at: number,
    seq: number | undefined,
    metrics: readonly TestMetric[],
    node = 'north',
  ): Sent {
    const levels = type.startsWith('D') ? [node, 'press'] : [node];
    const topic = ['spBv1.0', 'plant', type, ...levels].join('/');
    const message = messageOf(payload({ at: AT + at, seq, metrics }), { topic, at: AT + at });
    return { message, ...this.take(message, at) };
  }

  take(message: Sent['message'], at: number, again = false): Decoded {
    return this.memory.take(message, AT + at, again);
  }

  restart(): void {
    this.memory = this.decoder.remember!(this.memory.save());
  }

  /** NBIRTH and DBIRTH; the device's aliases begin at `first`. */
  birth(at: number, first = 1, seq = 0, session = 0): { node: Sent; device: Sent } {
    const node = this.send('NBIRTH', at, seq, [
      bdSeq(session),
      { name: REBIRTH, type: T.boolean, boolean: false },
    ]);
    const device = this.send('DBIRTH', at, seq + 1, [
      { name: 'Inputs/Temperature', alias: first, type: T.double, double: 20 },
      { name: 'mode', alias: first + 1, type: T.string, string: 'auto' },
      { name: 'Outputs/Valve', alias: first + 2, type: T.boolean, boolean: true },
    ]);
    return { node, device };
  }

  data(at: number, seq: number, double: number, alias = 1): Sent {
    return this.send('DDATA', at, seq, [{ alias, double }]);
  }
}

interface Sent extends Decoded {
  readonly message: ReturnType<typeof messageOf>;
}

const isRebirth = (at: number, node = 'north') => [
  {
    ...{ topic: `spBv1.0/plant/NCMD/${node}`, key: null, qos: 0 },
    payload: payload({
      at: AT + at,
      metrics: [{ name: REBIRTH, at: AT + at, type: T.boolean, boolean: true }],
    }),
  },
];
const codeOf = (run: () => unknown): string => {
  try {
    run();
    return 'none';
  } catch (error) {
    return error instanceof SluiceError ? error.code : `foreign ${String(error)}`;
  }
};

describe('a value by its type', () => {
  const read = (metric: TestMetric, type: string) => {
    const fields = { m: type === 'number' ? {} : { type }, other: {} };
    const metrics = [
      { name: 'm', ...metric },
      { name: 'other', type: T.double, double: 1 },
    ];
    const message = messageOf(payload({ at: AT, seq: 0, metrics }), { topic: 'spBv1.0/g/NBIRTH/n' });
    const [event] = openSparkplug(sparkplugOptions.parse({ fields })).decode(message);
    const { values, categories } = event.body as ReadingBody;
    return categories[0] ?? values[0];
  };
  test.each<[string, TestMetric, number]>([
    ['Int8, sign extended to 32 bits', { type: T.int8, int: 0xffff_ff80 }, -128],
    ['Int8, in 8 bits', { type: T.int8, int: 0xff }, -1],
    ['Int8, positive', { type: T.int8, int: 127 }, 127],
    ['Int8, sign extended to 64 bits', { type: T.int8, long: -3n }, -3],
    ['Int16', { type: T.int16, int: 0xffff_8000 }, -32_768],
    ['Int16, in 16 bits', { type: T.int16, int: 0x8000 }, -32_768],
    ['Int32', { type: T.int32, int: 0xffff_ffff }, -1],
    ['Int64', { type: T.int64, long: -1n }, -1],
    ['Int64, far down', { type: T.int64, long: -(2n ** 40n) }, -(2 ** 40)],
    ['UInt8', { type: T.uint8, int: 255 }, 255],
    ['UInt16', { type: T.uint16, int: 65_535 }, 65_535],
    ['UInt32', { type: T.uint32, int: 0xffff_ffff }, 0xffff_ffff],
    ['UInt32 as a long, as Tahu has it', { type: T.uint32, long: 0xffff_ffff }, 0xffff_ffff],
    ['UInt64', { type: T.uint64, long: 2n ** 53n }, 2 ** 53],
    ['Float', { type: T.float, float: 1.5 }, 1.5],
    ['Double', { type: T.double, double: 0.1 }, 0.1],
    ['DateTime as a number', { type: T.dateTime, long: AT }, AT],
    ['Int8 that is none', { type: T.int8, int: 300 }, Number.NaN],
    ['Int16 that is none', { type: T.int16, int: 0x1_0000 }, Number.NaN],
    ['UInt8 that is none', { type: T.uint8, int: 256 }, Number.NaN],
    ['UInt32 that is none', { type: T.uint32, long: 2n ** 32n }, Number.NaN],
    ['NaN', { type: T.double, double: Number.NaN }, Number.NaN],
    ['text of a number', { type: T.string, string: '5' }, Number.NaN],
    ['a double of type Int32', { type: T.int32, double: 5 }, Number.NaN],
    ['an unknown type', { type: 99, int: 5 }, Number.NaN],
    ['null', { type: T.double, isNull: true, double: 5 }, Number.NaN],
    ['no value', { type: T.double }, Number.NaN],
    ['bytes', { type: 17, bytes: Buffer.from('x') }, Number.NaN],
  ])('%s', (_, metric, wanted) => {
    expect(read(metric, 'number')).toBe(wanted);
  });

  test('booleans, text and times are of declared fields of their types', () => {
    expect(read({ type: T.boolean, boolean: true }, 'boolean')).toBe(1);
    expect(read({ type: T.boolean, boolean: false }, 'boolean')).toBe(0);
    expect(read({ type: T.string, string: 'grün' }, 'category')).toBe('grün');
    expect(read({ type: T.uuid, string: 'u' }, 'category')).toBe('u');
    expect(read({ type: T.dateTime, long: AT }, 'time')).toBe(AT);
    // 1970: a number this small would be seconds in JSON.
    expect(read({ type: T.dateTime, long: 5_000 }, 'time')).toBe(5_000);
  });
});

describe('births and data', () => {
  test('aliases stand for the names of the birth, types too; the device is group/node/device', () => {
    const plant = new Plant();
    const { node, device } = plant.birth(0);
    expect(node.events).toEqual([]);
    expect(told(device.events)).toEqual([['plant/north/press', 0, 20, 'auto']]);
    const sent = plant.send('DDATA', 5, 2, [{ alias: 1, double: 21.5, at: AT + 3 }]);
    expect(told(sent.events)).toEqual([['plant/north/press', 3, 21.5, null]]);
    expect(told(plant.send('DDATA', 6, 3, [{ alias: 3, boolean: true }]).events)).toEqual([]);
    expect(sent.requests).toEqual([]);
  });

  test('a birth is no reading where the options say so', () => {
    expect(new Plant({ births: false }).birth(0).device.events).toEqual([]);
  });

  test('names serve where there are no aliases, without any birth where the type is told', () => {
    const plant = new Plant();
    const named = plant.send('NDATA', 1, 7, [{ name: 'Inputs/Temperature', type: T.int16, int: 12 }]);
    expect(told(named.events)).toEqual([['plant/north', 1, 12, null]]);
    expect(plant.send('NDATA', 2, 8, [{ name: 'Inputs/Temperature', int: 12 }]).waitsFor).toBe('plant/north');
    plant.send('NBIRTH', 3, 0, [{ name: 'Inputs/Temperature', type: T.int8, int: 0xff }]);
    expect(told(plant.send('NDATA', 4, 1, [{ name: 'Inputs/Temperature', int: 0xfe }]).events)).toEqual([
      ['plant/north', 4, -2, null],
    ]);
  });

  test('historical metrics are a reading for each time; a field that comes twice begins another', () => {
    const plant = new Plant();
    plant.birth(0);
    const history = [1, 2, 1].map((at, i) => ({ alias: i === 2 ? 2 : 1, at: AT + at, historical: true }));
    const values = [{ double: 1 }, { double: 2 }, { string: 'hand' }];
    const now = [
      { alias: 1, double: 3 },
      { alias: 1, double: 4 },
      { alias: 2, string: 'auto' },
    ];
    const { events } = plant.send('DDATA', 9, 2, [
      ...history.map((one, i) => ({ ...one, ...values[i] })),
      ...now,
    ]);
    expect(told(events)).toEqual([
      ['plant/north/press', 1, 1, 'hand'],
      ['plant/north/press', 2, 2, null],
      ['plant/north/press', 9, 3, null],
      ['plant/north/press', 9, 4, 'auto'],
    ]);
    expect(new Set(events.map(({ id }) => id)).size).toBe(4);
  });

  test('null is no reading; what is out of range is refused', () => {
    const plant = new Plant();
    plant.birth(0);
    expect(plant.send('DDATA', 1, 2, [{ alias: 1, isNull: true }])).toMatchObject({
      events: [],
      refusal: null,
    });
    expect(plant.data(2, 3, 500).refusal?.code).toBe('DECODE_SHAPE');
    expect(told(plant.data(3, 4, 22).events)).toEqual([['plant/north/press', 3, 22, null]]);
  });

  test('a birth whose reading is refused is a birth all the same', () => {
    const plant = new Plant();
    plant.send('NBIRTH', 0, 0, [{ name: 'Inputs/Temperature', alias: 1, type: T.double, double: 500 }]);
    expect(plant.send('NDATA', 1, 1, [{ alias: 1, double: 20 }]).events.length).toBe(1);
  });

  test('commands and STATE are none of our business; other topics are refused', () => {
    const plant = new Plant();
    for (const topic of ['spBv1.0/plant/NCMD/north', 'spBv1.0/plant/DCMD/north/press', 'spBv1.0/STATE/scada'])
      expect(plant.take(messageOf('x', { topic }), 0).events).toEqual([]);
    for (const topic of [
      'plant/north',
      'spBv1.0/plant/DDATA/north',
      'spBv1.0/plant/XDATA/north',
      'spBv1.0//NDATA/n',
    ])
      expect(codeOf(() => plant.take(messageOf('x', { topic }), 0))).toBe('DECODE_SHAPE');
  });
});

describe('an alias that nobody named', () => {
  test('makes its message wait and the node be asked, and is read after the birth', () => {
    const plant = new Plant();
    const sent = plant.data(1, 40, 21);
    expect(sent.waitsFor).toBe('plant/north/press');
    expect(sent.requests).toEqual(isRebirth(1));
    const { node, device } = plant.birth(2);
    expect(node.frees).toBe('plant/north');
    expect(device.frees).toBe('plant/north/press');
    expect(told(plant.take(sent.message, 3, true).events)).toEqual([['plant/north/press', 1, 21, null]]);
  });

  test('is refused when the birth does not name it either', () => {
    const plant = new Plant();
    plant.birth(0);
    const sent = plant.data(1, 2, 21, 77);
    expect(sent.waitsFor).toBe('plant/north/press');
    plant.birth(2);
    expect(codeOf(() => plant.take(sent.message, 3, true))).toBe('DECODE_ALIAS');
  });

  test('two metrics of one alias in a birth mean nobody', () => {
    const plant = new Plant();
    plant.send('NBIRTH', 0, 0, [
      { name: 'Inputs/Temperature', alias: 1, type: T.double, double: 1 },
      { name: 'Other', alias: 1, type: T.double, double: 2 },
    ]);
    expect(plant.send('NDATA', 1, 1, [{ alias: 1, double: 3 }]).events).toEqual([]);
  });

  test('of another type than at the birth is not trusted', () => {
    const plant = new Plant();
    plant.birth(0);
    expect(plant.send('DDATA', 1, 2, [{ alias: 1, type: T.int32, int: 3 }]).waitsFor).not.toBeNull();
  });

  test('of 64 bits is as good as any', () => {
    const plant = new Plant();
    const alias = 2n ** 64n - 1n;
    plant.send('NBIRTH', 0, 0, [{ name: 'Inputs/Temperature', alias, type: T.double, double: 1 }]);
    expect(plant.send('NDATA', 1, 1, [{ alias, double: 3 }]).events.length).toBe(1);
    expect(plant.send('NDATA', 2, 2, [{ alias: alias - 1n, double: 3 }]).waitsFor).not.toBeNull();
  });

  test('asks at most once a second, ever more seldom, and not for ever', () => {
    const plant = new Plant();
    let asked = 0;
    for (let ms = 0; ms < 1_200_000; ms += 500) {
      if (ms === 0) asked += plant.data(0, 0, 1).requests.length;
      asked += plant.memory.asks(AT + ms).length;
    }
    expect(asked).toBe(10);
    let flood = 0;
    const other = new Plant();
    for (let i = 0; i < 900; i += 1) flood += other.data(i, i & 255, 1).requests.length;
    expect(flood).toBe(1);
  });
});

describe('order', () => {
  test('a gap in seq counts what was lost, asks, and lets wait what came after it', () => {
    const plant = new Plant();
    plant.birth(0);
    expect(plant.data(1, 2, 20).lost).toBe(0);
    const gap = plant.data(5, 6, 21);
    expect(gap).toMatchObject({ lost: 3, late: 0, waitsFor: 'plant/north/press', requests: isRebirth(5) });
    const next = plant.data(6, 7, 22);
    expect(next).toMatchObject({ lost: 0, waitsFor: 'plant/north/press', requests: [] });
    plant.birth(8);
    expect(told(plant.take(gap.message, 9, true).events)[0][2]).toBe(21);
    expect(told(plant.take(next.message, 9, true).events)[0][2]).toBe(22);
    expect(plant.data(10, 2, 23)).toMatchObject({ lost: 0, waitsFor: null });
  });

  test('with `gaps: trust` it counts and asks, and reads on', () => {
    const plant = new Plant({ gaps: 'trust' });
    plant.birth(0);
    const gap = plant.data(5, 6, 21);
    expect(gap).toMatchObject({ lost: 4, waitsFor: null, requests: isRebirth(5) });
    expect(gap.events.length).toBe(1);
  });

  test('goes round from 255 to 0', () => {
    const plant = new Plant();
    plant.birth(0);
    for (let i = 2; i < 1_000; i += 1) expect(plant.data(i, i & 255, 1)).toMatchObject({ lost: 0, late: 0 });
  });

  test('what comes again is late, not lost, and is read by the birth of its time', () => {
    const plant = new Plant();
    plant.birth(0);
    const sent = [plant.data(1, 2, 20), plant.data(2, 3, 21), plant.data(3, 4, 22)];
    for (const { message, events } of sent)
      expect(plant.take(message, 9)).toMatchObject({ lost: 0, late: 1, events });
    expect(plant.data(4, 5, 23)).toMatchObject({ lost: 0, late: 0 });
  });

  test('a replayed dead letter says nothing about order', () => {
    const plant = new Plant();
    plant.birth(0);
    const { message } = plant.data(1, 2, 20);
    for (let i = 3; i < 150; i += 1) plant.data(i, i, 1);
    expect(plant.take(message, 200, true)).toMatchObject({ lost: 0, late: 0, waitsFor: null });
    expect(plant.data(151, 150, 1)).toMatchObject({ lost: 0, late: 0 });
  });

  test('aliases that change are never read by another birth than that of their time', () => {
    const plant = new Plant();
    plant.birth(0);
    const early = plant.data(1, 2, 20);
    plant.birth(10, 100, 0, 1);
    const swapped = plant.send('DDATA', 11, 2, [{ alias: 100, double: 30 }]);
    expect(told(swapped.events)[0][2]).toBe(30);
    // Delivered again after the new birth it is read by the one before that.
    expect(plant.take(early.message, 12).events).toEqual(early.events);
    plant.restart();
    expect(plant.take(early.message, 12).events).toEqual(early.events);
    plant.birth(20, 200, 0, 2);
    expect(codeOf(() => plant.take(early.message, 22))).toBe('DECODE_ALIAS');
  });

  test('what waited when the node died is not read by the birth of its next session, if that has other aliases', () => {
    const plant = new Plant();
    plant.birth(0);
    const gap = plant.data(5, 9, 21);
    expect(gap.waitsFor).not.toBeNull();
    plant.send('NDEATH', 6, undefined, [bdSeq(0)]);
    plant.birth(7, 100, 0, 1);
    expect(codeOf(() => plant.take(gap.message, 8, true))).toBe('DECODE_ALIAS');
  });

  test('a birth that was delivered again late does not bring back its aliases', () => {
    const plant = new Plant();
    const { device: old } = plant.birth(0);
    plant.birth(10, 100);
    expect(plant.take(old.message, 11).requests.length).toBe(1);
    expect(told(plant.data(12, 2, 30, 100).events)[0][2]).toBe(30);
  });

  test('a node whose clock was set back is believed at its second birth', () => {
    const plant = new Plant();
    plant.birth(10_000);
    plant.birth(5_000, 100, 0, 1);
    plant.birth(5_001, 100, 0, 1);
    expect(told(plant.data(5_002, 2, 30, 100).events)[0][2]).toBe(30);
  });
});

describe('deaths', () => {
  test('after the death of a node or device its aliases stand for nothing until it is born again', () => {
    const plant = new Plant();
    plant.birth(0);
    plant.send('DDEATH', 1, 2, []);
    expect(plant.data(2, 3, 20).waitsFor).toBe('plant/north/press');
    plant.birth(3);
    expect(plant.data(4, 2, 20).waitsFor).toBeNull();
    plant.send('NDEATH', 5, undefined, [bdSeq(0)]);
    expect(plant.data(6, 3, 20).waitsFor).toBe('plant/north/press');
  });

  test('the will of the session before, by its bdSeq, kills nobody', () => {
    const plant = new Plant();
    plant.birth(0, 1, 0, 0);
    plant.birth(5, 1, 0, 1);
    plant.send('NDEATH', 6, undefined, [bdSeq(0)]);
    expect(plant.data(7, 2, 20).waitsFor).toBeNull();
  });
});

describe('a restart', () => {
  test('keeps aliases and numbering', () => {
    const plant = new Plant();
    plant.birth(0);
    plant.data(1, 2, 20);
    plant.restart();
    expect(plant.data(2, 3, 21)).toMatchObject({ lost: 0, waitsFor: null });
    plant.restart();
    expect(plant.data(9, 7, 22)).toMatchObject({
      lost: 3,
      waitsFor: 'plant/north/press',
      requests: isRebirth(9),
    });
  });

  test('after a kill the number is an old one: where nothing can be missing, reading goes on', () => {
    const plant = new Plant();
    plant.birth(0);
    const saved = plant.memory.save();
    for (let i = 2; i < 20; i += 1) plant.data(i, i, 1);
    const { message } = plant.data(30, 20, 21);
    const taken = (kept: boolean) => plant.decoder.remember!(saved).take(message, AT, false, kept);
    expect(taken(true)).toMatchObject({ lost: 0, waitsFor: null });
    expect(taken(true).events.length).toBe(1);
    expect(taken(false)).toMatchObject({ lost: 18, waitsFor: 'plant/north/press' });
    const memory = plant.decoder.remember!(saved);
    memory.take(message, AT, false, true);
    const { message: later } = plant.data(40, 25, 21);
    expect(memory.take(later, AT, false, true)).toMatchObject({ lost: 4, waitsFor: 'plant/north/press' });
    expect(memory.urgent).toBe(true);
  });

  test('between waiting and the birth: the message comes again, waits again, and is read', () => {
    const plant = new Plant();
    const { message } = plant.data(1, 2, 20);
    plant.restart();
    expect(plant.take(message, 5)).toMatchObject({ waitsFor: 'plant/north/press', requests: isRebirth(5) });
    plant.birth(6);
    expect(plant.take(message, 7, true).events.length).toBe(1);
  });

  test('with other declared fields asks for all births again', () => {
    const plant = new Plant();
    plant.birth(0);
    const other = openSparkplug(
      sparkplugOptions.parse({ fields: { valve: { pointer: '/Outputs/Valve', type: 'boolean' } } }),
    );
    const memory = other.remember!(plant.memory.save());
    const sent = plant.send('DDATA', 1, 2, [{ alias: 3, boolean: true }]);
    expect(memory.take(sent.message, AT, false).waitsFor).toBe('plant/north/press');
  });
});

describe('bounds', () => {
  test('the node least recently heard gives way, and is asked again', () => {
    const plant = new Plant({ maxNodes: 3 });
    const born = (node: string, at: number) =>
      plant.send(
        'NBIRTH',
        at,
        0,
        [{ name: 'Inputs/Temperature', alias: 1, type: T.double, double: 1 }],
        node,
      );
    const data = (node: string, at: number, seq: number) =>
      plant.send('NDATA', at, seq, [{ alias: 1, double: 2 }], node);
    for (const node of ['a', 'b', 'c']) born(node, 0);
    expect(data('a', 1, 1).waitsFor).toBeNull();
    born('d', 2);
    expect(data('a', 3, 2).waitsFor).toBeNull();
    expect(data('b', 4, 1)).toMatchObject({ waitsFor: 'plant/b', requests: isRebirth(4, 'b') });
  });

  test('aliases are bounded over all nodes, a birth of too many is refused', () => {
    const many = (n: number) =>
      Array.from({ length: n }, (_, i) => ({ name: `m${i}`, alias: i, type: T.double, double: 1 }));
    const plant = new Plant({ maxAliases: 100 });
    plant.send('NBIRTH', 0, 0, many(60), 'a');
    plant.send('NBIRTH', 0, 0, many(60), 'b');
    expect(plant.send('NDATA', 1, 1, [{ alias: 5, double: 1 }], 'b').waitsFor).toBeNull();
    expect(plant.send('NDATA', 1, 1, [{ alias: 5, double: 1 }], 'a').waitsFor).toBe('plant/a');
    expect(codeOf(() => plant.send('NBIRTH', 2, 0, many(101), 'c'))).toBe('DECODE_TOO_LARGE');
    const few = new Plant({ maxMetrics: 10 });
    expect(codeOf(() => few.send('NBIRTH', 0, 0, many(11)))).toBe('DECODE_TOO_LARGE');
  });

  test('a hundred thousand nodes and devices hold memory flat', () => {
    const plant = new Plant({ maxNodes: 100 });
    for (let i = 0; i < 100_000; i += 1) {
      const metrics = [{ alias: 1, double: 1 }];
      const message = messageOf(payload({ at: AT, seq: 0, metrics }), {
        topic: `spBv1.0/g/DDATA/n${i % 3}/d${i}`,
      });
      plant.take(message, 0);
    }
    expect(plant.memory.save().length).toBeLessThan(100_000);
    expect(Buffer.from(plant.memory.save()).toString().split('"group"').length).toBeLessThan(100);
  });
});

describe('misuse', () => {
  const topic = 'spBv1.0/plant/NBIRTH/north';
  test.each<[string, number[] | Buffer, string]>([
    ['cut off in a varint', [0x08, 0xff], 'DECODE_WIRE'],
    ['a varint of eleven bytes', [0x08, ...new Array<number>(11).fill(0xff), 1], 'DECODE_WIRE'],
    ['a length beyond the end', [0x12, 0x7f, 0x0a], 'DECODE_WIRE'],
    ['a length of 2^60', [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f], 'DECODE_WIRE'],
    ['a metric that ends within its name', [0x12, 0x02, 0x0a, 0x05], 'DECODE_WIRE'],
    ['field number 0', [0x00, 0x00], 'DECODE_WIRE'],
    ['a group', [0x33, 0x34], 'DECODE_WIRE'],
    ['a double cut off', [0x12, 0x04, 0x69, 0, 0, 0], 'DECODE_WIRE'],
    ['a seq of 256', [0x18, 0x80, 0x02], 'DECODE_WIRE'],
    ['JSON', Buffer.from('{"temperature":1}'), 'DECODE_WIRE'],
    ['nothing', [], 'DECODE_EMPTY'],
  ])('%s is refused', (_, bytes, code) => {
    expect(codeOf(() => new Plant().take(messageOf(Buffer.from(bytes), { topic }), 0))).toBe(code);
  });

  test('what its decoder may not let wait is refused', () => {
    const { decoder } = new Plant();
    const message = messageOf(payload({ seq: 0, metrics: [{ alias: 1, double: 1 }] }), {
      topic: 'spBv1.0/g/NDATA/n',
    });
    expect(codeOf(() => decoder.decode(message))).toBe('DECODE_UNBORN');
  });
});
