import type { Command } from 'commander';
import type { HomeOptions } from './home.ts';

interface LogsOptions extends HomeOptions {
  readonly namespace: string;
  readonly follow?: true;
}

export function registerLogs(program: Command): void {
  program
    .command('logs')
    .summary('print the log of a transfer')
    .argument('<transfer>', 'its name, or transfer/name')
    .option('-f, --follow', 'go on until the transfer has ended')
    .option('-n, --namespace <name>', 'namespace to look in', 'default')
    .option('--state <directory>', 'state of the run to look at')
    .action(async (word: string, options: LogsOptions) => {
      const [{ untilInterrupted, withHome }, { standardOutput }, { printable }, log, { Transfers }] = await Promise.all(
        [
          import('./home.ts'),
          import('./output.ts'),
          import('./table.ts'),
          import('./transfer-log.ts'),
          import('../api/resources.ts'),
        ],
      );
      const { hasEnded, linesOf, newLines } = log;
      const name = log.transferName(word);
      await withHome(options, async (client) => {
        const { namespace } = options;
        const transfer = await client.get(Transfers, { namespace, name });
        let seen = linesOf(transfer);
        for (const line of seen) standardOutput.print(printable(line));
        if (seen.length === 0 && options.follow !== true) standardOutput.note(`Transfer ${name} has no log yet.`);
        if (options.follow !== true || hasEnded(transfer)) return;
        const watching = {
          namespace,
          fieldSelector: `metadata.name=${name}`,
          ...(transfer.metadata.resourceVersion === undefined
            ? {}
            : { resourceVersion: transfer.metadata.resourceVersion }),
          signal: untilInterrupted(),
        };
        for await (const event of client.watch(Transfers, watching)) {
          if (event.type === 'BOOKMARK') continue;
          const lines = linesOf(event.object);
          for (const line of newLines(seen, lines)) standardOutput.print(printable(line));
          seen = lines;
          if (event.type === 'DELETED' || hasEnded(event.object)) return;
        }
      });
    });
}
