/**
 * A preparing worker whose decoder does what mails should not be able to do: a mail with a field `Fault:` ends the thread
 * it is decoded in, fills its heap or never comes back. Everything else is prepared as ever.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { Message } from '../../../src/contract.ts';
import type { Opening } from '../../../src/task/preparation/messages.ts';
import { serve } from '../../../src/task/preparation/serving.ts';
import { openTask, type Task, type TaskSpec } from '../../../src/task/task.ts';

const FAULT = /^Fault: (\S+) ?(.*)$/m;

function faulty(spec: TaskSpec): Task {
  const task = openTask(spec);
  return Object.assign(Object.create(task), {
    name: task.name,
    shape: task.shape,
    decode: (message: Message) => {
      const [, fault, more] = FAULT.exec(Buffer.from(message.payload).toString('latin1')) ?? [];
      if (fault !== undefined) fail(fault, more);
      return task.decode(message);
    },
    fill: task.fill.bind(task),
  });
}

function fail(fault: string, more: string): void {
  if (fault === 'exit') process.exit(7);
  // Once: the file says that it has happened.
  if (fault === 'once' && !existsSync(more)) {
    writeFileSync(more, '');
    process.exit(7);
  }
  if (fault === 'heap')
    for (const held: string[][] = []; ; ) held.push(new Array(100_000).fill(`${held.length}`));
  while (fault === 'hang');
}

if (parentPort) serve(parentPort, workerData as Opening, faulty);
