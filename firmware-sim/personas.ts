/**
 * Who writes the simulated mail: senders with a name, an address, a mail program and habits. Wanted mail
 * comes from a steady circle (few write often, many rarely), unwanted mail mostly from senders never
 * seen before, but some of it from taken-over addresses of the steady circle. Names are made-up words
 * and domains end in reserved names (RFC 2606), addresses are documentation ranges (RFC 5737): nobody
 * real is meant or can be reached.
 */

import { type Language, type MailLabel, madeUpName, madeUpWord } from './phrases.ts';
import { english } from './phrases-en.ts';
import { world } from './phrases-world.ts';
import type { Random } from './random.ts';

export const languages: readonly Language[] = [english, ...world];

export interface Persona {
  readonly name: string;
  readonly address: string;
  readonly domain: string;
  readonly language: Language;
  readonly mailer: string | null;
  /** Header name the mail program writes itself under. */
  readonly mailerHeader: 'X-Mailer' | 'User-Agent';
  /** Share of its mail with an HTML part. */
  readonly html: number;
  /** Server it sends from. */
  readonly server: string;
  readonly ip: string;
}

const HAM_MAILERS = [
  'Mutt/1.10.1',
  'Thunderbird 102.4',
  'Apple Mail (2.3445)',
  'Outlook 16.0',
  'KMail 5.2',
  null,
  null,
];
const SPAM_MAILERS = [
  'Outlook Express 6.00',
  'BulkSender 3.1',
  'The Bat! (v3.0)',
  'Outlook 16.0',
  'PHPMailer 5.2',
  null,
  null,
];
const ENDINGS = ['example', 'example.com', 'example.org', 'example.net', 'test', 'invalid'];
const DOCUMENTATION_NETS = ['192.0.2', '198.51.100', '203.0.113'];

export const documentationIp = (random: Random): string =>
  `${random.pick(DOCUMENTATION_NETS)}.${random.between(1, 254)}`;

export function madeUpDomain(random: Random): string {
  return `${madeUpWord(random, random.between(2, 3))}.${random.pick(ENDINGS)}`;
}

export function pickLanguage(random: Random): Language {
  return random.weighted(languages.map((language) => [language, language.weight] as const));
}

export function createPersona(label: MailLabel, random: Random): Persona {
  const spam = label === 'spam';
  const domain = madeUpDomain(random);
  const name = `${madeUpName(random)} ${madeUpName(random)}`;
  const local =
    spam && random.chance(0.4)
      ? `${madeUpWord(random, 2)}${random.below(9_999)}`
      : name.toLowerCase().replace(' ', '.');
  return {
    name: random.chance(0.8) ? name : '',
    address: `${local}@${domain}`,
    domain,
    language: pickLanguage(random),
    mailer: random.pick(spam ? SPAM_MAILERS : HAM_MAILERS),
    mailerHeader: random.chance(0.7) ? 'X-Mailer' : 'User-Agent',
    html: spam ? 0.3 + 0.6 * random.next() : 0.7 * random.next(),
    server: `${random.pick(['mail', 'smtp', 'mx', 'out', 'relay'])}${random.chance(0.5) ? random.below(20) : ''}.${domain}`,
    ip: documentationIp(random),
  };
}

/** The steady circle: rank r writes in proportion to 1/(r+3), as correspondents do (Zipf). */
export class Circle {
  readonly #members: readonly (readonly [Persona, number])[];

  constructor(label: MailLabel, size: number, random: Random) {
    this.#members = Array.from({ length: size }, (_, rank) => [createPersona(label, random), 1 / (rank + 3)]);
  }

  pick(random: Random): Persona {
    return random.weighted(this.#members);
  }
}
