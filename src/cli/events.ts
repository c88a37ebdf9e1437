import type { Command } from 'commander';
import type { HomeOptions } from './home.ts';

interface EventsOptions extends HomeOptions {
  readonly namespace: string;
  readonly allNamespaces?: true;
  readonly for?: string;
  readonly watch?: true;
}

export function registerEvents(program: Command): void {
  program
    .command('events')
    .summary('list what happened, oldest first')
    .option('--for <kind/name>', 'only what happened to this object')
    .option('-n, --namespace <name>', 'namespace to look in', 'default')
    .option('-A, --all-namespaces', 'look in all namespaces')
    .option('-w, --watch', 'go on with every event, until interrupted')
    .option('--state <directory>', 'state of the run to look at')
    .action(async (options: EventsOptions) => {
      const [{ untilInterrupted, withHome }, { createPrinter }, { standardOutput }, { Events }, { byLastSeen }] =
        await Promise.all([
          import('./home.ts'),
          import('./object-printer.ts'),
          import('./output.ts'),
          import('../api/core.ts'),
          import('./event-order.ts'),
        ]);
      const fieldSelector = options.for === undefined ? undefined : await selectorFor(options.for);
      const scope = {
        ...(options.allNamespaces === true ? {} : { namespace: options.namespace }),
        ...(fieldSelector === undefined ? {} : { fieldSelector }),
      };
      await withHome(options, async (client) => {
        const printer = createPrinter(standardOutput, {
          format: 'table',
          header: true,
          withNamespace: options.allNamespaces === true,
          namePrefixes: false,
          asList: true,
          now: () => Date.now(),
        });
        const { items, resourceVersion } = await client.list(Events, scope);
        printer.all([{ type: Events, objects: items.sort(byLastSeen) }]);
        if (items.length === 0) standardOutput.note('No events found.');
        if (options.watch !== true) return;
        const signal = untilInterrupted();
        for await (const event of client.watch(Events, { ...scope, resourceVersion, signal })) {
          if (event.type === 'ADDED' || event.type === 'MODIFIED') printer.one(Events, event.object);
        }
      });
    });
}

async function selectorFor(word: string): Promise<string> {
  const [{ parseWanted }, { usageError }] = await Promise.all([import('./kinds.ts'), import('./cli-error.ts')]);
  const [wanted] = parseWanted([word]);
  const [name] = wanted?.names ?? [];
  if (wanted === undefined || name === undefined) throw usageError('--for takes kind/name, such as transfer/move-web.');
  return `involvedObject.kind=${wanted.type.kind},involvedObject.name=${name}`;
}
