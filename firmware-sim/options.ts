/**
 * The command line of `sluice-sim`, parsed once at the edge: inside there is a scenario, whether it came from a file
 * or from options. Refuses what it cannot read exactly, with SluiceError USAGE and the name of the option; a scenario
 * file with CONFIG_INVALID and every place.
 */
import { Command } from 'commander';
import { SluiceError } from '../src/errors.ts';
import { duration } from '../src/units.ts';
import { type LabelPlan, usualLabels } from './labels.ts';
import { loadScenario, scenarioOf } from './scenario/read.ts';
import { type Scenario, type ScenarioInput, sensorFaults } from './scenario/schema.ts';

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
    .optionsGroup('From a file:')
    .option('-c, --config <file>', 'a scenario: everything below, drift scripts, phases, followers and more')
    .option('--set <path=value>', 'change one value of the scenario (repeatable)', collect)
    .option('--check', 'check the scenario, send nothing')
    .option('--example', 'print a commented scenario')
    .optionsGroup('Without a file, where:')
    .option('--url <url>', 'MQTT broker, such as mqtt://127.0.0.1:1883')
    .option('--mqtt-version <n>', '5, or 4 for MQTT 3.1.1', '5')
    .option('--kafka <hosts>', 'Kafka brokers instead of MQTT: host:port,host:port')
    .option('--site <name>', 'site of the gateway, part of its topics', 'demo')
    .option('--reading-task <name>', 'task that judges readings', 'machine')
    .option('--mail-task <name>', 'task that judges mail', 'spam')
    .optionsGroup('Without a file, what:')
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
    .optionsGroup('Always:')
    .option('--seed <n>', 'same seed, same messages', '7')
    .option('--for <time>', 'stop after this time, such as 60s; default: until Ctrl-C')
    .option('--drain <time>', 'wait so long for the last answers', '15s')
    .option('--json <file>', 'write the final account as JSON; - for standard output')
    .helpOption('-h, --help', 'show this help')
    .addHelpText(
      'after',
      '\nA first run, beside `npm start` of Sluice or any gateway:\n' +
        '  sluice-sim --url mqtt://127.0.0.1:1883\n\n' +
        'A scenario with drift:\n' +
        '  sluice-sim --example > scenario.yaml\n' +
        '  sluice-sim -c scenario.yaml --set where.url=mqtt://broker:1883 --for 5m --json result.json\n\n' +
        'More examples:\n' +
        '  sluice-sim --url mqtt://127.0.0.1:1883 --rate 5000 --for 60s\n' +
        '  sluice-sim --kafka 127.0.0.1:9092 --rate 0 --mail mail/index.tsv --mail-rate 50\n\n' +
        'Start the gateway first: what no one reads is counted as lost. Exit codes: 0 nothing was lost, 1 something\n' +
        'was or a connection failed, 2 wrong usage, 78 scenario refused, 130 after Ctrl-C. See docs/simulator.md.',
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

/** What may stand beside `-c`; everything else is a matter of the file. */
const BESIDE_A_FILE = new Set(['config', 'set', 'check', 'example', 'seed', 'for', 'drain', 'json']);

/** The scenario that a parsed command line asks for. Throws SluiceError USAGE, CONFIG_UNREADABLE, CONFIG_INVALID. */
export function scenarioFrom(command: Command): Scenario {
  const raw = command.opts<Raw>();
  if (typeof raw.config !== 'string') {
    for (const option of ['set', 'check'] as const)
      if (raw[option] !== undefined) throw usage(option, 'belongs to a scenario file; give -c FILE too');
    return scenarioOf(inputOf(readOptions(raw)));
  }
  const given = command.options
    .map((option) => option.attributeName())
    .filter((name) => command.getOptionValueSource(name) === 'cli');
  const foreign = given.find((name) => !BESIDE_A_FILE.has(name));
  if (foreign !== undefined) {
    const option = command.options.find((one) => one.attributeName() === foreign);
    throw new SluiceError('USAGE', `${option?.long}: with -c this stands in the file; change it with --set`);
  }
  const set = [...((raw.set ?? []) as readonly string[])];
  if (given.includes('seed')) set.push(`seed=${amount(raw, 'seed', 'seed', 0, 0xffff_ffff)}`);
  if (given.includes('for')) set.push(`for=${time(String(raw.for), 'for')}`);
  if (given.includes('drain')) set.push(`drain=${time(String(raw.drain), 'drain')}`);
  return loadScenario(raw.config, { set });
}

/** The options as a scenario: from here on there is one path. */
function inputOf(options: SimOptions): ScenarioInput {
  const { url, kafka, mqttVersion, faults, rate, mailRate, labels, mailLabels } = options;
  return {
    where:
      url === null ? { type: 'kafka', brokers: [...kafka] } : { type: 'mqtt', url, version: mqttVersion },
    seed: options.seed,
    for: options.duration ?? undefined,
    drain: options.drainMs,
    sites: { [options.site]: {} },
    readings: {
      task: options.readingTask,
      ...{ devices: options.devices, rate, classes: options.classes, labels },
    },
    mail: {
      task: options.mailTask,
      ...{ rate: mailRate, replay: [...options.mail], labels: mailLabels },
      ...(!faults && { garbage: 0 }),
    },
    ...(!faults && {
      faults: Object.fromEntries(sensorFaults.map((name) => [name, 0])),
      network: { duplicate: 0, reorder: 0 },
    }),
  };
}
