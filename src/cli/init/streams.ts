/**
 * Topics as streams: those that carry the same kind of message together, each with the filters that catch them and
 * nothing else that was heard, and the level that names the device. Filters that a person gave are kept as given
 * where they serve. Own topics of Sluice are no streams.
 */
import { type Judged, judge } from './fields.ts';
import type { Heard, Topic } from './heard.ts';
import { Shape } from './shape.ts';

export interface Stream {
  readonly kind: 'readings' | 'mail';
  /** Plain names for its source and its task. */
  readonly name: string;
  readonly task: string;
  /** What to subscribe to. */
  readonly filters: readonly string[];
  readonly topics: number;
  readonly messages: number;
  readonly readings: number;
  /** Most readings in one message. */
  readonly most: number;
  readonly events: boolean;
  readonly keyed: boolean;
  /** Of the topic, where it names the device; null where it does not. */
  readonly level: { readonly index: number; readonly names: number } | null;
  readonly judged: Judged;
  /** True where something of it was not looked at, for there was too much. */
  readonly cut: boolean;
}

export interface Unused {
  readonly topic: string;
  readonly messages: number;
  readonly reason: string;
}

const MOST_STREAMS = 8;
const MOST_FILTERS = 20;
/** Topics belong together where so large a part of their fields is the same. */
const ALIKE = 0.5;

/** Whether a filter of MQTT matches a topic. */
export function matches(filter: string, topic: string): boolean {
  const [wanted, levels] = [filter.split('/'), topic.split('/')];
  for (const [i, level] of wanted.entries()) {
    if (level === '#') return true;
    if (i >= levels.length || (level !== '+' && level !== levels[i])) return false;
  }
  return wanted.length === levels.length;
}

/** `given`: the filters or topics that were asked for. */
export function streamsOf(
  heard: Heard,
  given: readonly string[],
  kind: 'mqtt' | 'kafka',
): { readonly streams: readonly Stream[]; readonly unused: readonly Unused[] } {
  const usable: Topic[] = [];
  const unused: Unused[] = [];
  for (const topic of heard.topics.values()) {
    const reason = ownTopic(topic.name)
      ? 'from Sluice itself'
      : topic.content === 'left out'
        ? topic.reason
        : '';
    if (reason === '') usable.push(topic);
    else unused.push({ topic: topic.name, messages: topic.messages, reason });
  }
  const taken = new Set<string>();
  const streams = clusters(usable, kind)
    .sort((a, b) => countOf(b) - countOf(a))
    .slice(0, MOST_STREAMS)
    .map((topics) => streamOf(topics, [...heard.topics.values()], given, kind, taken));
  const kept = new Set(streams.flatMap((stream) => stream.members));
  for (const topic of usable)
    if (!kept.has(topic))
      unused.push({
        topic: topic.name,
        messages: topic.messages,
        reason: `more than ${MOST_STREAMS} kinds of messages`,
      });
  return { streams: streams.map(({ members: _, ...stream }) => stream), unused };
}

const ownTopic = (name: string): boolean => /^sluice[/.]/.test(name);
const countOf = (topics: readonly Topic[]): number => topics.reduce((sum, { messages }) => sum + messages, 0);

/** Topics of the same kind, depth and begin, whose fields are alike. */
function clusters(topics: readonly Topic[], kind: 'mqtt' | 'kafka'): Topic[][] {
  const found: { key: string; places: Set<string>; topics: Topic[] }[] = [];
  for (const topic of topics) {
    const levels = kind === 'mqtt' ? topic.name.split('/') : [];
    const key = [topic.content, levels.length, levels[0] ?? ''].join('\0');
    const places = new Set(topic.shape.places.keys());
    const home = found.find((each) => each.key === key && alike(each.places, places));
    if (!home) found.push({ key, places, topics: [topic] });
    else {
      home.topics.push(topic);
      for (const place of places) home.places.add(place);
    }
  }
  return found.map((each) => each.topics);
}

function alike(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  const common = [...b].filter((place) => a.has(place)).length;
  return common >= ALIKE * Math.min(a.size, b.size);
}

