/**
 * A mail of which the row has been made. What a worker has decoded stayed there, and what was decoded here is let go: held
 * until the batch is through, it would be copied by each collection of garbage. The raw bytes are at hand, as most that is asked of a mail
 * after its row is made needs them alone; headers, texts and the rest are decoded here again where somebody looks.
 */
import type { Event, MailBody, Message } from '../../contract.ts';
import { MailEvent } from '../../decode/mime.ts';
import { SluiceError } from '../../errors.ts';
import type { Task } from '../task.ts';

export class PreparedMail implements MailBody {
  readonly kind = 'mail';
  readonly #length: number;
  readonly #message: Message;
  readonly #task: Task;
  #whole: MailBody | null = null;

  /** `length`: bytes of the payload, from its end, that are the mail. */
  constructor(message: Message, length: number, task: Task) {
    this.#length = length;
    this.#message = message;
    this.#task = task;
  }

  get raw(): Uint8Array {
    const { payload } = this.#message;
    return payload.subarray(payload.length - this.#length);
  }

  get headers(): MailBody['headers'] {
    return this.#read().headers;
  }

  get texts(): MailBody['texts'] {
    return this.#read().texts;
  }

  get hidden(): MailBody['hidden'] {
    return this.#read().hidden;
  }

  get links(): MailBody['links'] {
    return this.#read().links;
  }

  get attachments(): MailBody['attachments'] {
    return this.#read().attachments;
  }

  #read(): MailBody {
    if (this.#whole) return this.#whole;
    const [{ body }] = this.#task.decode(this.#message);
    if (body.kind !== 'mail') throw new SluiceError('INTERNAL', 'a mail was decoded to something else');
    this.#whole = body;
    return body;
  }
}

/** The event of a message, of a mail without what was decoded of it; for when its rows have been made. */
export function setAside(event: Event, message: Message, task: Task): Event {
  if (!(event instanceof MailEvent)) return event;
  return event.holding(new PreparedMail(message, event.body.raw.length, task));
}
