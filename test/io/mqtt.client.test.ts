/**
 * What our source needs of mqtt.js beyond its documentation, held down for the pinned version: an
 * upgrade that breaks one of these would lose messages silently. The other side is a bare socket, since
 * a broker does not show what it was sent.
 */
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { connect, type IPublishPacket, type MqttClient } from 'mqtt';
import { describe, expect, it, onTestFinished } from 'vitest';
import { until } from './mqtt.kit.ts';

const CONNACK = [0x20, 3, 0, 0, 0];

/** PUBLISH, QoS 1, MQTT 5: `alias` 0 for none. */
function publish(packetId: number, topic: string, payload: string, alias = 0): number[] {
  const properties = alias === 0 ? [0] : [3, 0x23, alias >> 8, alias & 255];
  const body = [
    ...[topic.length >> 8, topic.length & 255, ...Buffer.from(topic)],
    ...[packetId >> 8, packetId & 255, ...properties, ...Buffer.from(payload)],
  ];
  return [0x32, body.length, ...body];
}

interface Wire {
  readonly client: MqttClient;
  /** What the client sent after CONNECT, in hex. */
  sent(): string;
  send(...packets: readonly number[][]): void;
}

/** A client of MQTT 5 whose packets are answered with CONNACK and otherwise only written down. */
async function wire(configure: (client: MqttClient) => void): Promise<Wire> {
  let socket: Socket | null = null;
  let bytes = Buffer.alloc(0);
  const server = createServer((connection) => {
    socket = connection;
    connection.once('data', () => {
      connection.on('data', (chunk) => {
        bytes = Buffer.concat([bytes, chunk]);
      });
      connection.write(Buffer.from(CONNACK));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const client = connect(`mqtt://127.0.0.1:${port}`, {
    protocolVersion: 5,
    clientId: 'c',
    reconnectPeriod: 0,
    keepalive: 0,
    properties: { topicAliasMaximum: 10 },
  });
  configure(client);
  onTestFinished(async () => {
    await client.endAsync(true);
    socket?.destroy();
    server.close();
  });
  await until('the client is connected', () => client.connected);
  return {
    client,
    sent: () => bytes.toString('hex'),
    send: (...packets) => void socket?.write(Buffer.from(packets.flat())),
  };
}

describe('mqtt.js', () => {
  it('is the version whose inner workings were looked at', () => {
    const manifest = new URL('../../node_modules/mqtt/package.json', import.meta.url);
    expect(JSON.parse(readFileSync(manifest, 'utf8')).version).toBe('5.16.0');
  });

  it('sends no PUBACK for a message whose callback gets an error, and goes on with the next', async () => {
    const seen: string[] = [];
    const { client, send, sent } = await wire((c) => {
      c.handleMessage = (packet, callback) => {
        seen.push(String(packet.payload));
        callback(new Error('held'));
      };
    });
    send(publish(1, 't', 'a'), publish(2, 't', 'b'));
    send(publish(3, 't', 'c'));
    await until('all were seen', () => seen.length === 3);
    client.sendPing();
    await until('the ping was sent', () => sent() !== '');
    expect(seen).toEqual(['a', 'b', 'c']);
    expect(sent()).toBe('c000');
  });

  it('lets PUBACKs be written to its stream, between its own packets', async () => {
    const { client, sent } = await wire(() => {});
    client.sendPing();
    client.stream.write(Buffer.from([0x40, 2, 0, 7]));
    client.publish('t', 'x', { qos: 0 });
    client.stream.write(Buffer.from([0x40, 2, 0, 8]));
    await until('all was sent', () => sent().endsWith('40020008'));
    expect(sent()).toBe(`c000${'40020007'}${'3005000174'}${'0078'}${'40020008'}`);
  });

  it('hands over nothing more while a callback is withheld', async () => {
    const seen: string[] = [];
    const callbacks: (() => void)[] = [];
    const { send } = await wire((c) => {
      c.handleMessage = (packet, callback) => {
        seen.push(String(packet.payload));
        callbacks.push(() => callback(new Error('held')));
      };
    });
    send(publish(1, 't', 'a'), publish(2, 't', 'b'), publish(3, 't', 'c'));
    await until('the first was seen', () => seen.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(seen).toEqual(['a']);
    callbacks[0]();
    await until('the second was seen', () => seen.length === 2);
    expect(seen).toEqual(['a', 'b']);
  });

  it('emits `message`, with the topic behind an alias, right before handleMessage', async () => {
    const calls: string[] = [];
    const { send } = await wire((c) => {
      c.on('message', (topic) => calls.push(`message ${topic}`));
      c.handleMessage = (packet: IPublishPacket, callback) => {
        calls.push(`handle ${packet.payload}`);
        callback(new Error('held'));
      };
    });
    send(publish(1, 'long/topic', 'a', 3), publish(2, '', 'b', 3), publish(3, 't', 'c'));
    await until('all were seen', () => calls.length === 6);
    expect(calls).toEqual([
      'message long/topic',
      'handle a',
      'message long/topic',
      'handle b',
      'message t',
      'handle c',
    ]);
  });

  it('has a stream that tells its fill and can be destroyed, and a `close` that follows', async () => {
    const { client } = await wire(() => {});
    expect(client.stream.writableLength).toBe(0);
    const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
    client.stream.destroy();
    await closed;
    expect(client.connected).toBe(false);
    expect(client.reconnecting).toBe(false);
  });
});
