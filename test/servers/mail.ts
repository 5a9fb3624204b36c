/**
 * Debian's rspamd, Postfix and Dovecot for tests, each in a temporary folder of its own, on free loopback ports, with the
 * examples of docs/mail/ in its configuration and nothing of the system's. Promises that `stop` leaves no process
 * behind. Where a program is missing, or this user cannot run it, one line says so and its tests skip.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const EXAMPLES = fileURLToPath(new URL('../../docs/mail', import.meta.url));
const STARTS_WITHIN_MS = 20_000;
const isRoot = process.getuid?.() === 0;

function find(name: string): string | null {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin', '/usr/local/sbin'];
  return folders.map((folder) => path.join(folder, name)).find((file) => existsSync(file)) ?? null;
}

function why(
  name: string,
  debian: string,
  needsRoot: boolean,
  alsoNeeds: readonly string[] = [],
): string | null {
  const missing =
    find(name) === null || alsoNeeds.some((file) => !existsSync(file))
      ? `not installed; apt-get install --no-install-recommends ${debian} (as root)`
      : needsRoot && !isRoot
        ? 'it can only be started by root'
        : null;
  if (missing) process.stderr.write(`SKIPPED, no ${name}: ${missing}\n`);
  return missing;
}

/** Why there is none here; null where there is. */
export const whyNoRspamd = (): string | null => why('rspamd', 'rspamd', false);
export const whyNoPostfix = (): string | null => why('postfix', 'postfix', true);
export const whyNoDovecot = (): string | null =>
  why('dovecot', 'dovecot-imapd dovecot-sieve curl', true, [
    '/usr/lib/dovecot/modules/lib95_imap_sieve_plugin.so',
    '/usr/bin/curl',
  ]);

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface Program {
  readonly port: number;
  readonly folder: string;
  /** What it wrote. */
  log(): string;
  stop(): Promise<void>;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts it; resolves when its port answers. */
async function launch(
  command: readonly string[],
  folder: string,
  port: number,
  end?: () => void,
  env: Readonly<Record<string, string>> = {},
): Promise<Program> {
  let log = '';
  const child = spawn(command[0], command.slice(1), {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  void exited.then(() => running.delete(child));
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-100_000);
    });
  const stop = async () => {
    if (end) end();
    else child.kill('SIGTERM');
    const killed = setTimeout(() => child.kill('SIGKILL'), 5_000);
    await exited;
    clearTimeout(killed);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  for (const until = Date.now() + STARTS_WITHIN_MS; !(await answers(port)); ) {
    if (Date.now() > until || child.exitCode !== null) {
      await stop();
      throw new Error(`${command[0]} did not start:\n${log}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { port, folder, log: () => log, stop };
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

/** Other users of these programs must be able to pass through. */
function ownFolder(name: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), `sluice-${name}-`));
  chmodSync(folder, 0o755);
  return folder;
}

export interface Target {
  /** `http://127.0.0.1:PORT` of the gateway. */
  readonly url: string;
  readonly token: string;
}

// ------------------------------------------------------------------ rspamd

export interface Rspamd extends Program {
  /** Where Postfix asks it. */
  readonly milter: number;
}

export async function startRspamd({ url, token }: Target): Promise<Rspamd> {
  const folder = ownFolder('rspamd');
  const [port, milter] = [await freePort(), await freePort()];
  const config = path.join(folder, 'rspamd.conf');
  // The real list takes seconds to compile.
  writeFileSync(path.join(folder, 'domains'), 'com\norg\nnet\n');
  writeFileSync(
    config,
    `options {
  pidfile = "${folder}/pid"; tempdir = "${folder}"; dynamic_conf = "${folder}/dynamic"; hs_cache_dir = "${folder}";
  control_socket = "${folder}/control mode=0600"; filters = ""; shutdown_timeout = 0.3s; task_timeout = 4s;
  url_tld = "${folder}/domains";
  dns { nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; }
}
logging { type = "console"; level = "info"; }
worker "normal" { bind_socket = "127.0.0.1:${port}"; count = 1; }
worker "rspamd_proxy" {
  bind_socket = "127.0.0.1:${milter}"; milter = yes; timeout = 5s; count = 1;
  upstream "local" { default = yes; self_scan = yes; }
}
modules { path = "${EXAMPLES}/rspamd/"; }
actions { reject = 15; add_header = 4; }
sluice { url = "${url}/api/classify?task=spam"; token = "${token}"; deadline = 500; }
`,
  );
  const user = isRoot ? ['-i', '-u', 'root', '-g', 'root'] : [];
  const program = await launch([find('rspamd')!, '-f', '-c', config, ...user], folder, port);
  return { ...program, milter };
}

// ------------------------------------------------------------------ Postfix

/** The milter of docs/mail/, as a process of its own. */
export async function startMilter({ url, token }: Target, port?: number): Promise<Program> {
  const folder = ownFolder('milter');
  const own = port ?? (await freePort());
  const script = path.join(EXAMPLES, 'postfix', 'sluice-milter.mjs');
  const command = [
    process.execPath,
    script,
    '--listen',
    `127.0.0.1:${own}`,
    '--url',
    url,
    '--deadline',
    '500',
  ];
  return launch([...command, '--task', 'spam'], folder, own, undefined, { SLUICE_TOKEN: token });
}

export interface Postfix extends Program {
  /** Takes foreign lines out by itself from now on, with or without a milter. */
  guard(): void;
}

/** Takes mail over SMTP, asks the milter, hands everything on to `next`. */
export async function startPostfix(milter: number, next: number): Promise<Postfix> {
  const folder = ownFolder('postfix');
  const port = await freePort();
  const config = path.join(folder, 'config');
  for (const name of ['config', 'queue', 'data']) mkdirSync(path.join(folder, name));
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, 'postfix'])));
  chownSync(path.join(folder, 'data'), uid, gid);
  writeFileSync(
    path.join(config, 'main.cf'),
    `compatibility_level = 3.6
queue_directory = ${folder}/queue
data_directory = ${folder}/data
maillog_file = ${folder}/log
maillog_file_prefixes = ${folder}
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.example.org
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
smtpd_relay_restrictions = permit_mynetworks, reject
default_transport = smtp:[127.0.0.1]:${next}
smtp_dns_support_level = disabled
minimal_backoff_time = 1s
# docs/mail/README.md
smtpd_milters = inet:127.0.0.1:${milter}
milter_default_action = accept
milter_connect_timeout = 2s
milter_command_timeout = 5s
milter_content_timeout = 10s
`,
  );
  // name, type, private, wake-up, processes at most, program; the SMTP server last: when it answers, the others are there.
  const services = `postlog unix-dgram n - 1 postlogd
cleanup unix n - 0 cleanup
qmgr unix n 300 1 qmgr
rewrite unix - - - trivial-rewrite
bounce unix - - 0 bounce
defer unix - - 0 bounce
trace unix - - 0 bounce
verify unix - - 1 verify
flush unix n - 0 flush
showq unix n - - showq
proxymap unix - - - proxymap
anvil unix - - 1 anvil
error unix - - - error
retry unix - - - error
smtp unix - - - smtp
127.0.0.1:${port} inet n - - smtpd`;
  // Nothing runs chrooted: a folder of a test holds no libraries.
  const table = services.replace(/^(\S+ \S+ \S+) (.*)$/gm, '$1 - n $2');
  writeFileSync(path.join(config, 'master.cf'), `${table}\n`);
  const postfix = find('postfix')!;
  const end = () => {
    try {
      execFileSync(postfix, ['-c', config, 'stop'], { stdio: 'ignore' });
    } catch {
      // It has ended by itself.
    }
  };
  const program = await launch([postfix, '-c', config, 'start-fg'], folder, port, end);
  return {
    ...program,
    guard() {
      const line = 'header_checks = regexp:{{/^X-Sluice(-[!-9;-~]*)?:/ IGNORE}}';
      appendFileSync(path.join(config, 'main.cf'), `${line}\n`);
      execFileSync(postfix, ['-c', config, 'reload'], { stdio: 'ignore' });
    },
  };
}

