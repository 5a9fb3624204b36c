/**
 * How many mails a second one core takes from raw bytes to verdicts, with the default and with the preset `fast`, learning
 * left out and included; beside bogofilter that only classifies them, and beside a parser that only parses them.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import PostalMime from 'postal-mime';
import type { BenchCase, BenchOptions, Measure } from '../case.ts';
import { measure } from '../case.ts';
import { type LabelledMail, realMails } from '../inputs.ts';
import { Speed, type SpeedPreset } from '../mail/speed.ts';
import { bogofilterVersion } from '../quality/bogofilter.ts';

const MOST = 6_000;
/** Share of the mails, from the first on, that bogofilter's word list is made of. */
const TRAINED = 0.5;

/** bogofilter with a word list, and mails as files. Defaults as Debian has them. */
class Bulk {
  readonly #folder = mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'sluice-speed-'));
  readonly #names: string;
  readonly #count: number;

  constructor(mails: readonly LabelledMail[]) {
    const files = mails.map(({ raw }, i) => {
      const file = path.join(this.#folder, `${i}.eml`);
      writeFileSync(file, raw);
      return file;
    });
    this.#count = mails.length;
    this.#names = `${files.join('\n')}\n`;
    const part = Math.ceil(mails.length * TRAINED);
    for (const [flag, label] of [
      ['-s', 'spam'],
      ['-n', 'ham'],
    ] as const) {
      const some = files.filter((_, i) => i < part && mails[i].label === label);
      if (some.length > 0) this.#call([flag, '-b'], `${some.join('\n')}\n`);
    }
  }

  classify(): Promise<Measure> {
    return measure(() => {
      const said = this.#call(['-T', '-b'], this.#names).trim().split('\n').length;
      if (said !== this.#count) throw new Error(`bogofilter judged ${said} of ${this.#count} mails`);
      return said;
    });
  }

  close(): void {
    rmSync(this.#folder, { recursive: true });
  }

  /** It ends with 0 for spam, 1 for ham, 2 for neither; with 3 where it failed. */
  #call(flags: readonly string[], input: string): string {
    const shell = ['-c', '"$@"; test $? -lt 3', 'sh', 'bogofilter', '-C', '-d', this.#folder, ...flags];
    return execFileSync('sh', shell, { input, encoding: 'utf8', maxBuffer: 64 * 1024 ** 2 });
  }
}

const TITLES: Readonly<Record<SpeedPreset, string>> = {
  full: 'raw mails to verdicts on one core, default features and model',
  fast: 'raw mails to verdicts on one core, preset `fast` and one model',
};

function besideBogofilter(name: string, preset: SpeedPreset, learns: boolean, floor: number): BenchCase {
  return {
    name,
    what: `${TITLES[preset]}${learns ? ', each batch learned after it is scored' : ''}`,
    peer: `bogofilter in bulk mode, word list of the first half, classifying the same mails${learns ? ' without learning them' : ''}`,
    unit: 'mails',
    floor,
    async prepare(options: BenchOptions) {
      if (bogofilterVersion() === null) return 'bogofilter is not installed';
      const mails = await realMails(options, MOST);
      if (typeof mails === 'string') return mails;
      const speed = new Speed(preset);
      await speed.run(mails, true);
      const bulk = new Bulk(mails);
      return {
        sluice: () => speed.run(mails, learns),
        peer: () => bulk.classify(),
        async close() {
          speed.close();
          bulk.close();
        },
      };
    },
  };
}

const besideParser: BenchCase = {
  name: 'mail-speed-parser',
  what: TITLES.full,
  peer: 'postal-mime parsing the same mails, and no more',
  unit: 'mails',
  floor: 2.2,
  async prepare(options) {
    const mails = await realMails(options, MOST);
    if (typeof mails === 'string') return mails;
    const speed = new Speed('full');
    await speed.run(mails, true);
    return {
      sluice: () => speed.run(mails, false),
      peer: () =>
        measure(async () => {
          for (const { raw } of mails) await PostalMime.parse(raw);
          return mails.length;
        }),
      async close() {
        speed.close();
      },
    };
  },
};

export const mailSpeedCases: readonly BenchCase[] = [
  besideBogofilter('mail-speed', 'full', false, 1.2),
  besideBogofilter('mail-speed-learn', 'full', true, 1),
  besideBogofilter('mail-speed-fast', 'fast', false, 2.2),
  besideBogofilter('mail-speed-fast-learn', 'fast', true, 2),
  besideParser,
];
