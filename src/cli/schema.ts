/** `sluice schema`: the JSON Schema (2020-12) of the configuration, by which editors complete and check it. */
import { withReferences } from '../config/references.ts';
import { configJsonSchema } from '../config.ts';
import { type DefineVerb, printJson } from './terminal.ts';

export const define: DefineVerb = (command, terminal) => {
  command
    .option('--json <file>', 'write it to a file instead of standard output', '-')
    .addHelpText(
      'after',
      '\nFor an editor with the YAML language server, save it and begin the configuration with\n  # yaml-language-server: $schema=./sluice.schema.json',
    )
    .action((options: { json: string }) =>
      printJson(terminal, options.json, withReferences(configJsonSchema())),
    );
};
