import type { Command } from 'commander';
import type { EventObject } from '../api/core.ts';
import type { KubeObject } from '../api/meta.ts';
import type { Client } from '../home/client.ts';
import type { HomeOptions } from './home.ts';

export function registerDescribe(program: Command): void {
  program
    .command('describe')
    .summary('show an object in full, with its events')
    .usage('[options] <kind|kind/name> [name...]')
    .argument('<kind>', 'such as transfer, or transfer/move-web')
    .argument('[names...]', 'default: all of the kind')
    .option('-n, --namespace <name>', 'namespace to look in', 'default')
    .option('--state <directory>', 'state of the run to look at')
    .action(async (kind: string, names: string[], options: HomeOptions & { readonly namespace: string }) => {
      const [{ withHome }, { parseWanted }, { describeObject }, { standardOutput }] = await Promise.all([
        import('./home.ts'),
        import('./kinds.ts'),
        import('./describe-object.ts'),
        import('./output.ts'),
      ]);
      const wanted = parseWanted([kind, ...names]);
      await withHome(options, async (client) => {
        let count = 0;
        for (const { type, names: some } of wanted) {
          const namespace = type.namespaced ? options.namespace : '';
          const objects: KubeObject[] = [];
          for (const name of some) objects.push(await client.get(type, { namespace, name }));
          if (some.length === 0) objects.push(...(await client.list(type, { namespace })).items);
          for (const object of objects) {
            if (count++ > 0) standardOutput.print('\n');
            const events = await eventsOf(client, object);
            for (const line of describeObject(object, events, Date.now())) standardOutput.print(line);
          }
        }
        if (count === 0) standardOutput.note(`No resources found in ${options.namespace} namespace.`);
      });
    });
}

async function eventsOf(client: Client, { metadata, kind }: KubeObject): Promise<EventObject[]> {
  const [{ Events }, { byLastSeen }] = await Promise.all([import('../api/core.ts'), import('./event-order.ts')]);
  const { items } = await client.list(Events, {
    ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
    fieldSelector: `involvedObject.name=${metadata.name},involvedObject.kind=${kind}`,
  });
  return items.filter(({ involvedObject: { uid } }) => uid === undefined || uid === metadata.uid).sort(byLastSeen);
}
