/**
 * Whose models a gateway installs: the keys of `models.trust`, a file with one a line, and where the hub runs in the same
 * process, the hub's own. Null where the gateway stands alone.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config.ts';
import { type PublicKey, readPrivateKey, readTrust } from '../model/signing.ts';

/** The file of trusted keys. */
export function trustFile({ models, store }: Config): string {
  return models?.trust ?? path.join(store.path, 'trusted-keys');
}

/** Throws KEY_* where a file cannot be read; a default file that is not there holds no keys. */
export function trustedKeys(config: Config): readonly PublicKey[] | null {
  if (!config.models && !config.hub) return null;
  const file = trustFile(config);
  const listed = config.models?.trust !== undefined || existsSync(file) ? readTrust(file) : [];
  return config.hub ? [...listed, readPrivateKey(config.hub.key).public] : listed;
}
