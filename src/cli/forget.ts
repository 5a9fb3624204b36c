/**
 * `sluice forget -c FILE --task T …`: takes an event, or a device's span, back out of the model and erases its row from the
 * gateway's store; the hub gets the withdrawal. The model is then, bit for bit, one that never learned it. It is sent like feedback and done by the gateway. Told plainly: what
 * it does not reach is what was published before, and backups.
 */
import { type FeedbackOptions, give, withTarget } from './feedback.ts';
import type { DefineVerb } from './terminal.ts';

type ForgetOptions = Omit<FeedbackOptions, 'file' | 'format' | 'label' | 'withdraw' | 'weight'>;

export const define: DefineVerb = (command, terminal) => {
  withTarget(command)
    .option('--origin <who>', 'who asks for it', 'operator')
    .option('--sink <name>', 'send over the broker of this sink')
    .option('--dry-run', 'check and show, send nothing')
    .option('--json [file]', 'the result as JSON, to standard output or a file')
    .addHelpText(
      'after',
      `
Example: sluice forget -c sluice.yaml --task spam --message-id '<a1@example.org>'

The model is folded again without the label; the row is erased from the store, of a label there stays that it was
withdrawn. A label that only snapshots hold any more (older than store.journal.age, 90 days by default) cannot be taken
back: the row is erased, what it taught the model stays (FEEDBACK_TOO_OLD in the gateway's log).
Not reached: what was published before, dead letters (sluice dead drop), and backups.`,
    )
    .action((options: ForgetOptions) => give({ ...options, withdraw: true }, terminal, true));
};
