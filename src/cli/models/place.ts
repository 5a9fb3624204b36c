/**
 * Where a verb finds its registry, its keys and the model that a person named: from a configuration (`-c`) or named
 * one by one, which goes before. A model is six or more digits of its digest, `v3` (with --task where several tasks have one), or
 * the file of a bundle.
 */
import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { trustedKeys } from '../../app/trust.ts';
import { type Config, loadConfig } from '../../config.ts';
import type { Bundle, Registered } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { type RegistryView, visitRegistry } from '../../fleet/registry.ts';
import { MAX_BUNDLE_BYTES, readBundle } from '../../model/bundle.ts';
import { type PublicKey, readTrust } from '../../model/signing.ts';
import { collectSetting, type Terminal } from '../terminal.ts';

export interface Where {
  readonly config?: string;
  readonly set: readonly string[];
  readonly registry?: string;
  readonly trust?: string;
  readonly key?: string;
  readonly task?: string;
  readonly json?: string | true;
}

export interface Place {
  readonly config: Config | null;
  /** Whoever is trusted here; empty where nothing says so. Throws KEY_INVALID, INPUT_NOT_FOUND. */
  trusted(): readonly PublicKey[];
  /** File of the private key, or null. */
  readonly keyFile: string | null;
  /** Throws USAGE where none was named, INPUT_NOT_FOUND. */
  registry(): Promise<RegistryView>;
}

/** The options that say where; each verb takes all, so that one habit fits them. */
export function withPlace(command: Command): Command {
  return command
    .option('-c, --config <file>', 'configuration of the hub (YAML): names registry, keys and tasks')
    .option('--set <path=value>', 'override one option of it (repeatable)', collectSetting, [])
    .option('--registry <folder>', 'the folder of the models, instead of a configuration');
}

export function findPlace(options: Where, terminal: Terminal): Place {
  const config = options.config ? loadConfig(options.config, { set: options.set, env: terminal.env }) : null;
  const folder = options.registry ?? registryOf(config);
  return {
    config,
    trusted: () =>
      options.trust === undefined ? ((config && trustedKeys(config)) ?? []) : readTrust(options.trust),
    keyFile: options.key ?? config?.hub?.key ?? null,
    registry() {
      if (folder) return visitRegistry(folder);
      const why = config ? `${options.config} has no \`hub\` section` : 'name the registry';
      throw new SluiceError('USAGE', `${why}: either -c FILE of the hub or --registry FOLDER`);
    },
  };
}

const registryOf = (config: Config | null): string | null =>
  config?.hub ? (config.hub.registry ?? join(config.hub.store, 'registry')) : null;

/** A bundle in a file. Throws INPUT_NOT_FOUND, BUNDLE_*. */
export async function readBundleFile(path: string): Promise<{ bytes: Uint8Array; bundle: Bundle }> {
  let bytes: Uint8Array;
  try {
    const { size } = statSync(path);
    if (size > MAX_BUNDLE_BYTES)
      throw new SluiceError(
        'BUNDLE_TOO_LARGE',
        `${path} has ${size} bytes, and ${MAX_BUNDLE_BYTES} are allowed`,
      );
    bytes = await readFile(path);
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = { ENOENT: 'there is no such file', EISDIR: 'it is a folder' }[code ?? ''] ?? message;
    throw new SluiceError('INPUT_NOT_FOUND', `${path}: ${reason}`, { cause: error });
  }
  return { bytes, bundle: readBundle(bytes, { maxBytes: MAX_BUNDLE_BYTES }) };
}

/** What a person named: a row of the registry, a bundle in a file, or both. */
export interface Named {
  readonly row: Registered | null;
  readonly bundle: Bundle;
  readonly bytes: Uint8Array;
}

/** Finds what `name` says, in a file or in the registry. Throws MODEL_UNKNOWN, USAGE, BUNDLE_*, REGISTRY_CORRUPT. */
export async function findModel(name: string, task: string | undefined, place: Place): Promise<Named> {
  if (looksLikeFile(name)) {
    const { bytes, bundle } = await readBundleFile(name);
    return { row: null, bundle, bytes };
  }
  const registry = await place.registry();
  const row = findRow(registry, name, task);
  const bytes = await registry.get(row.digest);
  return { row, bundle: readBundle(bytes, { maxBytes: MAX_BUNDLE_BYTES }), bytes };
}

const looksLikeFile = (name: string): boolean => /[./\\]/.test(name) || existsSync(name);

/** By `v3` or digits of the digest. */
export function findRow(registry: RegistryView, name: string, task?: string): Registered {
  const version = /^v(\d{1,9})$/.exec(name);
  if (!version) return registry.find(name);
  const found = registry.list(task).filter(({ manifest }) => manifest.version === Number(version[1]));
  if (found.length === 1) return found[0];
  const whose = task === undefined ? '' : ` of task ${task}`;
  if (found.length === 0) throw new SluiceError('MODEL_UNKNOWN', `the registry holds no ${name}${whose}`);
  const names = found.map(({ manifest, digest }) => `${manifest.task} ${digest.slice(0, 12)}`);
  throw new SluiceError(
    'MODEL_UNKNOWN',
    `${name} is ambiguous: ${names.join(', ')}; add --task, or name the digest`,
  );
}
