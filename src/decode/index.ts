/**
 * The table of decoders: one row a wire format. Configuration, lint, schema, docs and the contract tests derive from
 * it; adding a format is one file and one line here.
 */
import type { z } from 'zod';
import type { Decoder } from '../contract.ts';
import { jsonOptions, openJson } from './json.ts';
import { mimeOptions, openMime } from './mime.ts';
import { openSenml, senmlOptions } from './senml.ts';
import { openSparkplug, sparkplugOptions } from './sparkplug.ts';

interface DecoderRow<Options> {
  readonly summary: string;
  readonly options: z.ZodType<Options>;
  /** The options as `options` parsed them. */
  open(options: Options): Decoder;
}

/** Ties a row's options to its `open`. */
function row<Options>(declared: DecoderRow<Options>): DecoderRow<Options> {
  return declared;
}

export const decoders = {
  mime: row({
    summary: 'raw e-mails (RFC 5322 and MIME), one a message',
    options: mimeOptions,
    open: openMime,
  }),
  json: row({
    summary: 'sensor readings in JSON, single, in arrays, or in CloudEvents',
    options: jsonOptions,
    open: openJson,
  }),
  senml: row({
    summary: 'sensor readings as SenML (RFC 8428) in JSON or CBOR',
    options: senmlOptions,
    open: openSenml,
  }),
  sparkplug: row({
    summary: 'edge nodes and devices that speak Sparkplug B 3.0 over MQTT',
    options: sparkplugOptions,
    open: openSparkplug,
  }),
} as const;

export type DecoderName = keyof typeof decoders;
