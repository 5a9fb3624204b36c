/**
 * The embedded broker of the demo: aedes, MQTT 3.1.1, in memory. It loses everything when the process
 * ends and confirms before it stores, so nothing that matters belongs on it. On loopback unless told
 * otherwise, and without authentication: it refuses no one who reaches it.
 */
import { createServer, type Socket } from 'node:net';
import { Aedes } from 'aedes';

export interface BrokerOptions {
  /** 0, the default, takes a free one. */
  readonly port?: number;
  readonly host?: string;
}

export interface Broker {
  /** mqtt://host:port */
  readonly url: string;
  /** Clients connected now. */
  readonly connected: number;
  /** Ends every connection and stops listening. */
  close(): Promise<void>;
}

export async function startBroker({ port = 0, host = '127.0.0.1' }: BrokerOptions = {}): Promise<Broker> {
  const aedes = await Aedes.createBroker({
    // A subscriber that does not read must not hold up the others: neither by a place in a common
    // queue (0: no common queue), nor is it thrown out: our own source stops reading on purpose.
    concurrency: 0,
    drainTimeout: 0,
  });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    aedes.handle(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve());
  });
  const address = server.address();
  const bound = typeof address === 'object' && address ? address.port : port;
  return {
    url: `mqtt://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    get connected() {
      return aedes.connectedClients;
    },
    async close() {
      const stopped = new Promise<void>((resolve) => server.close(() => resolve()));
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await stopped;
    },
  };
}
