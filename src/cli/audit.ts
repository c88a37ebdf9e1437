import type { Command } from 'commander';

interface AuditOptions {
  readonly state?: string;
  readonly encryptionKeyFile?: string;
}

interface ShowOptions extends AuditOptions {
  readonly output: 'text' | 'json';
}

export function registerAudit(program: Command): void {
  const audit = program
    .command('audit')
    .description('The audit log: what was changed, by whom, and what came of it, in a chain of hashes.');

  withPlace(audit.command('verify'))
    .description(
      'Reads the whole log and says whether it is as it was written. Prints the first line that was edited, removed, ' +
        'added, repeated or moved as file:line, and ends with 1; with 0 when there is none.\n\n' +
        'What the state directory knows of the end of the log tells whether lines were cut off there.',
    )
    .action(async (file: string | undefined, options: AuditOptions) => {
      const { verifyAudit } = await import('./verify-audit.ts');
      process.exitCode = await verifyAudit(file, options);
    });

  withPlace(audit.command('show'))
    .description('Prints the log, oldest first, without checking it.')
    .option('-o, --output <format>', 'text or json', 'text')
    .action(async (file: string | undefined, options: ShowOptions) => {
      const { showAudit } = await import('./show-audit.ts');
      await showAudit(file, options);
    });
}

function withPlace(command: Command): Command {
  return command
    .argument('[file]', 'the log (default: audit.log of the state)')
    .option('--state <directory>', 'local home: the state of a run')
    .option('--encryption-key-file <file>', 'the key that seals the end of the log, as for run');
}
