/** A made-up mail world of a seed, a default filter taught with its first part, and attackers who know that part. */
import { ATTACKS, type Attacker, type AttackName } from '../../bench/mail/attacks.ts';
import {
  attackerOf,
  type Figures,
  figuresOf,
  Laboratory,
  type Lesson,
  type Specimen,
} from '../../bench/mail/laboratory.ts';
import { honest } from '../../bench/mail/poison.ts';
import { MailGenerator } from '../../firmware-sim/mail.ts';
import type { Model } from '../../src/contract.ts';
import { seededRandom } from '../../src/task/random.ts';

const TAUGHT = 700;
const TRIED = 300;

export interface World {
  readonly laboratory: Laboratory;
  readonly taught: readonly Specimen[];
  readonly ham: readonly Buffer[];
  readonly spam: readonly Buffer[];
  readonly bytes: Uint8Array;
  readonly model: Model;
  attacker(): Attacker;
  /** Of the taught model, its spam attacked. */
  under(attack: AttackName | null): Promise<Figures>;
  /** Of a model that was taught these lessons. */
  after(lessons: readonly Lesson[]): Promise<Figures>;
}

export async function makeWorld(seed: number): Promise<World> {
  const generator = new MailGenerator({ seed, garbage: 0 });
  const mails = Array.from({ length: TAUGHT + TRIED }, (_, i): Specimen => {
    const { raw, label } = generator.next(1_700_000_000_000 + i * 60_000);
    return { raw, spam: label === 'spam' };
  });
  const [taught, tried] = [mails.slice(0, TAUGHT), mails.slice(TAUGHT)];
  const rawsOf = (spam: boolean) => tried.filter((mail) => mail.spam === spam).map(({ raw }) => raw);
  const [ham, spam] = [rawsOf(false), rawsOf(true)];
  const laboratory = new Laboratory();
  const model = laboratory.newModel();
  await laboratory.teach(model, honest(taught));
  const hamScores = await laboratory.score(model, ham);
  const known = attackerOf(taught, seed);
  const attacker = () => ({ ...known, random: seededRandom(seed, 'attacker') });
  const figures = new Map<AttackName | null, Figures>();
  return {
    ...{ laboratory, taught, ham, spam, model, bytes: await model.save() },
    attacker,
    async under(attack) {
      const found = figures.get(attack);
      if (found) return found;
      const one = attacker();
      const raws = attack === null ? spam : spam.map((raw) => ATTACKS[attack].apply(raw, one));
      const fresh = figuresOf(hamScores, await laboratory.score(model, raws));
      figures.set(attack, fresh);
      return fresh;
    },
    async after(lessons) {
      const other = laboratory.newModel();
      await laboratory.teach(other, lessons);
      const figures = figuresOf(await laboratory.score(other, ham), await laboratory.score(other, spam));
      other.close();
      return figures;
    },
  };
}
