import { GridferryError } from '../errors.ts';
import type { Client } from '../home/client.ts';
import type { Leadership } from './leadership.ts';

/**
 * The client of a replica's controllers: it reads at any time and writes only while this process leads by its own clock.
 *
 * What is sent in the instant before a freeze arrives all the same, and does no harm there: a status is a compare-and-swap
 * and loses against the next leader's, finalizers too; locks belong to a Transfer, whoever leads, and are deleted by uid;
 * an Event is only told.
 */
export function leaderClient(client: Client, leadership: Leadership): Client {
  const ifLeading = async <R>(write: () => Promise<R>): Promise<R> => {
    if (!leadership.isLeader()) {
      throw new GridferryError(
        'GF_LEADERSHIP_LOST',
        'Nothing is written, because this process no longer leads; another replica goes on from here.',
        { class: 'retryable' },
      );
    }
    return write();
  };
  return {
    get: (type, key) => client.get(type, key),
    list: (type, options) => client.list(type, options),
    watch: (type, options) => client.watch(type, options),
    create: (type, object, options) => ifLeading(() => client.create(type, object, options)),
    update: (type, object, options) => ifLeading(() => client.update(type, object, options)),
    updateStatus: (type, object, options) => ifLeading(() => client.updateStatus(type, object, options)),
    patch: (type, key, patch, options) => ifLeading(() => client.patch(type, key, patch, options)),
    delete: (type, key, options) => ifLeading(() => client.delete(type, key, options)),
  };
}
