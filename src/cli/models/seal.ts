/**
 * `models sign` and `models verify`: putting one's name under a bundle in a file, and judging one as a gateway
 * would. A file is replaced whole or not at all.
 */
import { rename, rm, writeFile } from 'node:fs/promises';
import { taskSpec } from '../../app/spec.ts';
import { systemClock } from '../../clock.ts';
import type { Bundle } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import {
  digestOf,
  type Expected,
  MAX_BUNDLE_BYTES,
  renewBundle,
  signBundle,
  verifyBundle,
} from '../../model/bundle.ts';
import { isExposed, readPrivateKey } from '../../model/signing.ts';
import { openTask } from '../../task/task.ts';
import { duration } from '../../units.ts';
import { print, printJson, type Terminal } from '../terminal.ts';
import { findPlace, type Place, readBundleFile, type Where } from './place.ts';
import { ago, moment, nameOf, shortDigest, signerName } from './text.ts';

export interface SignOptions extends Where {
  readonly out?: string;
  readonly expires?: string;
}

export async function sign(file: string, options: SignOptions, terminal: Terminal): Promise<void> {
  const { keyFile } = findPlace(options, terminal);
  if (keyFile === null)
    throw new SluiceError('USAGE', 'name the private key: --key FILE, or -c FILE with a `hub` section');
  const key = readPrivateKey(keyFile);
  if (isExposed(keyFile))
    terminal.stderr.write(`sluice: others can read ${keyFile}: run \`chmod 600\` on it, or make a new key\n`);
  const { bytes } = await readBundleFile(file);
  const now = systemClock.now();
  const expires = options.expires === undefined ? null : now + parseDuration(options.expires);
  const signed =
    expires === null
      ? signBundle(bytes, key)
      : renewBundle(bytes, (manifest) => ({ ...manifest, expires }), key);
  const out = options.out ?? file;
  await replace(out, signed);
  const { bundle } = await readBundleFile(out);
  if (options.json !== undefined) return printJson(terminal, options.json, plain(bundle));
  const { manifest } = bundle;
  print(terminal, `${out}: signed ${nameOf(manifest)}, now ${shortDigest(digestOf(signed))}`);
  print(
    terminal,
    `by ${signerName(bundle.signer, [key.public])}, expires ${moment(manifest.expires)} (${ago(manifest.expires, now)})`,
  );
}

function parseDuration(text: string): number {
  const parsed = duration.safeParse(text);
  if (parsed.success && parsed.data > 0) return Math.round(parsed.data);
  throw new SluiceError('USAGE', `--expires ${text}: write how long it may be installed, as in 90d`);
}

async function replace(path: string, bytes: Uint8Array): Promise<void> {
  const partial = `${path}.${process.pid}.partial`;
  try {
    await writeFile(partial, bytes, { flag: 'wx', flush: true });
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw new SluiceError('INPUT_INVALID', `cannot write ${path}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

const plain = ({ weights: _, ...bundle }: Bundle) => bundle;

export async function verify(file: string, options: Where, terminal: Terminal): Promise<void> {
  const place = findPlace(options, terminal);
  if (options.trust === undefined && place.config === null)
    throw new SluiceError('USAGE', 'name whom to trust: --trust FILE, or -c FILE');
  const now = systemClock.now();
  let bundle: Bundle;
  try {
    const { bytes, bundle: claimed } = await readBundleFile(file);
    bundle = verifyBundle(bytes, expectedOf(claimed, place, now));
  } catch (error) {
    if (!(error instanceof SluiceError) || options.json === undefined) throw error;
    terminal.exitCode = 1;
    return printJson(terminal, options.json, { ok: false, code: error.code, reason: error.message });
  }
  const { manifest, signer, digest } = bundle;
  if (options.json !== undefined) return printJson(terminal, options.json, { ok: true, ...plain(bundle) });
  const fits = place.config ? `, fits task ${manifest.task} of ${options.config}` : '';
  print(terminal, `${file}: ok: ${nameOf(manifest)} ${shortDigest(digest)}${fits}`);
  print(
    terminal,
    `signed by ${signerName(signer, place.trusted())}, expires ${moment(manifest.expires)} (${ago(manifest.expires, now)})`,
  );
}

/** With a configuration its task is what the bundle must fit; without one a bundle fits itself. */
function expectedOf({ manifest }: Bundle, { config, trusted }: Place, now: number): Expected {
  const common = { trusted: trusted(), now, maxBytes: config?.models?.maxBytes ?? MAX_BUNDLE_BYTES };
  if (!config) {
    const { task, labels, features, event } = manifest;
    return { ...common, task, labels, features, event };
  }
  if (!Object.hasOwn(config.tasks, manifest.task)) {
    const tasks = Object.keys(config.tasks).join(', ');
    throw new SluiceError(
      'BUNDLE_MISMATCH',
      `the bundle is for task ${manifest.task}; the configuration has ${tasks}`,
    );
  }
  const { name, labels, features, event } = openTask(taskSpec(config, manifest.task));
  return { ...common, task: name, labels, features, event };
}
