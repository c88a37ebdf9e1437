import type { Command } from 'commander';
import { Option } from 'commander';
import type { EventObject } from '../api/core.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import type { ListOptions } from '../home/client.ts';
import type { Reads } from '../home/served-reads.ts';
import { withHomeOptions } from './home-options.ts';
import type { HomeOptions } from './home-options.ts';
import type { Wanted } from './kinds.ts';

interface GetOptions extends HomeOptions {
  readonly allNamespaces?: true;
  readonly selector?: string;
  readonly fieldSelector?: string;
  readonly output: 'table' | 'wide' | 'json' | 'yaml' | 'name';
  readonly watch?: true;
  readonly headers: boolean;
}

export function registerGet(program: Command): void {
  withHomeOptions(program.command('get'))
    .usage('[options] <kind[,kind]|kind/name|all> [name...]')
    .argument('<kind>', 'such as transfers, xfer, transfer/move-web, ms,xfer or all')
    .argument('[names...]')
    .option('-A, --all-namespaces', 'look in all namespaces')
    .option('-l, --selector <selector>', 'only objects with these labels, such as app=web,tier!=db')
    .option('--field-selector <selector>', 'only objects with these fields, such as metadata.name=web')
    .addOption(
      new Option('-o, --output <format>', 'how to print')
        .choices(['table', 'wide', 'json', 'yaml', 'name'])
        .default('table'),
    )
    .option('-w, --watch', 'go on with every change, until interrupted')
    .option('--no-headers', 'leave out the header of a table')
    .action(async (kind: string, names: string[], options: GetOptions) => {
      const [{ withHome, untilInterrupted }, { parseWanted }] = await Promise.all([
        import('./home.ts'),
        import('./kinds.ts'),
      ]);
      const wanted = parseWanted([kind, ...names]);
      await withHome(options, (client, namespace) => get(client, wanted, { ...options, namespace }, untilInterrupted));
    });
}

interface Group {
  readonly type: ResourceType;
  readonly objects: readonly KubeObject[];
  /** Where a watch goes on. */
  readonly resourceVersion: string;
}

type GetScope = GetOptions & { readonly namespace: string };

async function get(
  client: Reads,
  wanted: readonly Wanted[],
  options: GetScope,
  untilInterrupted: () => AbortSignal,
): Promise<void> {
  const [{ createPrinter }, { standardOutput }, { usageError }] = await Promise.all([
    import('./object-printer.ts'),
    import('./output.ts'),
    import('./cli-error.ts'),
  ]);
  const watching = options.watch === true;
  if (watching && (wanted.length > 1 || (wanted[0]?.names.length ?? 0) > 1)) {
    throw usageError('-w watches one kind, or one object of it: name one.');
  }
  const printer = await createPrinter(standardOutput, {
    format: options.output,
    header: options.headers,
    withNamespace: options.allNamespaces === true,
    namePrefixes: wanted.length > 1,
    // An object asked for by name is printed as it is; anything else makes a List.
    asList: !(wanted.length === 1 && wanted[0]?.names.length === 1),
    now: () => Date.now(),
  });
  const groups: Group[] = [];
  for (const each of wanted) groups.push(await read(client, each, options));
  if (watching && options.output !== 'table' && options.output !== 'wide') {
    for (const { type, objects } of groups) for (const object of objects) printer.one(type, object);
  } else {
    printer.all(groups);
    if (groups.every(({ objects }) => objects.length === 0) && options.output !== 'json' && options.output !== 'yaml') {
      const where = options.allNamespaces === true ? '' : ` in ${options.namespace} namespace`;
      standardOutput.note(`No resources found${where}.`);
    }
  }
  const [first] = wanted;
  const [group] = groups;
  if (!watching || first === undefined || group === undefined) return;
  const [{ followChanges }, { systemClock }] = await Promise.all([
    import('./follow-changes.ts'),
    import('../runtime/clock.ts'),
  ]);
  const changes = followChanges({
    client,
    type: first.type,
    scope: scopeOf(first, options),
    since: { items: [...group.objects], resourceVersion: group.resourceVersion },
    clock: systemClock,
    signal: untilInterrupted(),
    onTrouble: (text) => standardOutput.note(text),
  });
  for await (const { object } of changes) printer.one(first.type, object);
}

async function read(client: Reads, wanted: Wanted, options: GetScope): Promise<Group> {
  const { type, names } = wanted;
  if (names.length === 0) {
    const { items, resourceVersion } = await client.list(type, scopeOf(wanted, options));
    if (type.plural !== 'events') return { type, objects: items, resourceVersion };
    const { byLastSeen } = await import('./event-order.ts');
    return { type, objects: (items as EventObject[]).sort(byLastSeen), resourceVersion };
  }
  const { usageError } = await import('./cli-error.ts');
  if (options.allNamespaces === true) throw usageError('A name goes with one namespace: leave out -A, or the name.');
  if (options.selector !== undefined || options.fieldSelector !== undefined) {
    throw usageError('A name and a selector exclude each other: leave one of them out.');
  }
  const namespace = type.namespaced ? options.namespace : '';
  const objects: KubeObject[] = [];
  for (const name of names) objects.push(await client.get(type, { namespace, name }));
  // What happens between this version and a watch from it is what the watch begins with.
  return { type, objects, resourceVersion: objects[0]?.metadata.resourceVersion ?? '' };
}

/** What a list and a watch are narrowed to. */
function scopeOf(
  { type, names: [name] }: Wanted,
  { namespace, allNamespaces, selector, fieldSelector }: GetScope,
): Pick<ListOptions, 'namespace' | 'labelSelector' | 'fieldSelector'> {
  const fields = name === undefined ? fieldSelector : `metadata.name=${name}`;
  return {
    ...(allNamespaces === true || !type.namespaced ? {} : { namespace }),
    ...(selector === undefined ? {} : { labelSelector: selector }),
    ...(fields === undefined ? {} : { fieldSelector: fields }),
  };
}