// ------------------------------------------------------------------ Dovecot

/** IMAP with one user, `ann`, whose password is `secret`; the learn scripts of docs/mail/ beside her mailboxes. */
export async function startDovecot({ url, token }: Target): Promise<Program> {
  const folder = ownFolder('dovecot');
  const port = await freePort();
  const sieve = path.join(folder, 'sieve');
  for (const name of ['run', 'state', 'mail', 'sieve']) mkdirSync(path.join(folder, name));
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, 'mail'])));
  chownSync(path.join(folder, 'mail'), uid, gid);
  for (const name of ['learn-spam.sieve', 'learn-ham.sieve', 'sluice-learn'])
    execFileSync('cp', [path.join(EXAMPLES, 'dovecot', name), sieve]);
  chmodSync(path.join(sieve, 'sluice-learn'), 0o755);
  writeFileSync(path.join(folder, 'sluice-learn.conf'), `url=${url}\ntask=spam\n`);
  writeFileSync(path.join(folder, 'sluice-learn.header'), `Authorization: Bearer ${token}\n`);
  const config = path.join(folder, 'dovecot.conf');
  writeFileSync(config, dovecotConfig(folder, port, uid, gid));
  execFileSync(find('sievec')!, ['-c', config, '-P', 'sieve_imapsieve', '-P', 'sieve_extprograms', sieve]);
  return launch([find('dovecot')!, '-F', '-c', config], folder, port);
}

function dovecotConfig(folder: string, port: number, uid: number, gid: number): string {
  const example = readFileSync(path.join(EXAMPLES, 'dovecot', '90-sluice.conf'), 'utf8');
  return `base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = /dev/stderr
protocols = imap
ssl = no
disable_plaintext_auth = no
listen = 127.0.0.1
first_valid_uid = 1
mail_location = maildir:${folder}/mail/%u
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=${uid} gid=${gid} home=${folder}/mail/home-%u
}
service imap-login {
  inet_listener imap {
    port = ${port}
  }
  inet_listener imaps {
    port = 0
  }
}
namespace inbox {
  inbox = yes
  mailbox Trash {
    auto = create
    special_use = \\Trash
  }
  mailbox Papierkorb {
    auto = create
    special_use = \\Trash
  }
  mailbox Junk {
    auto = create
    special_use = \\Junk
  }
}
${example.replaceAll('/etc/dovecot/sieve', `${folder}/sieve`)}`;
}
