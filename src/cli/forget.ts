/**
 * `sluice forget -c FILE --task T …`: takes an event, or a device's span, back out of the model and erases its row from the
 * gateway's store; the hub gets the withdrawal. It is sent like feedback and done by the gateway. Told plainly: what
 * it does not reach is what was published before, and backups.
 */
import { type FeedbackOptions, give } from './feedback.ts';
import { type DefineVerb, withConfig } from './terminal.ts';

type ForgetOptions = Omit<FeedbackOptions, 'file' | 'format' | 'label' | 'withdraw' | 'weight'>;

export const define: DefineVerb = (command, terminal) => {
  withConfig(command)
    .option('--task <name>', 'the task (needed where there are several)')
    .option('--event <id>', 'the event, as its verdict names it')
    .option('--message-id <id>', 'Message-ID of a mail')
    .option('--raw <file>', 'a whole mail, - for standard input: only its digest is sent')
    .option('--device <name>', 'every event of this device, with --from and --to')
    .option('--from <time>', 'RFC 3339 or Unix time')
    .option('--to <time>', 'RFC 3339 or Unix time, included')
    .option('--origin <who>', 'who asks for it', 'operator')
    .option('--sink <name>', 'send over the broker of this sink')
    .option('--dry-run', 'check and show, send nothing')
    .option('--json [file]', 'the result as JSON, to standard output or a file')
    .addHelpText(
      'after',
      `
Example: sluice forget -c sluice.yaml --task spam --message-id '<a1@example.org>'

The model is folded again without the label; the row is erased from the store, of a label there stays that it was
withdrawn. A label older than the oldest kept snapshot cannot be taken back (FEEDBACK_TOO_OLD in the gateway's log).
Not reached: what was published before, dead letters (sluice dead drop), and backups.`,
    )
    .action((options: ForgetOptions) => give({ ...options, withdraw: true }, terminal, true));
};
