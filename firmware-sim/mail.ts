/**
 * A seeded stream of mail as a server sees it: ham and spam in several languages and charsets, plain,
 * HTML and multipart, with attachments, mailing lists, encoded and folded headers and Received chains.
 * Vocabulary overlaps: shops and newsletters talk like spam, some spam talks like a colleague. A good
 * filter gets about 98 to 99.5 % right; word lists alone do not. Every message is valid RFC 5322 except a
 * small, known share of garbage. Same seed, same bytes.
 */
import { type Charset, canEncode } from './charsets.ts';
import { type Draft, writeBody, writeHeaders } from './draft.ts';
import { writeMessage } from './mime.ts';
import { Circle, createPersona, documentationIp, madeUpDomain, type Persona } from './personas.ts';
import { expand, type MailLabel, madeUpWord, type Topic } from './phrases.ts';
import { Random } from './random.ts';

export interface GeneratedMail {
  readonly raw: Buffer;
  /** null for garbage, which has no truth. */
  readonly label: MailLabel | null;
  /** Without the angle brackets; '' for garbage. */
  readonly messageId: string;
  readonly mailbox: string;
  /** Subject and visible text as the reader sees them: the truth that decoders are tested against. */
  readonly subject: string;
  readonly text: string;
  readonly charset: Charset;
  readonly language: string;
}

export interface MailOptions {
  readonly seed: number;
  /** Share of spam, default 0.4. */
  readonly spam?: number;
  /** Share of payloads that are no mail at all, default 0.0005. */
  readonly garbage?: number;
  /** Default `inbox` and `team`. */
  readonly mailboxes?: readonly string[];
}

/** How much the two kinds of mail talk like each other: what keeps the task from being trivial. */
const OTHER_KIND_SENTENCE = 0.025;
const STEALTH_SPAM = 0.015;
const TAKEN_OVER = 0.06;
const FIRST_CONTACT = 0.2;

export class MailGenerator {
  readonly #random: Random;
  readonly #ham: Circle;
  readonly #spam: Circle;
  readonly #options: Required<MailOptions>;
  #count = 0;

  constructor(options: MailOptions) {
    const random = new Random(options.seed).fork('mail');
    this.#ham = new Circle('ham', 150, random.fork('ham'));
    this.#spam = new Circle('spam', 40, random.fork('spam'));
    this.#random = random.fork('stream');
    this.#options = { spam: 0.4, garbage: 0.000_5, mailboxes: ['inbox', 'team'], ...options };
  }

  /** The next message; `at` (ms since the epoch) stands in its Date and Received headers. */
  next(at: number): GeneratedMail {
    const random = this.#random;
    this.#count += 1;
    const mailbox = random.pick(this.#options.mailboxes);
    if (random.chance(this.#options.garbage)) return garbage(mailbox, random);
    const draft = this.#draft(random.chance(this.#options.spam) ? 'spam' : 'ham', at);
    const messageId = this.#messageId(draft.from);
    const { content, text } = writeBody(draft, random);
    const raw = writeMessage(writeHeaders(draft, messageId, mailbox, random), content);
    return {
      raw,
      label: draft.label,
      messageId,
      mailbox,
      subject: draft.subject,
      text,
      charset: draft.charset,
      language: draft.from.language.code,
    };
  }

  #draft(label: MailLabel, at: number): Draft {
    const random = this.#random;
    const from = this.#sender(label);
    const { language } = from;
    const stealth = label === 'spam' && random.chance(STEALTH_SPAM);
    const topic = pickTopic(language.topics, stealth ? 'ham' : label, random);
    const other = pickTopic(language.topics, label === 'ham' ? 'spam' : 'ham', random);
    const say = (template: string): string => expand(template, language, random);
    // Each sentence at most once, and at least one that belongs to the topic.
    const own = random.shuffled(topic.sentences);
    const common = random.shuffled(language.shared);
    const paragraphs = [say(own[0])];
    for (let i = 1; i < random.between(2, 7); i++) {
      const pool = random.chance(OTHER_KIND_SENTENCE) ? other.sentences : random.chance(0.28) ? common : own;
      paragraphs.push(say(pool[i % pool.length]));
    }
    const shout = label === 'spam' && random.chance(0.12);
    const body = shout ? paragraphs.map((p) => p.toUpperCase()) : paragraphs;
    const greeting = say(random.pick(language.greetings));
    const closing = say(random.pick(language.closings));
    const all = [greeting, ...random.shuffled(body), closing].filter((p) => p !== '');
    const subject = say(random.pick(topic.subjects));
    const links = this.#links(label, from, topic, say);
    const wanted = random.weighted(language.charsets);
    const charset = canEncode(`${subject}${all.join('')}`, wanted) ? wanted : 'utf-8';
    return { label, from, topic, charset, subject, paragraphs: all, links, at };
  }

  #sender(label: MailLabel): Persona {
    const random = this.#random;
    if (label === 'ham')
      return random.chance(FIRST_CONTACT) ? createPersona('ham', random) : this.#ham.pick(random);
    if (random.chance(TAKEN_OVER)) return this.#ham.pick(random);
    return random.chance(0.7) ? createPersona('spam', random) : this.#spam.pick(random);
  }

  #links(label: MailLabel, from: Persona, topic: Topic, say: (template: string) => string): Draft['links'] {
    const random = this.#random;
    const many =
      label === 'spam'
        ? random.between(0, 3)
        : random.weighted([
            [0, 5],
            [1, 3],
            [2, 2],
            [4, 1],
          ] as const);
    return Array.from({ length: many }, () => {
      const home = label === 'spam' && random.chance(0.75) ? madeUpDomain(random) : from.domain;
      const host = label === 'spam' && random.chance(0.15) ? documentationIp(random) : home;
      const path = `/${madeUpWord(random, random.between(1, 3))}${random.chance(0.3) ? `?id=${random.uint32().toString(16)}` : ''}`;
      const target = `${random.chance(0.6) ? 'https' : 'http'}://${host}${path}`;
      const honest = label === 'ham' ? random.chance(0.3) : random.chance(0.1);
      const posing = label === 'spam' && random.chance(0.35);
      const shown = posing ? `https://www.${from.domain}/` : honest ? target : say(random.pick(topic.links));
      return { shown, target };
    });
  }

  #messageId(from: Persona): string {
    const random = this.#random;
    const unique = `${this.#count.toString(36)}.${random.uint32().toString(36)}${random.uint32().toString(36)}`;
    return `${unique}@${random.chance(0.8) ? from.server : from.domain}`;
  }
}

function pickTopic(topics: readonly Topic[], label: MailLabel, random: Random): Topic {
  return random.weighted(topics.filter((t) => t.label === label).map((t) => [t, t.weight] as const));
}

/** What turns up on a mail topic and is no mail: nothing, binary, text without a header line. */
function garbage(mailbox: string, random: Random): GeneratedMail {
  const noise = Buffer.from(Array.from({ length: random.between(1, 300) }, () => random.below(256)));
  const raw = random.pick([
    Buffer.alloc(0),
    noise,
    Buffer.from('\r\n\r\n'),
    Buffer.from('no header here\r\n'),
  ]);
  return {
    raw,
    label: null,
    messageId: '',
    mailbox,
    subject: '',
    text: '',
    charset: 'us-ascii',
    language: '',
  };
}
