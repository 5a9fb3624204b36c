/**
 * The command line of `sluice-sim`, parsed once at the edge: inside, values are already right. Refuses
 * what it cannot read exactly, with SluiceError USAGE and the name of the option.
 */
import { Command } from 'commander';
import { SluiceError } from '../src/errors.ts';
import { duration } from '../src/units.ts';
import { type LabelPlan, usualLabels } from './labels.ts';

export interface SimOptions {
  readonly url: string | null;
  readonly mqttVersion: 4 | 5;
  readonly kafka: readonly string[];
  readonly site: string;
  readonly readingTask: string;
  readonly mailTask: string;
  readonly devices: number;
  readonly rate: number;
  readonly mailRate: number;
  readonly mail: readonly string[];
  readonly classes: 2 | 4;
  readonly faults: boolean;
  readonly seed: number;
  /** ms; null runs until stopped. */
  readonly duration: number | null;
  readonly labels: LabelPlan;
  readonly mailLabels: LabelPlan;
  readonly drainMs: number;
  readonly json: string | null;
}

type Raw = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

const usage = (option: string, text: string): SluiceError => new SluiceError('USAGE', `--${option}: ${text}`);

function amount(raw: Raw, name: string, option: string, least: number, most: number): number {
  const value = Number(raw[name]);
  if (raw[name] === '' || !Number.isFinite(value) || value < least || value > most)
    throw usage(option, `a number from ${least} to ${most}, not "${String(raw[name])}"`);
  return value;
}

function time(text: string, option: string): number {
  const parsed = duration.safeParse(text);
  if (!parsed.success) throw usage(option, `${parsed.error.issues[0].message}, not "${text}"`);
  return parsed.data;
}

/** `delay=2s,fraction=0.2,wrong=0.01`, each part optional; `none` gives no labels. */
export function parseLabels(text: string, option: string): LabelPlan {
  if (text === 'none') return { ...usualLabels, fraction: 0 };
  const plan = { ...usualLabels };
  for (const part of text.split(',').filter((p) => p.trim() !== '')) {
    const [key, value = ''] = part.split('=').map((p) => p.trim());
    if (key === 'delay') plan.delay = time(value, option);
    else if (key === 'fraction' || key === 'wrong') {
      const share = Number(value);
      if (value === '' || !(share >= 0 && share <= 1))
        throw usage(option, `${key} is a share from 0 to 1, not "${value}"`);
      plan[key] = share;
    } else throw usage(option, `knows delay, fraction and wrong, not "${key}"`);
  }
  return plan;
}

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** The command with its options, help and examples; it has no action. */
export function simCommand(): Command {
  return new Command('sluice-sim')
    .description(
      'A simulated fleet on a real broker: machines send readings, mailboxes receive mail, ' +
        'labels follow as feedback. Counts by its own numbering what a gateway answered, and what was lost.',
    )
    .optionsGroup('Where:')
    .option('--url <url>', 'MQTT broker, such as mqtt://127.0.0.1:1883')
    .option('--mqtt-version <n>', '5, or 4 for MQTT 3.1.1', '5')
    .option('--kafka <hosts>', 'Kafka brokers instead of MQTT: host:port,host:port')
    .option('--site <name>', 'site of the gateway, part of its topics', 'demo')
    .option('--reading-task <name>', 'task that judges readings', 'machine')
    .option('--mail-task <name>', 'task that judges mail', 'spam')
    .optionsGroup('What:')
    .option('--devices <n>', 'machines', '40')
    .option('--rate <n>', 'readings a second, of all machines together; 0 for none', '200')
    .option('--classes <n>', '2: ok and fault; 4: ok and three kinds of fault', '2')
    .option('--no-faults', 'no missing, wrong, broken or repeated messages')
    .option('--mail-rate <n>', 'mails a second; 0 for none', '5')
    .option(
      '--mail <path>',
      'replay real mail instead: index.tsv, mbox, maildir, folder (repeatable)',
      collect,
    )
    .option('--labels <plan>', 'feedback on readings, or none', 'delay=2s,fraction=0.2,wrong=0.01')
    .option('--mail-labels <plan>', 'feedback on mail; default: as --labels')
    .option('--seed <n>', 'same seed, same messages', '7')
    .optionsGroup('How long:')
    .option('--for <time>', 'stop after this time, such as 60s; default: until Ctrl-C')
    .option('--drain <time>', 'wait so long for the last answers', '15s')
    .option('--json <file>', 'write the final account as JSON; - for standard output')
    .helpOption('-h, --help', 'show this help')
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  sluice-sim --url mqtt://127.0.0.1:1883 --rate 5000 --for 60s\n' +
        '  sluice-sim --kafka 127.0.0.1:9092 --rate 0 --mail mail/index.tsv --mail-rate 50\n\n' +
        'Start the gateway first: what no one reads is counted as lost.',
    );
}

/** Parsed options of a command line without its first two words. Throws SluiceError USAGE. */
export function readOptions(raw: Raw): SimOptions {
  const kafka = typeof raw.kafka === 'string' ? raw.kafka.split(',').map((host) => host.trim()) : [];
  const url = typeof raw.url === 'string' ? raw.url : null;
  if ((url === null) === (kafka.length === 0)) throw new SluiceError('USAGE', 'give either --url or --kafka');
  const labels = parseLabels(String(raw.labels), 'labels');
  const classes = amount(raw, 'classes', 'classes', 2, 4);
  if (classes === 3) throw usage('classes', '2 or 4, not 3');
  return {
    url,
    kafka,
    mqttVersion: amount(raw, 'mqttVersion', 'mqtt-version', 4, 5) === 4 ? 4 : 5,
    site: String(raw.site),
    readingTask: String(raw.readingTask),
    mailTask: String(raw.mailTask),
    devices: Math.floor(amount(raw, 'devices', 'devices', 1, 100_000)),
    rate: amount(raw, 'rate', 'rate', 0, 1_000_000),
    mailRate: amount(raw, 'mailRate', 'mail-rate', 0, 100_000),
    mail: (raw.mail ?? []) as readonly string[],
    classes: classes === 4 ? 4 : 2,
    faults: raw.faults !== false,
    seed: Math.floor(amount(raw, 'seed', 'seed', 0, 0xffff_ffff)),
    duration: typeof raw.for === 'string' ? time(raw.for, 'for') : null,
    labels,
    mailLabels: typeof raw.mailLabels === 'string' ? parseLabels(raw.mailLabels, 'mail-labels') : labels,
    drainMs: time(String(raw.drain), 'drain'),
    json: typeof raw.json === 'string' ? raw.json : null,
  };
}
