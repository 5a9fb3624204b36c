/** Just enough of SMTP and IMAP for tests: a sender, a receiver that keeps what comes, a mailbox that is clicked through. */
import { connect, createServer, type Socket } from 'node:net';

/** Lines as they come; `next` waits for one. */
class Lines {
  readonly #ready: string[] = [];
  readonly #waiting: ((line: string) => void)[] = [];
  #rest = '';

  constructor(socket: Socket) {
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      const lines = (this.#rest + text).split('\r\n');
      this.#rest = lines.pop()!;
      for (const line of lines) {
        const wake = this.#waiting.shift();
        if (wake) wake(line);
        else this.#ready.push(line);
      }
    });
  }

  next(): Promise<string> {
    const line = this.#ready.shift();
    return line === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(line);
  }
}

const opened = (port: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.once('error', reject);
  });

/** Sends one mail; resolves to the server's last word. */
export async function sendMail(port: number, mail: string): Promise<string> {
  const socket = await opened(port);
  const lines = new Lines(socket);
  const answer = async () => {
    for (;;) {
      const line = await lines.next();
      if (/^\d{3} /.test(line)) return line;
    }
  };
  const say = async (text: string) => {
    socket.write(`${text}\r\n`);
    return answer();
  };
  await answer();
  await say('EHLO client.example.org');
  await say('MAIL FROM:<bob@example.org> BODY=8BITMIME');
  await say('RCPT TO:<ann@example.net>');
  await say('DATA');
  const said = await say(`${mail.replace(/\r\n$/, '').replace(/^\./gm, '..')}\r\n.`);
  socket.end('QUIT\r\n');
  return said;
}

export interface Receiver {
  readonly port: number;
  readonly mails: string[];
  close(): Promise<void>;
}

/** Takes every mail. */
export async function receiveMail(): Promise<Receiver> {
  const mails: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    void serve(socket, mails);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const close = async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  return { port, mails, close };
}

async function serve(socket: Socket, mails: string[]): Promise<void> {
  const lines = new Lines(socket);
  socket.write('220 sink\r\n');
  for (;;) {
    const verb = (await lines.next()).slice(0, 4).toUpperCase();
    if (verb !== 'DATA') {
      // 8BITMIME, or Postfix would rewrite the body for us.
      const fine = verb === 'EHLO' ? '250-sink\r\n250 8BITMIME\r\n' : '250 fine\r\n';
      socket.write(verb === 'QUIT' ? '221 bye\r\n' : fine);
      continue;
    }
    socket.write('354 go on\r\n');
    const text: string[] = [];
    for (let line = await lines.next(); line !== '.'; line = await lines.next())
      text.push(line.replace(/^\.\./, '.'));
    mails.push(`${text.join('\r\n')}\r\n`);
    socket.write('250 kept\r\n');
  }
}

export class Mailbox {
  readonly #socket: Socket;
  readonly #lines: Lines;
  #tag = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#lines = new Lines(socket);
  }

  static async open(port: number): Promise<Mailbox> {
    const mailbox = new Mailbox(await opened(port));
    await mailbox.#lines.next();
    await mailbox.say('LOGIN ann secret');
    return mailbox;
  }

  /** One command; rejects where the server does not say OK. */
  async say(command: string, literal?: string): Promise<string[]> {
    const tag = `a${this.#tag++}`;
    this.#socket.write(`${tag} ${command}\r\n`);
    const said: string[] = [];
    for (;;) {
      const line = await this.#lines.next();
      if (line.startsWith('+') && literal !== undefined) this.#socket.write(`${literal}\r\n`);
      else if (!line.startsWith(`${tag} `)) said.push(line);
      else if (line.startsWith(`${tag} OK`)) return said;
      else throw new Error(`${command}: ${line}`);
    }
  }

  async append(folder: string, mail: string): Promise<void> {
    await this.say(`APPEND ${folder} {${Buffer.byteLength(mail)}}`, mail);
  }

  /** Moves the only mail of a folder. */
  async move(from: string, to: string): Promise<void> {
    await this.say(`SELECT ${from}`);
    await this.say(`MOVE 1 ${to}`);
  }

  close(): void {
    this.#socket.destroy();
  }
}
