import type { Command } from 'commander';
import { Option } from 'commander';
import type { EventObject } from '../api/core.ts';
import type { KubeObject } from '../api/meta.ts';
import type { Client, ListOptions } from '../home/client.ts';
import type { HomeOptions } from './home.ts';
import type { Wanted } from './kinds.ts';
import type { Printer } from './object-printer.ts';

interface GetOptions extends HomeOptions {
  readonly namespace: string;
  readonly allNamespaces?: true;
  readonly selector?: string;
  readonly fieldSelector?: string;
  readonly output: 'table' | 'wide' | 'json' | 'yaml' | 'name';
  readonly watch?: true;
  readonly headers: boolean;
}

export function registerGet(program: Command): void {
  program
    .command('get')
    .summary('list objects, or show some by name')
    .usage('[options] <kind[,kind]|kind/name|all> [name...]')
    .argument('<kind>', 'such as transfers, xfer, transfer/move-web, ms,xfer or all')
    .argument('[names...]')
    .option('-n, --namespace <name>', 'namespace to look in', 'default')
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
    .option('--state <directory>', 'state of the run to look at')
    .action(async (kind: string, names: string[], options: GetOptions) => {
      const [{ withHome, untilInterrupted }, { parseWanted }] = await Promise.all([
        import('./home.ts'),
        import('./kinds.ts'),
      ]);
      const wanted = parseWanted([kind, ...names]);
      await withHome(options, (client) => get(client, wanted, options, untilInterrupted));
    });
}

async function get(
  client: Client,
  wanted: readonly Wanted[],
  options: GetOptions,
  untilInterrupted: () => AbortSignal,
): Promise<void> {
  const [{ createPrinter }, { standardOutput }, { usageError }] = await Promise.all([
    import('./object-printer.ts'),
    import('./output.ts'),
    import('./cli-error.ts'),
  ]);
  if (options.watch === true && (wanted.length > 1 || (wanted[0]?.names.length ?? 0) > 1)) {
    throw usageError('-w watches one kind, or one object of it: name one.');
  }
  const printer = createPrinter(standardOutput, {
    format: options.output,
    header: options.headers,
    withNamespace: options.allNamespaces === true,
    namePrefixes: wanted.length > 1,
    // An object asked for by name is printed as it is; anything else makes a List.
    asList: !(wanted.length === 1 && wanted[0]?.names.length === 1),
    now: () => Date.now(),
  });
  const groups: { wanted: Wanted; objects: KubeObject[] }[] = [];
  let version = '';
  for (const each of wanted) {
    const { objects, resourceVersion } = await read(client, each, options);
    groups.push({ wanted: each, objects });
    version = resourceVersion;
  }
  if (options.watch === true && options.output !== 'table' && options.output !== 'wide') {
    for (const { wanted: each, objects } of groups) for (const object of objects) printer.one(each.type, object);
  } else {
    printer.all(groups.map(({ wanted: { type }, objects }) => ({ type, objects })));
    if (groups.every(({ objects }) => objects.length === 0) && options.output !== 'json' && options.output !== 'yaml') {
      const where = options.allNamespaces === true ? '' : ` in ${options.namespace} namespace`;
      standardOutput.note(`No resources found${where}.`);
    }
  }
  const [first] = wanted;
  if (options.watch === true && first !== undefined)
    await follow(client, first, options, version, printer, untilInterrupted());
}

async function read(
  client: Client,
  { type, names }: Wanted,
  options: GetOptions,
): Promise<{ objects: KubeObject[]; resourceVersion: string }> {
  const listing = listOptions(options);
  const namespace = type.namespaced ? options.namespace : '';
  if (names.length === 0) {
    const { items, resourceVersion } = await client.list(type, listing);
    if (type.plural !== 'events') return { objects: items, resourceVersion };
    const { byLastSeen } = await import('./event-order.ts');
    return { objects: (items as EventObject[]).sort(byLastSeen), resourceVersion };
  }
  const { usageError } = await import('./cli-error.ts');
  if (options.allNamespaces === true) throw usageError('A name goes with one namespace: leave out -A, or the name.');
  if (options.selector !== undefined || options.fieldSelector !== undefined) {
    throw usageError('A name and a selector exclude each other: leave one of them out.');
  }
  const { resourceVersion } = await client.list(type, { ...listing, limit: 1 });
  const objects: KubeObject[] = [];
  for (const name of names) objects.push(await client.get(type, { namespace, name }));
  return { objects, resourceVersion };
}

function listOptions({ namespace, allNamespaces, selector, fieldSelector }: GetOptions): ListOptions {
  return {
    ...(allNamespaces === true ? {} : { namespace }),
    ...(selector === undefined ? {} : { labelSelector: selector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  };
}

async function follow(
  client: Client,
  { type, names }: Wanted,
  options: GetOptions,
  resourceVersion: string,
  printer: Printer,
  signal: AbortSignal,
): Promise<void> {
  const [name] = names;
  const watching = {
    ...listOptions(options),
    ...(name === undefined ? {} : { fieldSelector: `metadata.name=${name}` }),
    resourceVersion,
    signal,
  };
  for await (const event of client.watch(type, watching)) {
    if (event.type !== 'BOOKMARK') printer.one(type, event.object);
  }
}
