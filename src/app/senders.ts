/**
 * What the decoder of a task remembers of its senders, one memory for each source, kept on disk. Promises: what is urgent is
 * saved when it is asked for, all of it each minute and at a stop; what is damaged is told and begun anew; never in the way of a
 * verdict. After a kill the memory is a little old: its senders are then asked again.
 *
 *   <store>/decoder/<task>@<source>.json
 */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { DecoderMemory } from '../contract.ts';
import { asSluiceError } from '../errors.ts';
import { writeWhole } from '../fleet/registry/files.ts';
import type { Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';

export interface SendersContext {
  /** With a decoder that needs a memory. */
  readonly task: Task;
  /** Of the gateway's store. */
  readonly folder: string;
  readonly telemetry: Telemetry;
}

export class Senders {
  readonly #context: SendersContext;
  readonly #memories = new Map<string, DecoderMemory>();
  #saving: Promise<void> = Promise.resolve();

  constructor(context: SendersContext) {
    this.#context = context;
  }

  /** The memory of a source, as it was saved. */
  of(source: string): DecoderMemory {
    let memory = this.#memories.get(source);
    if (!memory) {
      memory = this.#open(source);
      this.#memories.set(source, memory);
    }
    return memory;
  }

  /** Never rejects; one save after the other. */
  save(which: 'urgent' | 'all'): Promise<void> {
    this.#saving = this.#saving.then(() => this.#save(which));
    return this.#saving;
  }

  async #save(which: 'urgent' | 'all'): Promise<void> {
    for (const [source, memory] of this.#memories) {
      if (which === 'urgent' && !memory.urgent) continue;
      try {
        const file = this.#file(source);
        await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
        await writeWhole(file, memory.save());
      } catch (thrown) {
        this.#context.telemetry.error(asSluiceError(thrown), { task: this.#context.task.name });
      }
    }
  }

  #open(source: string): DecoderMemory {
    const { task, telemetry } = this.#context;
    const remember = task.remember!;
    let saved: Uint8Array;
    try {
      saved = readFileSync(this.#file(source));
    } catch {
      return remember(null); // the first start
    }
    try {
      return remember(saved);
    } catch (thrown) {
      telemetry.error(asSluiceError(thrown, 'DECODER_STATE'), { task: task.name });
      return remember(null);
    }
  }

  #file(source: string): string {
    return path.join(this.#context.folder, 'decoder', `${this.#context.task.name}@${source}.json`);
  }
}
