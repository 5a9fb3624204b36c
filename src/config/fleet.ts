/**
 * The sections that make a gateway part of a fleet: `models` (whose models it runs) and `hub` (this process trains
 * and rolls them out). What a hub decides by is declared with the hub and handed in.
 */
import { z } from 'zod';
import { hubLoopOptions } from '../fleet/hub/options.ts';
import { byteSize } from '../units.ts';
import { name } from './words.ts';

const file = z.string().min(1);

export const models = z.strictObject({
  via: name
    .optional()
    .describe('sink on whose broker models come and labelled rows go; default the first sink of a task'),
  trust: file
    .optional()
    .describe(
      'file of trusted public keys, one a line, as `sluice keys trust` writes it; default `trusted-keys` in the store; it is read again with each reload (SIGHUP); a hub in this file is trusted by itself',
    ),
  maxBytes: byteSize.prefault('256MiB').describe('larger bundles are refused'),
});

const place = {
  via: name
    .optional()
    .describe('sink on whose broker it speaks with the gateways; default the first sink of a task'),
  store: file
    .default('./hub')
    .describe('folder of what the hub keeps: labelled rows, its state; and the registry, unless named'),
  registry: file.optional().describe('folder of the models; default `registry` in the store of the hub'),
  key: file
    .default('./hub.key')
    .describe('private key that models and roll-outs are signed with; `sluice keys new` makes one'),
};

/** The hub's own place, and what it decides by. */
export const hub = z.strictObject({ ...place, ...hubLoopOptions.shape });
