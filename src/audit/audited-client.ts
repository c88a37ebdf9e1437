import { keyOf, keyString } from '../api/meta.ts';
import type { KubeObject, ObjectKey, ResourceType } from '../api/meta.ts';
import { isReason } from '../home/api-error.ts';
import type { Client } from '../home/client.ts';
import { createBoundedMap } from '../runtime/bounded-map.ts';
import type { AuditEvent } from './chain.ts';
import { eventsOfWrite } from './events-of-write.ts';
import type { ObservedWrite } from './events-of-write.ts';

const REMEMBERED = 10_000;
const BY = 'gridferry';

/**
 * Tells of everything that this process writes to a cluster. Others' writes are in the cluster's own audit log; what
 * this one knows better than that log is what its writes mean.
 */
export function auditedClient(client: Client, record: (events: readonly AuditEvent[]) => void): Client {
  const remembered = createBoundedMap<KubeObject>(REMEMBERED);
  const idOf = (type: ResourceType, key: ObjectKey): string => `${type.plural}.${type.group}/${keyString(key)}`;

  async function before<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey): Promise<KubeObject | undefined> {
    const known = remembered.get(idOf(type, key));
    if (known !== undefined) return known;
    return client.get(type, key).catch((error: unknown) => {
      if (isReason(error, 'NotFound')) return undefined;
      throw error;
    });
  }

  function told<T extends KubeObject>(type: ResourceType<T>, write: Omit<ObservedWrite, 'by'>): void {
    const id = idOf(type, keyOf(write.object));
    if (write.event === 'DELETED') remembered.delete(id);
    else remembered.set(id, write.object);
    const events = eventsOfWrite({ ...write, by: BY });
    if (events.length > 0) record(events);
  }

  /** What is of no interest to the log needs no second look either. */
  const isTold = (type: ResourceType): boolean => type.kind !== 'Event';

  async function changed<T extends KubeObject>(
    type: ResourceType<T>,
    key: ObjectKey,
    write: () => Promise<T>,
  ): Promise<T> {
    if (!isTold(type)) return write();
    const old = await before(type, key);
    const object = await write();
    told(type, { event: old === undefined ? 'ADDED' : 'MODIFIED', object, old });
    return object;
  }

  return {
    ...(client.prefersStreamedLists === undefined ? {} : { prefersStreamedLists: client.prefersStreamedLists }),
    get: (type, key) => client.get(type, key),
    list: (type, options) => client.list(type, options),
    watch: (type, options) => client.watch(type, options),
    async create(type, given, options) {
      const object = await client.create(type, given, options);
      if (isTold(type)) told(type, { event: 'ADDED', object });
      return object;
    },
    update: (type, object, options) => changed(type, keyOf(object), () => client.update(type, object, options)),
    updateStatus: (type, object, options) =>
      changed(type, keyOf(object), () => client.updateStatus(type, object, options)),
    patch: (type, key, patch, options) => changed(type, key, () => client.patch(type, key, patch, options)),
    async delete(type, key, options) {
      const object = await client.delete(type, key, options);
      if (isTold(type)) told(type, { event: 'DELETED', object, old: object });
      return object;
    },
  };
}
