import type { ResourceType } from '../../src/api/meta.ts';
import type { Client } from '../../src/home/client.ts';

/** One kind of request as RBAC sees it, such as `update transfers/status`. */
export type Request = `${string} ${string}`;

/** A client that remembers which permissions its calls need. */
export function recordedClient(client: Client): { readonly client: Client; readonly requests: Set<Request> } {
  const requests = new Set<Request>();
  const note = (verb: string, type: Pick<ResourceType, 'plural'>, subresource = ''): void =>
    void requests.add(`${verb} ${type.plural}${subresource}`);
  return {
    requests,
    client: {
      get: (type, key) => (note('get', type), client.get(type, key)),
      list: (type, options) => (note('list', type), client.list(type, options)),
      watch: (type, options) => (note('watch', type), client.watch(type, options)),
      create: (type, object, options) => (note('create', type), client.create(type, object, options)),
      update: (type, object, options) => (note('update', type), client.update(type, object, options)),
      updateStatus: (type, object, options) => (
        note('update', type, '/status'),
        client.updateStatus(type, object, options)
      ),
      patch: (type, key, patch, options) => (
        note('patch', type, options?.subresource === undefined ? '' : '/status'),
        client.patch(type, key, patch, options)
      ),
      // It answers with what was deleted, which it has to read for that.
      delete: (type, key, options) => (note('get', type), note('delete', type), client.delete(type, key, options)),
    },
  };
}
