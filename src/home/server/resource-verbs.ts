import type { IncomingMessage } from 'node:http';
import type { KubeObject, ResourceType } from '../../api/meta.ts';
import { badRequest } from '../api-messages.ts';
import { isReason } from '../api-error.ts';
import type { DeleteOptions, Patch, WriteOptions } from '../client.ts';
import { isJsonObject } from '../json.ts';
import type { LocalHome } from '../local-client.ts';
import { isHeld } from '../object-rules.ts';
import type { Answer } from './answer.ts';
import { decodeObject, decodeOptions } from './decode-object.ts';
import { readPatch } from './patch-body.ts';
import { deleteOptions, listOptions, writeOptions } from './query-options.ts';
import { contentTypeOf, encode, renderList, renderObject, renderStored } from './representation.ts';
import type { View } from './representation.ts';
import type { Place } from './route.ts';
import { deletedStatus, methodNotAllowed, notServed } from './status-body.ts';
import { strategicUpdate } from './strategic-update.ts';
import { verbsOf } from './discovery.ts';

/** One request about a resource. */
export interface ResourceCall {
  readonly request: IncomingMessage;
  readonly query: URLSearchParams;
  readonly type: ResourceType;
  readonly place: Place;
  readonly view: View;
  readonly home: LocalHome;
  /** Takes what the client is to be warned of, whatever comes of the request. */
  readonly warnings: string[];
}

/**
 * Answers anything but a watch.
 *
 * @throws ApiError
 */
export async function answerResource(call: ResourceCall): Promise<Answer> {
  const { request, place, type } = call;
  const { name, namespace, subresource } = place;
  if (name === undefined) {
    switch (request.method) {
      case 'GET':
        return await list(call);
      case 'POST':
        if (namespace === undefined) throw methodNotAllowed();
        return await create(call, namespace);
      case 'DELETE':
        if (namespace === undefined || !verbsOf(type).includes('deletecollection')) throw methodNotAllowed();
        return await removeAll(call, namespace);
      case 'PUT':
        throw badRequest('name must be provided');
      default:
        throw methodNotAllowed();
    }
  }
  if (namespace === undefined) throw notServed();
  const key = { namespace, name };
  switch (request.method) {
    case 'GET':
      return await get(call, key);
    case 'PUT':
      return await update(call, key);
    case 'PATCH':
      return await patch(call, key);
    case 'DELETE':
      if (subresource !== undefined) throw methodNotAllowed();
      return await remove(call, key);
    default:
      throw methodNotAllowed();
  }
}

interface Key {
  readonly namespace: string;
  readonly name: string;
}

function answer(call: ResourceCall, code: number, body: string): Answer {
  return { code, body, contentType: contentTypeOf(call.view.representation) };
}

function listScope(call: ResourceCall): Parameters<LocalHome['stored']['list']>[1] {
  const { namespace } = call.place;
  return { ...listOptions(call.query), ...(namespace === undefined ? {} : { namespace }) };
}

async function list(call: ResourceCall): Promise<Answer> {
  const { stored } = call.home;
  const scope = listScope(call);
  await stored.reach(scope.resourceVersion ?? '');
  return answer(call, 200, renderList(stored.list(call.type, scope), call.view));
}

async function get(call: ResourceCall, key: Key): Promise<Answer> {
  const { stored } = call.home;
  const resourceVersion = call.query.get('resourceVersion') ?? '';
  await stored.reach(resourceVersion);
  return answer(call, 200, renderStored(stored.get(call.type, key, resourceVersion), call.view));
}

function writing(
  call: ResourceCall,
  kind: Parameters<typeof writeOptions>[0],
): WriteOptions & ReturnType<typeof writeOptions> {
  const options = writeOptions(kind, call.query, call.request.headers['user-agent'] ?? '');
  return { ...options, onWarning: (warning) => call.warnings.push(warning) };
}

