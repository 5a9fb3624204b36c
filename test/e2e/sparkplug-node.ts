/**
 * A Sparkplug B edge node with one device for tests: a real MQTT client with its will, births with aliases, a sequence
 * number, and an ear for rebirth requests. It can be made deaf, and skip numbers as a lossy network would.
 */
import { createHash } from 'node:crypto';
import { connectAsync, type MqttClient } from 'mqtt';
import { bdSeq, payload, T } from '../decode/sparkplug-writer.ts';

export class EdgeNode {
  /** Of every data message that was sent, in order. */
  readonly sent: string[] = [];
  readonly #client: MqttClient;
  readonly #name: string;
  readonly #qos: 0 | 1;
  #seq = 0;
  readonly #session: number;
  #at = 0;
  rebirths = 0;
  isDeaf = false;

  private constructor(client: MqttClient, name: string, qos: 0 | 1, session: number) {
    this.#client = client;
    this.#name = name;
    this.#qos = qos;
    this.#session = session;
  }

  static async connect(
    url: string,
    name: string,
    options: { qos?: 0 | 1; session?: number } = {},
  ): Promise<EdgeNode> {
    const { qos = 0, session = 0 } = options;
    const will = {
      topic: `spBv1.0/plant/NDEATH/${name}`,
      payload: payload({ at: Date.now(), metrics: [bdSeq(session)] }),
      qos: 1 as const,
      retain: false,
    };
    const client = await connectAsync(url, { clientId: `edge-${name}-${session}`, protocolVersion: 5, will });
    const node = new EdgeNode(client, name, qos, session);
    client.on('message', (_, command) => {
      if (node.isDeaf || !command.includes('Node Control/Rebirth')) return;
      node.rebirths += 1;
      void node.birth();
    });
    await client.subscribeAsync(`spBv1.0/plant/NCMD/${name}`, { qos: 1 });
    return node;
  }

  /** Another session has other aliases. */
  get #alias(): number {
    return 10 + 10 * this.#session;
  }

  async birth(): Promise<void> {
    this.#seq = 0;
    await this.#send('NBIRTH', [
      bdSeq(this.#session),
      { name: 'Node Control/Rebirth', type: T.boolean, boolean: false },
    ]);
    await this.#send('DBIRTH', [{ name: 'Inputs/x', alias: this.#alias, type: T.int16, int: 0 }]);
  }

  /** The identity of its event, as payloads.md defines it. */
  async data(x: number): Promise<string> {
    const { topic, bytes } = await this.#send('DDATA', [{ alias: this.#alias, int: x & 0xffff }]);
    const hash = createHash('sha256').update(`${topic}\0\0`).update(bytes).digest('hex');
    const id = `sha256:${hash.slice(0, 32)}`;
    this.sent.push(id);
    return id;
  }

  /** So many messages that never arrive. */
  skip(n: number): void {
    this.#seq = (this.#seq + n) & 255;
  }

  /** Without a goodbye: the broker publishes the will. */
  async die(): Promise<void> {
    this.#client.stream.destroy();
    await this.#client.endAsync(true);
  }

  async close(): Promise<void> {
    await this.#client.endAsync();
  }

  async #send(
    type: string,
    metrics: Parameters<typeof payload>[0]['metrics'],
  ): Promise<{ topic: string; bytes: Buffer }> {
    const device = type.startsWith('D') ? '/press' : '';
    const topic = `spBv1.0/plant/${type}/${this.#name}${device}`;
    // No two messages are alike, and later ones are later.
    this.#at = Math.max(Date.now(), this.#at + 1);
    const bytes = payload({ at: this.#at, seq: this.#seq, metrics });
    this.#seq = (this.#seq + 1) & 255;
    await this.#client.publishAsync(topic, bytes, { qos: this.#qos });
    return { topic, bytes };
  }
}