function streamOf(
  topics: readonly Topic[],
  all: readonly Topic[],
  given: readonly string[],
  kind: 'mqtt' | 'kafka',
  taken: Set<string>,
): Stream & { readonly members: readonly Topic[] } {
  const shape = new Shape();
  for (const topic of topics) shape.merge(topic.shape);
  const mail = topics[0].content === 'mail';
  const filters = kind === 'mqtt' ? filtersOf(topics, all, given) : topics.map(({ name }) => name);
  const levels = kind === 'mqtt' ? deviceLevel(topics, filters) : null;
  return {
    kind: mail ? 'mail' : 'readings',
    ...namesOf(topics[0].name, mail, taken),
    filters: filters.slice(0, MOST_FILTERS),
    topics: topics.length,
    messages: countOf(topics),
    readings: shape.readings,
    most: Math.max(...topics.map(({ most }) => most)),
    events: topics.some(({ events, binary }) => events + binary > 0),
    keyed: topics.some(({ keys }) => keys.size > 0),
    level: levels,
    judged: judge(shape),
    cut: shape.cut || filters.length > MOST_FILTERS,
    members: topics,
  };
}

/** Short names from the topic: its first level with a letter in it; the task of mail is `spam`. */
function namesOf(topic: string, mail: boolean, taken: Set<string>): Pick<Stream, 'name' | 'task'> {
  const words = topic
    .split(/[/.]/)
    .map((word) => word.replace(/[^A-Za-z0-9_-]+/g, '-').replace(/^[-_]+|-+$/g, ''));
  const stem = words.find((word) => /[A-Za-z]/.test(word)) ?? (mail ? 'mail' : 'sensors');
  const name = free(stem.slice(0, 40), taken, 'source');
  return { name, task: mail ? free('spam', taken, 'task') : free(name, taken, 'task') };
}

function free(stem: string, taken: Set<string>, what: string): string {
  let name = stem;
  for (let n = 2; taken.has(`${what} ${name}`); n += 1) name = `${stem}-${n}`;
  taken.add(`${what} ${name}`);
  return name;
}

// ---------------------------------------------------------------- filters

function filtersOf(topics: readonly Topic[], all: readonly Topic[], given: readonly string[]): string[] {
  const names = topics.map(({ name }) => name);
  const own = new Set(names);
  const others = all.map(({ name }) => name).filter((name) => !own.has(name));
  const clean = (filter: string) => !others.some((other) => matches(filter, other));
  // `#` would also bring our own verdicts back.
  const usual = given.filter(
    (filter) => !/^[+#]/.test(filter) && names.some((name) => matches(filter, name)),
  );
  if (
    usual.length > 0 &&
    usual.every(clean) &&
    names.every((name) => usual.some((filter) => matches(filter, name)))
  )
    return usual;
  return split(names, clean);
}

/** One filter with `+` for the levels that differ; cut at the level with the fewest names until it is clean. */
function split(names: readonly string[], clean: (filter: string) => boolean): string[] {
  const rows = names.map((name) => name.split('/'));
  const distinct = rows[0].map((_level, i) => new Set(rows.map((row) => row[i])));
  const filter = distinct.map((values) => (values.size === 1 ? [...values][0] : '+')).join('/');
  // A topic may itself hold what filters reserve.
  if (names.length === 1 || clean(filter)) return [filter];
  const [at] = distinct
    .map((values, i) => ({ i, size: values.size }))
    .filter(({ size }) => size > 1)
    .sort((a, b) => a.size - b.size);
  const parts = [...distinct[at.i]].map((value) => names.filter((name) => name.split('/')[at.i] === value));
  return parts.flatMap((part) => split(part, clean));
}

/** The level with the most different names; where there is but one topic, the `+` that a person wrote. */
function deviceLevel(topics: readonly Topic[], filters: readonly string[]): Stream['level'] {
  const rows = topics.map(({ name }) => name.split('/'));
  const sizes = rows[0].map((_level, index) => ({
    index,
    names: new Set(rows.map((row) => row[index])).size,
  }));
  const [best] = sizes.sort((a, b) => b.names - a.names || b.index - a.index);
  if (best.names > 1) return best;
  const written = filters[0].split('/').lastIndexOf('+');
  return written < 0 ? null : { index: written, names: 1 };
}
