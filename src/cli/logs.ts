import type { Command } from 'commander';
import type { ObjectKey } from '../api/meta.ts';
import type { Reads } from '../home/served-reads.ts';
import { withHomeOptions } from './home-options.ts';
import type { HomeOptions } from './home-options.ts';

interface LogsOptions extends HomeOptions {
  readonly follow?: true;
}

export function registerLogs(program: Command): void {
  withHomeOptions(program.command('logs'))
    .argument('<transfer>', 'its name, or transfer/name')
    .option('-f, --follow', 'go on until the transfer has ended')
    .action(async (word: string, options: LogsOptions) => {
      const [{ withHome }, { transferName }] = await Promise.all([import('./home.ts'), import('./transfer-log.ts')]);
      const name = transferName(word);
      await withHome(options, (client, namespace) => printLog(client, { namespace, name }, options.follow === true));
    });
}

async function printLog(client: Reads, key: ObjectKey, follow: boolean): Promise<void> {
  const [{ standardOutput }, { printable }, { hasEnded, linesOf, newLines }, { Transfers }] = await Promise.all([
    import('./output.ts'),
    import('./table.ts'),
    import('./transfer-log.ts'),
    import('../api/resources.ts'),
  ]);
  const transfer = await client.get(Transfers, key);
  let seen = linesOf(transfer);
  for (const line of seen) standardOutput.print(printable(line));
  if (seen.length === 0 && !follow) standardOutput.note(`Transfer ${key.name} has no log yet.`);
  if (!follow || hasEnded(transfer)) return;
  const [{ followChanges }, { systemClock }, { untilInterrupted }] = await Promise.all([
    import('./follow-changes.ts'),
    import('../runtime/clock.ts'),
    import('./home.ts'),
  ]);
  const changes = followChanges({
    client,
    type: Transfers,
    scope: { namespace: key.namespace, fieldSelector: `metadata.name=${key.name}` },
    since: { items: [transfer], resourceVersion: transfer.metadata.resourceVersion ?? '' },
    clock: systemClock,
    signal: untilInterrupted(),
    onTrouble: (text) => standardOutput.note(text),
  });
  for await (const { type, object } of changes) {
    const lines = linesOf(object);
    for (const line of newLines(seen, lines)) standardOutput.print(printable(line));
    seen = lines;
    if (type === 'DELETED' || hasEnded(object)) return;
  }
}
