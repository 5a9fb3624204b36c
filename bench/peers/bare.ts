/**
 * The bare loop: consume, publish a constant message of the given size, acknowledge when the broker has it. The
 * same client, acknowledgement and grouping of publishes as the gateway, and nothing else: no decoding,
 * features, model, store or envelope. Run as `node bare.js JSON`.
 */
import { systemClock } from '../../src/clock.ts';
import type { Delivery, IoContext, Sink, Source, Transport } from '../../src/contract.ts';
import { transports } from '../../src/io/index.ts';
import { Telemetry } from '../../src/telemetry.ts';

interface BareOptions {
  readonly type: 'mqtt' | 'kafka';
  readonly source: Record<string, unknown>;
  readonly sink: Record<string, unknown>;
  readonly topic: string;
  readonly bytes: number;
  readonly maxInFlight: number;
}

const options = JSON.parse(process.argv[2]) as BareOptions;
const transport = transports[options.type] as unknown as Transport<unknown, unknown>;
const context: IoContext = {
  site: 'bare',
  clock: systemClock,
  telemetry: new Telemetry({ level: 'warn' }),
  maxInFlight: options.maxInFlight,
  maxInFlightBytes: 64 * 1024 * 1024,
};
const source: Source = transport.source.open('in', transport.source.options.parse(options.source), context);
const sinkSide = transport.sink!;
const sink: Sink = sinkSide.open('out', sinkSide.options.parse(options.sink), context);
const payload = 'x'.repeat(options.bytes);
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());

let waiting: Delivery[] = [];
let publishing: Promise<void> | null = null;

async function drain(): Promise<void> {
  while (waiting.length > 0) {
    const group = waiting;
    waiting = [];
    await sink.publish(group.map(({ message }) => ({ topic: options.topic, key: message.key, payload })));
    for (const delivery of group) delivery.settle('done');
  }
  publishing = null;
}

for await (const deliveries of source.read(stop.signal)) {
  waiting.push(...deliveries);
  publishing ??= drain();
}
await publishing;
await source.close();
await sink.close();
process.exit(0);
