import type { Command } from 'commander';
import type { EventObject } from '../api/core.ts';
import type { KubeObject } from '../api/meta.ts';
import type { Reads } from '../home/served-reads.ts';
import { withHomeOptions } from './home-options.ts';
import type { HomeOptions } from './home-options.ts';

export function registerDescribe(program: Command): void {
  withHomeOptions(program.command('describe'))
    .usage('[options] <kind|kind/name> [name...]')
    .argument('<kind>', 'such as transfer, or transfer/move-web')
    .argument('[names...]', 'default: all of the kind')
    .action(async (kind: string, names: string[], options: HomeOptions) => {
      const [{ withHome }, { parseWanted }, { describeObject }, { standardOutput }] = await Promise.all([
        import('./home.ts'),
        import('./kinds.ts'),
        import('./describe-object.ts'),
        import('./output.ts'),
      ]);
      const wanted = parseWanted([kind, ...names]);
      await withHome(options, async (client, scope) => {
        let count = 0;
        for (const { type, names: some } of wanted) {
          const namespace = type.namespaced ? scope : '';
          const objects: KubeObject[] = [];
          for (const name of some) objects.push(await client.get(type, { namespace, name }));
          if (some.length === 0) objects.push(...(await client.list(type, type.namespaced ? { namespace } : {})).items);
          for (const object of objects) {
            if (count++ > 0) standardOutput.print('\n');
            const events = await eventsOf(client, object);
            for (const line of describeObject(object, events, Date.now())) standardOutput.print(line);
          }
        }
        if (count === 0) standardOutput.note(`No resources found in ${scope} namespace.`);
      });
    });
}

async function eventsOf(client: Reads, { metadata, kind }: KubeObject): Promise<EventObject[]> {
  const [{ Events }, { byLastSeen }] = await Promise.all([import('../api/core.ts'), import('./event-order.ts')]);
  const { items } = await client.list(Events, {
    ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
    fieldSelector: `involvedObject.name=${metadata.name},involvedObject.kind=${kind}`,
  });
  return items.filter(({ involvedObject: { uid } }) => uid === undefined || uid === metadata.uid).sort(byLastSeen);
}
