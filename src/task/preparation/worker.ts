/** The script of a preparing worker thread: serves the port of its parent with the tasks that it was opened with. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Opening } from './messages.ts';
import { serve } from './serving.ts';

if (parentPort) serve(parentPort, workerData as Opening);
