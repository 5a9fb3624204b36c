/**
 * `sluice keys new|trust`: who signs, and whom a gateway believes. `new` writes the private key to a file of its own
 * (never over another) and the public one beside it; `trust` adds a public key to a file of trusted keys, once.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { trustFile } from '../app/trust.ts';
import { loadConfig } from '../config.ts';
import { SluiceError } from '../errors.ts';
import {
  formatPublicKey,
  newKey,
  type PublicKey,
  parsePublicKey,
  parseTrust,
  readPrivateKey,
  readTrust,
  writePrivateKey,
} from '../model/signing.ts';
import { collectSetting, type DefineVerb, print, printJson, type Terminal } from './terminal.ts';

interface NewOptions {
  readonly name?: string;
  readonly json?: string | true;
}

interface TrustOptions extends NewOptions {
  readonly config?: string;
  readonly set: readonly string[];
  readonly file?: string;
}

export const define: DefineVerb = (command, terminal) => {
  command.addHelpText(
    'after',
    '\nExamples:\n  sluice keys new hub.key --name "hub north"\n  sluice keys trust hub.key.pub -c sluice.yaml',
  );
  command
    .command('new')
    .description('make a key pair: FILE is the private key, FILE.pub the public one')
    .argument('<file>', 'where to write it; it must not exist')
    .option('--name <name>', 'what people call it')
    .option('--json [file]', 'as JSON, to standard output or a file')
    .action((file: string, options: NewOptions) => create(file, options, terminal));
  command
    .command('trust')
    .description('let what a key signs run here')
    .argument('<key>', 'the public key: its line `ed25519:…`, or a file that holds it')
    .option('-c, --config <file>', 'configuration of the gateway (YAML); its `models.trust` is the file')
    .option('--set <path=value>', 'override one option of it (repeatable)', collectSetting, [])
    .option('--file <file>', 'the file of trusted keys, instead of a configuration')
    .option('--name <name>', 'call it so instead of what the key says')
    .option('--json [file]', 'as JSON, to standard output or a file')
    .action((key: string, options: TrustOptions) => trust(key, options, terminal));
};

async function create(file: string, options: NewOptions, terminal: Terminal): Promise<void> {
  const publicFile = `${file}.pub`;
  if (existsSync(publicFile))
    throw new SluiceError('KEY_INVALID', `${publicFile} exists already, and a key is never overwritten`);
  const key = newKey(options.name);
  writePrivateKey(file, key);
  const line = formatPublicKey(key.public);
  writeFileSync(publicFile, `${line}\n`, { flag: 'wx' });
  if (options.json !== undefined)
    return printJson(terminal, options.json, { file, publicFile, ...plain(key.public) });
  print(terminal, line);
  terminal.stderr.write(
    `${file} is the private key: keep it on the hub and nowhere else\n${publicFile} is the line above: gateways trust it with \`sluice keys trust ${publicFile} -c FILE\`\n`,
  );
}

const plain = (key: PublicKey) => ({
  key: formatPublicKey({ ...key, name: '' }),
  name: key.name,
  id: key.id,
});

async function trust(given: string, options: TrustOptions, terminal: Terminal): Promise<void> {
  if ((options.config === undefined) === (options.file === undefined))
    throw new SluiceError('USAGE', 'name the trusted keys: either -c FILE or --file TRUSTFILE');
  const file =
    options.file ?? trustFile(loadConfig(options.config!, { set: options.set, env: terminal.env }));
  const before = existsSync(file) ? readTrust(file) : [];
  const keys = readGiven(given, options.name);
  const added = keys.filter(({ hex }) => before.every((known) => known.hex !== hex));
  if (added.length > 0) append(file, added);
  if (options.json !== undefined)
    return printJson(terminal, options.json, {
      file,
      added: added.map(plain),
      trusted: before.length + added.length,
    });
  for (const key of keys) {
    const word = added.includes(key) ? 'trusted from now on' : 'was trusted already';
    print(terminal, `${word}: ${formatPublicKey(key)}`);
  }
  const count = before.length + added.length;
  print(terminal, `${file} holds ${count} trusted ${count === 1 ? 'key' : 'keys'}`);
}

/** A line, a file of such lines, or a private key's file, of which only the public half is taken. */
function readGiven(given: string, name: string | undefined): PublicKey[] {
  if (given.startsWith('ed25519:')) return [named(parsePublicKey(given), name)];
  if (existsSync(given) && readFileSync(given).subarray(0, 200).includes('PRIVATE KEY'))
    return [named(readPrivateKey(given).public, name)];
  if (!existsSync(given))
    throw new SluiceError(
      'INPUT_NOT_FOUND',
      `${given}: neither a public key (ed25519:…) nor a file that holds one`,
    );
  const keys = readTrust(given);
  if (keys.length === 0) throw new SluiceError('KEY_INVALID', `${given} holds no key`);
  if (name !== undefined && keys.length > 1)
    throw new SluiceError('USAGE', `--name: ${given} holds ${keys.length} keys`);
  return keys.map((key) => named(key, name));
}

function named(key: PublicKey, name: string | undefined): PublicKey {
  if (name === undefined) return key;
  return parsePublicKey(formatPublicKey({ ...key, name }));
}

/** Replaces the file whole: a gateway may read it at any moment. Comments stay. */
function append(file: string, keys: readonly PublicKey[]): void {
  const before = existsSync(file)
    ? readFileSync(file, 'utf8')
    : '# whose models this gateway installs, one key a line\n';
  const text = `${before}${before === '' || before.endsWith('\n') ? '' : '\n'}${keys.map((key) => `${formatPublicKey(key)}\n`).join('')}`;
  parseTrust(text, file); // what is written can be read
  try {
    mkdirSync(dirname(file), { recursive: true });
    const partial = `${file}.${process.pid}.partial`;
    writeFileSync(partial, text, { flush: true });
    renameSync(partial, file);
  } catch (error) {
    throw new SluiceError('KEY_INVALID', `cannot write ${file}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
