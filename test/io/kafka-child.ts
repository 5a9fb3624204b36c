/**
 * A consumer in a process of its own, for tests that kill it: `node kafka-child.js BROKER TOPIC`. Writes each
 * message's text as a line, synchronously, before it settles it; settles out of order and late.
 */
import { writeSync } from 'node:fs';
import type { Delivery } from '../../src/contract.ts';
import { openSource } from './kafka-kit.ts';

const [broker, topic] = process.argv.slice(2);
const source = openSource([broker], topic, { sessionTimeout: '1500ms' }, { maxInFlight: 300 });
const held: Delivery[] = [];

setInterval(() => {
  for (const delivery of held.splice(0, Math.ceil(held.length / 2)).reverse()) {
    writeSync(1, `${Buffer.from(delivery.message.payload).toString()}\n`);
    delivery.settle('done');
  }
}, 5);

for await (const deliveries of source.read(new AbortController().signal)) held.push(...deliveries);
