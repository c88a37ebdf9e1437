import type { KubeObject, ObjectKey, ResourceType } from '../../api/meta.ts';
import { isReason } from '../api-error.ts';
import type { Client, WriteOptions } from '../client.ts';
import { isJsonObject } from '../json.ts';
import type { JsonObject } from '../json.ts';
import { strategicMerge } from '../strategic-merge.ts';

/** As often as the API server itself begins again when somebody else wrote in between. */
const ATTEMPTS = 5;

/** A strategic merge patch: read, merge, compare and swap. */
export async function strategicUpdate(
  client: Client,
  type: ResourceType,
  key: ObjectKey,
  patch: JsonObject,
  options: WriteOptions & { readonly subresource?: 'status' },
): Promise<KubeObject> {
  // A patch that names a version means that one: its conflict is the client's to see.
  const { metadata } = patch;
  const pinned = isJsonObject(metadata) && typeof metadata['resourceVersion'] === 'string';
  for (let attempt = 1; ; attempt++) {
    const current = await client.get(type, key);
    const merged = strategicMerge(type, current, patch) as KubeObject;
    try {
      return options.subresource === 'status'
        ? await client.updateStatus(type, merged, options)
        : await client.update(type, merged, options);
    } catch (error) {
      if (pinned || attempt === ATTEMPTS || !isReason(error, 'Conflict')) throw error;
    }
  }
}