async function create(call: ResourceCall, namespace: string): Promise<Answer> {
  const options = writing(call, 'CreateOptions');
  const { object, duplicateFields } = await decodeObject(call.request, call.type);
  place(call.type, object, namespace);
  const made = await call.home.create(call.type, object, { ...options, duplicateFields });
  return answer(call, 201, renderObject(made, call.view));
}

async function update(call: ResourceCall, { namespace, name }: Key): Promise<Answer> {
  const options = writing(call, 'UpdateOptions');
  const { object, duplicateFields } = await decodeObject(call.request, call.type);
  place(call.type, object, namespace);
  const metadata: unknown = object.metadata;
  if (isJsonObject(metadata)) {
    const { name: named } = object.metadata;
    if (named && named !== name) {
      throw badRequest(`the name of the object (${named}) does not match the name on the URL (${name})`);
    }
    object.metadata.name = name;
  }
  const status = call.place.subresource === 'status';
  const { home, type } = call;
  const all = { ...options, duplicateFields };
  const updated = status ? await home.updateStatus(type, object, all) : await home.update(type, object, all);
  return answer(call, 200, renderObject(updated, call.view));
}

async function patch(call: ResourceCall, key: Key): Promise<Answer> {
  const { home, type, query } = call;
  const outcome = { made: false };
  const options = { ...writing(call, 'PatchOptions'), onCreated: () => (outcome.made = true) };
  const { patch: given, duplicateFields } = await readPatch(call.request, type, query);
  const subresource = call.place.subresource === undefined ? {} : ({ subresource: call.place.subresource } as const);
  const written =
    given.type === 'strategic'
      ? await strategicUpdate(home, type, key, given.body, { ...options, ...subresource, duplicateFields })
      : await home.patch(type, key, given satisfies Patch, { ...options, ...subresource, duplicateFields });
  return answer(call, outcome.made ? 201 : 200, renderObject(written, call.view));
}

async function deleting({ query, request }: ResourceCall): Promise<DeleteOptions> {
  return deleteOptions(query, await decodeOptions(request), request.headers['user-agent'] ?? '');
}

async function remove(call: ResourceCall, key: Key): Promise<Answer> {
  const { home, type } = call;
  const options = await deleting(call);
  const last = await home.delete(type, key, options);
  // Something must still happen before it is gone: then the answer is the object.
  if (last.metadata.deletionTimestamp !== undefined && isHeld(type, last)) {
    return answer(call, 200, renderObject(last, call.view));
  }
  const { uid } = last.metadata;
  const group = type.group === '' ? {} : { group: type.group };
  const status = deletedStatus({ name: key.name, ...group, kind: type.plural, ...(uid === undefined ? {} : { uid }) });
  return answer(call, 200, encode(status, call.view.representation));
}

/** Deletes each object of the selection by itself, as the API server does; one that is gone meanwhile is no failure. */
async function removeAll(call: ResourceCall, namespace: string): Promise<Answer> {
  const { home, type } = call;
  const options = await deleting(call);
  const list = home.stored.list(type, listScope(call));
  await Promise.all(
    list.items.map(async ({ object: { metadata } }) => {
      try {
        await home.delete(type, { namespace, name: metadata.name }, options);
      } catch (error) {
        if (!isReason(error, 'NotFound')) throw error;
      }
    }),
  );
  return answer(call, 200, renderList(list, call.view));
}

/** The path says where the object is; the body may say the same, or nothing. */
function place(type: ResourceType, object: Partial<KubeObject>, namespace: string): void {
  // What names no kind is refused for that, as it was sent.
  if (typeof object.kind === 'string') object.metadata ??= {} as KubeObject['metadata'];
  if (!isJsonObject(object.metadata)) return;
  const given = object.metadata.namespace ?? '';
  if (!type.namespaced) return;
  if (given !== '' && given !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  object.metadata.namespace = namespace;
}
