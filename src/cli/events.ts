import type { Command } from 'commander';
import { withHomeOptions } from './home-options.ts';
import type { HomeOptions } from './home-options.ts';

interface EventsOptions extends HomeOptions {
  readonly allNamespaces?: true;
  readonly for?: string;
  readonly watch?: true;
}

export function registerEvents(program: Command): void {
  withHomeOptions(program.command('events'))
    .option('--for <kind/name>', 'only what happened to this object')
    .option('-A, --all-namespaces', 'look in all namespaces')
    .option('-w, --watch', 'go on with every event, until interrupted')
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
      await withHome(options, async (client, namespace) => {
        const scope = {
          ...(options.allNamespaces === true ? {} : { namespace }),
          ...(fieldSelector === undefined ? {} : { fieldSelector }),
        };
        const printer = await createPrinter(standardOutput, {
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
        const [{ followChanges }, { systemClock }] = await Promise.all([
          import('./follow-changes.ts'),
          import('../runtime/clock.ts'),
        ]);
        const changes = followChanges({
          client,
          type: Events,
          scope,
          since: { items, resourceVersion },
          clock: systemClock,
          signal: untilInterrupted(),
          onTrouble: (text) => standardOutput.note(text),
        });
        for await (const { type, object } of changes) if (type !== 'DELETED') printer.one(Events, object);
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
