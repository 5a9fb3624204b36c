/** A disk that fails once, in the process of the test. */
import { vi } from 'vitest';
import { Table } from '../../src/state/table.ts';

/** The next commit fails, all of its group and what waits behind it; `vi.restoreAllMocks` takes it back. */
export function failNext(): void {
  vi.spyOn(Table.prototype, 'set').mockImplementationOnce(() => {
    throw new Error('the disk is gone');
  });
}
