import protobuf from 'protobufjs/light.js';
import type { Message, Type } from 'protobufjs';
import { messageOf } from '../../errors.ts';
import { badRequest } from '../api-messages.ts';
import { isJsonObject } from '../json.ts';
import type { JsonObject } from '../json.ts';
import { messageTypes } from './protobuf-messages.ts';

/** What every protobuf body of Kubernetes begins with; then comes a `runtime.Unknown`. */
const MAGIC = Buffer.from('k8s\0');
/** The descriptors nest no deeper than a few levels; this only says so. */
const MAX_DEPTH = 20;

let root: protobuf.Root | undefined;

/**
 * An object from kubectl's typed clients, as JSON.
 *
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
 *
 * @throws ApiError `BadRequest`
 */
export function decodeProtobuf(body: Buffer): unknown {
  if (!body.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw badRequest("provided data does not appear to be a protobuf message, expected prefix 'k8s\\x00'");
  }
  root ??= protobuf.Root.fromJSON({ nested: messageTypes });
  const unknown = decode(root.lookupType('Unknown'), body.subarray(MAGIC.length));
  const { apiVersion, kind } = isJsonObject(unknown['typeMeta']) ? unknown['typeMeta'] : {};
  const name = typeof kind === 'string' ? kind : '';
  const type = Object.hasOwn(messageTypes, name) ? root.lookupType(name) : undefined;
  if (type === undefined || typeof apiVersion !== 'string') {
    throw badRequest(`no kind ${JSON.stringify(name)} is registered for version ${JSON.stringify(apiVersion ?? '')}`);
  }
  const raw = unknown['raw'];
  return { apiVersion, kind: name, ...decode(type, raw instanceof Uint8Array ? raw : new Uint8Array()) };
}

function decode(type: Type, bytes: Uint8Array): JsonObject {
  let message: Message;
  try {
    message = type.decode(bytes);
  } catch (error) {
    throw badRequest(`the protobuf message cannot be decoded: ${messageOf(error)}`);
  }
  return toJson(type, message, 0) ?? {};
}

/**
 * Go writes the zero value of every field that is not a pointer, and leaves it out of JSON: empty texts, lists and
 * messages are nothing here, too. Numbers and booleans are kept where Go has a pointer (`optional` in the descriptor).
 */
function toJson(type: Type, message: Message, depth: number): JsonObject | undefined {
  if (depth > MAX_DEPTH) throw badRequest('the protobuf message exceeds the depth that is read');
  const result: JsonObject = {};
  for (const field of type.fieldsArray) {
    if (!Object.hasOwn(message, field.name)) continue;
    const value = valueOf(field.resolve(), Reflect.get(message, field.name), depth);
    if (value !== undefined) result[field.name] = value;
  }
  return Object.keys(result).length === 0 ? undefined : result;
}

function valueOf(field: protobuf.Field, value: unknown, depth: number): unknown {
  const kept = field.getOption('pointer') === true;
  if (field.map) {
    const entries = Object.entries(value as JsonObject).map(([key, item]) => [key, single(field, item, depth, true)]);
    return entries.length === 0 ? undefined : Object.fromEntries(entries);
  }
  if (field.repeated) {
    const items = (value as unknown[]).map((item) => single(field, item, depth, true) ?? {});
    return items.length === 0 ? undefined : items;
  }
  return single(field, value, depth, kept);
}

function single(field: protobuf.Field, value: unknown, depth: number, kept: boolean): unknown {
  const { resolvedType } = field;
  if (resolvedType instanceof protobuf.Type) {
    switch (resolvedType.name) {
      case 'Time':
        return timeOf(value, 0);
      case 'MicroTime':
        return timeOf(value, 6);
      case 'FieldsV1':
        return rawJson(value);
      default:
        return toJson(resolvedType, value as Message, depth + 1);
    }
  }
  if (value instanceof Uint8Array) {
    // `raw` of the envelope is the message inside, every other one travels in base64.
    return field.name === 'raw' ? value : Buffer.from(value).toString('base64');
  }
  const plain: unknown = field.type === 'int64' ? Number(String(value)) : value;
  return !kept && (plain === '' || plain === 0 || plain === false) ? undefined : plain;
}

function timeOf(value: unknown, digits: 0 | 6): string | undefined {
  const { seconds = 0, nanos = 0 } = value as { seconds?: number | { toString(): string }; nanos?: number };
  const milliseconds = Number(String(seconds)) * 1000;
  // An unset time is an empty message.
  if (milliseconds === 0 && nanos === 0) return undefined;
  const date = new Date(milliseconds);
  if (Number.isNaN(date.getTime())) throw badRequest('the protobuf message has a time out of range');
  const whole = date.toISOString().slice(0, 19);
  return digits === 0 ? `${whole}Z` : `${whole}.${String(Math.trunc(nanos / 1000)).padStart(6, '0')}Z`;
}

function rawJson(value: unknown): unknown {
  const raw: unknown = Reflect.get(value as object, 'Raw');
  if (!(raw instanceof Uint8Array) || raw.length === 0) return undefined;
  try {
    return JSON.parse(Buffer.from(raw).toString());
  } catch (error) {
    throw badRequest(`fieldsV1 is not JSON: ${messageOf(error)}`);
  }
}
