import { GridferryError } from '../errors.ts';
import { authorizedTransfers, revokeKey } from './authorized-keys.ts';
import type { Host } from './host.ts';
import { removeTransferFolder } from './transfer-folder.ts';

/**
 * Takes everything of a transfer's direct path off a server: jobs, connections, keys, its line in authorized_keys. It is
 * seen gone when this returns.
 */
export async function scrubServer(host: Host, id: string, signal?: AbortSignal): Promise<void> {
  // The line first: what is still open may not be opened again meanwhile.
  await revokeKey(host, id, signal);
  await removeTransferFolder(host, id, signal);
  if ((await authorizedTransfers(host, signal)).includes(id)) {
    throw new GridferryError(
      'GF_SSH_KEYS_UNWRITABLE',
      `The line of transfer ${id} is still in ~/.ssh/authorized_keys of ${host.user} on server ${host.name}: remove the line that ends with gridferry:${id}.`,
      { class: 'retryable', details: { server: host.name } },
    );
  }
}
