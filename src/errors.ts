/**
 * The one error class and the one table of codes. A code is for ever: users match on it. The table
 * gives docs/errors.md, exit codes and whether a retry can help.
 */

interface ErrorRow {
  /** One sentence that says what to do. */
  readonly help: string;
  /** Whether the same call may succeed later without a change by a person. */
  readonly retry: boolean;
  /** Process exit code where it ends a command. */
  readonly exit: 1 | 2 | 78;
}

const row = (help: string, retry = false, exit: 1 | 2 | 78 = 1): ErrorRow => ({ help, retry, exit });

export const errorTable = {
  // configuration and use
  USAGE: row('Check the command line against `sluice VERB --help`.', false, 2),
  CONFIG_INVALID: row('Mend the configuration; `sluice lint -c FILE` names every place.', false, 78),
  CONFIG_UNREADABLE: row('Check that the configuration file exists and can be read.', false, 78),
  INPUT_NOT_FOUND: row('Check the path that was given.', false, 1),
  INPUT_INVALID: row(
    'Check the format of the input; --format names it where it cannot be guessed.',
    false,
    1,
  ),
  // dead letters: the input cannot be used, the process goes on
  DECODE_EMPTY: row('The payload is empty; check the sender.'),
  DECODE_TOO_LARGE: row('The payload exceeds the limit of its decoder; raise the limit if it is legitimate.'),
  DECODE_JSON: row('The payload is not valid JSON (RFC 8259); check the sender.'),
  DECODE_SHAPE: row('The JSON is valid but has not the declared shape; check `fields` against the payload.'),
  DECODE_TYPE: row('A required field has another type than declared; check `fields` and the sender.'),
  DECODE_DEPTH: row('The nesting is deeper than the limit.'),
  DECODE_WIRE: row('The payload is not well formed in the binary format of its decoder; check the sender.'),
  DECODE_VERSION: row(
    'The sender uses a version or an extension of the format that must be understood and is not; update one of the two.',
  ),
  DECODE_UNBORN: row(
    'The birth that names its metrics did not come in time; see that the node takes rebirth requests, then `sluice dead replay`.',
  ),
  DECODE_ALIAS: row('No birth that is known names the aliases of this message; check the edge node.'),
  DECODE_PARTS: row('The mail has more parts than the limit.'),
  DECODE_HEADERS: row('The header section is larger than the limit.'),
  DECODE_MAIL: row('The bytes are not a mail: no header line was found.'),
  DECODE_CRASHED: row(
    'Processing this message ended the process three times, or a worker thread twice; inspect it with `sluice dead show`.',
  ),
  DECODE_TIMEOUT: row('Decoding took longer than any message may; inspect it with `sluice dead show`.'),
  DECODE_UNEXPECTED: row('The decoder failed in a way it should not; please report it with the dead letter.'),
  WINDOWS_STATE: row(
    'What was remembered of the devices is damaged or of other features; their windows begin anew.',
  ),
  // transport
  BROKER_UNREACHABLE: row('Check the address, the network and that the broker runs.', true),
  BROKER_AUTH: row('Check user, password, certificates and access rules of the broker.', true),
  BROKER_REFUSED: row('The broker refused the message; its reason is in the text.', false),
  MESSAGE_TOO_LARGE: row(
    'The message exceeds what the broker takes; raise the limit of the topic or of the sink.',
  ),
  COMPRESSION_UNSUPPORTED: row(
    'Install the optional packages of this platform again, or set `compression.type` of the topic to gzip or uncompressed.',
  ),
  BATCH_UNREADABLE: row(
    'Raise `fetchBytes` if the batch is that large; if it is damaged, move the group behind it with `kafka-consumer-groups --reset-offsets`.',
  ),
  PUBLISH_FAILED: row('The sink did not confirm in time; it is tried again.', true),
  // state
  STORE_LOCKED: row(
    'Another process uses this state folder; stop it, or give this one its own `store.path`.',
    false,
    1,
  ),
  STORE_CORRUPT: row(
    'The store was damaged and has been set aside; restore a backup or start fresh.',
    false,
    1,
  ),
  STORE_FULL: row(
    'The store reached its limit or the disk is full; free space or raise `store` limits.',
    true,
  ),
  STORE_VERSION: row(
    'The store was written by a newer version; use that version, or another `store.path`.',
    false,
    1,
  ),
  DEAD_UNKNOWN: row('List the dead letters that are kept with `sluice dead list`.'),
  DEAD_LOCKED: row(
    'Name the configuration whose `privacy.key` the dead letter was encrypted under, with -c FILE.',
  ),
  DEAD_ALTERED: row(
    'The stored dead letter was altered or damaged and is not used; drop it, and find out who writes to the store.',
  ),
  STORE_FAILED: row('Reading or writing the store failed; check the disk.', true),
  DECODER_STATE: row(
    'What a decoder had saved of its senders cannot be used and is set aside; their births are asked for again.',
  ),
  DETECTOR_STATE: row(
    'The saved state of drift detection cannot be used and is set aside; detection learns its references anew.',
  ),
  DECISION_STATE: row(
    'The saved state of a decision was damaged; it was gathered again from the labels in the journal.',
  ),
  // model
  ENGINE_MISSING: row(
    'In a checkout run `npm start` once, which builds it; where Sluice is installed, do what the text says.',
  ),
  BACKEND_UNAVAILABLE: row(
    'Choose another --backend, or mend what the text names; `sluice doctor` shows what was found.',
  ),
  MODEL_CORRUPT: row('The model bytes are damaged; fetch or train the model again.'),
  MODEL_VERSION: row('The model was written by another format version; train it again or update Sluice.'),
  MODEL_MISMATCH: row('The model does not fit this task: labels, feature version or shape differ.'),
  MODEL_INPUT: row('The rows handed to the model are not well formed; please report this.'),
  MODEL_CLOSED: row('The model was closed while it was used.'),
  MODEL_MEMORY: row('There is not enough memory for the model; choose fewer dimensions.'),
  TRAINING_FAILED: row(
    'Training ended without a model; the text says why. The running model is untouched; try again with fewer rows, fewer dimensions or more memory.',
    true,
  ),
  // bundles, keys, deployment
  BUNDLE_MALFORMED: row('The file is no model bundle of this format; fetch or make it again.'),
  BUNDLE_ALTERED: row(
    'The bundle is not what was signed: damaged on its way or changed by someone; fetch it again, and find out which.',
  ),
  BUNDLE_UNSIGNED: row('Sign the bundle with `sluice models sign FILE --key KEYFILE`.'),
  BUNDLE_UNTRUSTED: row(
    'If the signer may decide what runs here, trust its key with `sluice keys trust KEY -c FILE`; else refuse the bundle.',
  ),
  BUNDLE_EXPIRED: row(
    'Train a new model, or sign this one again with `sluice models sign FILE --key KEYFILE --expires 90d`.',
  ),
  BUNDLE_MISMATCH: row('Use a bundle made for this task, or change the configuration as the text says.'),
  BUNDLE_TOO_LARGE: row('Choose fewer dimensions, or raise the limit of the gateway.'),
  DESIRED_INVALID: row(
    'The desired document is not understood or meant for another; check who publishes it.',
  ),
  DESIRED_UNTRUSTED: row(
    'If the hub that signed it is yours, trust its key with `sluice keys trust KEY -c FILE`; else find out who publishes it.',
  ),
  DESIRED_REPLAYED: row(
    'An older desired document came again and is not followed; if the hub lost its registry, restore its `serials.json`.',
  ),
  ACTUAL_INVALID: row('A gateway says what it runs in a way that is not understood; update it or the hub.'),
  KEY_INVALID: row(
    'Make a key pair with `sluice keys new FILE`; a public key is one line `ed25519:… [name]`.',
  ),
  // the registry
  MODEL_UNKNOWN: row('List the models with `sluice models list`; six or more digits of a digest are enough.'),
  REGISTRY_LOCKED: row(
    'Another hub uses this registry; stop it, or give this one its own `hub.registry`.',
    false,
    1,
  ),
  REGISTRY_CORRUPT: row('Restore the named file of the registry from a backup; nothing was changed.'),
  REGISTRY_FAILED: row(
    'Reading or writing the registry failed; check the disk and who may write there.',
    true,
  ),
  BUNDLE_MISSING: row(
    'The bytes of the model are not on the broker; see that the hub runs and may publish retained messages.',
    true,
  ),
  // feedback
  FEEDBACK_INVALID: row('The feedback is not understood; docs/payloads.md names its fields.'),
  FEEDBACK_LABEL: row('The label is not one of the labels of the task.'),
  FEEDBACK_TOO_OLD: row(
    'The label to take back is older than the oldest kept snapshot and cannot be undone.',
  ),
  EVENT_UNKNOWN: row(
    'Events are kept for `store.join.age`, labelled ones longer; give the message itself with --raw, or look at what passes with `sluice tap`.',
  ),
  NOTHING_HEARD: row('Check address, topics and access rules, and listen longer with --for.', true),
  // what gateways tell the hub
  ROWS_INVALID: row('The labelled rows are not understood; docs/payloads.md names their fields.'),
  PAYLOAD_INVALID: row('The payload is not understood; docs/payloads.md names its fields.'),
  // HTTP
  LISTEN_FAILED: row('Choose another `http.listen`, or stop what uses the address.'),
  // threads
  WORKER_FAILED: row(
    'A worker thread could not begin; look at limits of threads and memory, or set `workers` to 0.',
    true,
  ),
  // set-up
  TOOL_MISSING: row('Install the named tool with the command given.'),
  INTERNAL: row('This should not happen; please report it.', false, 1),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorTable;

export class SluiceError extends Error {
  readonly code: ErrorCode;

  /** `detail` says what happened, in words, without secrets; the table's help is appended where shown to a person. */
  constructor(code: ErrorCode, detail: string, options?: { cause?: unknown }) {
    super(detail, options);
    this.name = 'SluiceError';
    this.code = code;
  }

  get retry(): boolean {
    return errorTable[this.code].retry;
  }

  get exit(): number {
    return errorTable[this.code].exit;
  }

  get help(): string {
    return errorTable[this.code].help;
  }
}

/** Anything thrown, as a SluiceError: ours pass through, others become `fallback`. */
export function asSluiceError(error: unknown, fallback: ErrorCode = 'INTERNAL'): SluiceError {
  if (error instanceof SluiceError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new SluiceError(fallback, text, { cause: error });
}
