/**
 * What the parts of a fleet need beside brokers and store: the file of trusted keys, and of a hub its private key and
 * its registry. Looks only; the key itself is never shown.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { trustFile } from '../../app/trust.ts';
import type { Config } from '../../config.ts';
import { asSluiceError } from '../../errors.ts';
import { formatPublicKey, isExposed, readPrivateKey, readTrust } from '../../model/signing.ts';
import type { Finding } from './machine.ts';

export function examineFleet(config: Config): Finding[] {
  return [...(config.models || config.hub ? [trusted(config)] : []), ...(config.hub ? hub(config.hub) : [])];
}

function trusted(config: Config): Finding {
  const name = 'trusted keys';
  const file = trustFile(config);
  if (config.models?.trust === undefined && !existsSync(file))
    return config.hub
      ? { name, state: 'ok', detail: 'the hub of this file alone' }
      : {
          name,
          state: 'warn',
          detail: `none: no model is installed; \`sluice keys trust KEY -c FILE\` adds one`,
        };
  return finding(name, () => {
    const keys = readTrust(file);
    return `${path.resolve(file)}: ${keys.map(({ name: called, id }) => called || id).join(', ') || 'none'}`;
  });
}

function hub({ key, store, registry }: NonNullable<Config['hub']>): Finding[] {
  const folder = path.resolve(registry ?? path.join(store, 'registry'));
  const signs = finding(
    'hub key',
    () => `${path.resolve(key)}: ${formatPublicKey(readPrivateKey(key).public)}`,
  );
  const exposed = signs.state === 'ok' && isExposed(key);
  return [
    exposed ? { ...signs, state: 'warn', detail: `${signs.detail}; others may read it: chmod 600` } : signs,
    {
      name: 'hub registry',
      state: 'ok',
      detail: existsSync(folder) ? folder : `${folder}: not there yet, the first start makes it`,
    },
  ];
}

function finding(name: string, look: () => string): Finding {
  try {
    return { name, state: 'ok', detail: look() };
  } catch (thrown) {
    return { name, state: 'bad', detail: asSluiceError(thrown).message };
  }
}
