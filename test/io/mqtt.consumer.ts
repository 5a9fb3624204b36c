/**
 * A consumer as a process of its own, for the test that kills it: notes each message in a file and only
 * then settles it, some of them late and out of order. Arguments: file, address, version, topic, session.
 */
import { openSync, writeSync } from 'node:fs';
import { systemClock } from '../../src/clock.ts';
import { mqtt } from '../../src/io/mqtt.ts';
import { Telemetry } from '../../src/telemetry.ts';

const [file, url, version, topic, session] = process.argv.slice(2);
const notes = openSync(file, 'a');
const source = mqtt.source.open(
  'killed',
  mqtt.source.options.parse({ url, version: Number(version), topics: [topic], session }),
  {
    site: 'test',
    clock: systemClock,
    telemetry: new Telemetry({ level: 'silent' }),
    maxInFlight: 200,
    maxInFlightBytes: 1_000_000,
  },
);
for await (const batch of source.read(new AbortController().signal)) {
  await new Promise((resolve) => setTimeout(resolve, 1));
  for (const { message } of batch) writeSync(notes, `${Buffer.from(message.payload).toString()}\n`);
  for (const delivery of [...batch].reverse()) delivery.settle('done');
}
