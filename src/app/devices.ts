/**
 * What a task of a gateway remembers of its devices, on disk: written each minute and at the end, read at the start. What a
 * kill takes from it is in the join store, which had every reading before it was acknowledged: a device's readings behind
 * the file are taken from there when it is next heard. Damaged or of other features, it is told and begun anew. Never in
 * the way of a verdict.
 *
 *   <store>/windows/<task>.bin
 */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { FeatureMemory, Store } from '../contract.ts';
import { asSluiceError } from '../errors.ts';
import { writeWhole } from '../fleet/registry/files.ts';
import type { Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';

export interface DevicesContext {
  /** With a memory. */
  readonly task: Task;
  readonly memory: FeatureMemory;
  /** Folder of the gateway's store. */
  readonly folder: string;
  readonly store: Pick<Store, 'join'>;
  readonly telemetry: Telemetry;
}

export class Devices {
  readonly #context: DevicesContext;
  readonly #file: string;

  /** Reads what was saved. */
  constructor(context: DevicesContext) {
    this.#context = context;
    this.#file = path.join(context.folder, 'windows', `${context.task.name}.bin`);
    this.#open();
  }

  /** Brings metrics up to date; called every second or so. */
  tell(): void {
    const { task, memory, telemetry } = this.#context;
    const { late, duplicates, evicted, restarted } = memory.take();
    for (const [what, n] of Object.entries({ late, duplicate: duplicates, evicted, restarted }))
      if (n > 0) telemetry.count('windows_events', { task: task.name, what }, n);
    telemetry.set('windows_devices', { task: task.name }, memory.devices);
    telemetry.set('windows_bytes', { task: task.name }, memory.bytes);
  }

  /** Never rejects. */
  async save(): Promise<void> {
    const { task, memory, telemetry } = this.#context;
    try {
      await mkdir(path.dirname(this.#file), { recursive: true, mode: 0o700 });
      await writeWhole(this.#file, await memory.save());
    } catch (thrown) {
      telemetry.error(asSluiceError(thrown), { task: task.name });
    }
  }

  #open(): void {
    const { task, memory, store, telemetry } = this.#context;
    memory.recall((device, after, limit) =>
      store.join
        .span(task.name, device, after, Number.MAX_SAFE_INTEGER, limit)
        .filter(({ features }) => features === task.features),
    );
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(this.#file);
    } catch {
      return; // the first start
    }
    try {
      memory.restore(bytes);
    } catch (thrown) {
      telemetry.error(asSluiceError(thrown, 'WINDOWS_STATE'), { task: task.name });
    }
  }
}

/** Tells what a task's readings brought since it was last told: wrong values, silent fields, late ones. */
export function tellReadings(
  { task, devices }: { readonly task: Task; readonly devices: Devices | null },
  telemetry: Telemetry,
): void {
  devices?.tell();
  const { name } = task;
  for (const { field, counts, silent } of task.fields?.take() ?? []) {
    for (const [what, n] of counts) telemetry.count('field_flags', { task: name, field, what }, n);
    const others = counts.get('unit') ?? 0;
    if (others > 0) telemetry.count('field_unit', { task: name, field }, others);
    if (silent === true) telemetry.count('field_silent', { task: name, field });
    if (silent === false) telemetry.count('field_heard', { task: name, field });
  }
}
