import type { KubeObject } from '../../api/meta.ts';
import { isJsonObject } from '../json.ts';
import { fieldsOf } from './applied-fields.ts';
import { compareFields } from './compare-fields.ts';
import type { FieldScope } from './field-scope.ts';
import { difference, EMPTY } from './field-set.ts';
import type { FieldSet } from './field-set.ts';

/**
 * kubectl's client-side apply keeps what it applied in an annotation. When the same user goes over to server-side apply,
 * that is not somebody else's property (apimachinery, `lastappliedmanager.go`).
 */
export const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
/** The manager for which this holds. */
export const KUBECTL = 'kubectl';

const MAX_ANNOTATION_BYTES = 256 * 1024;

/** What was applied last by the client and still is as it was applied. */
export function fieldsLastApplied({ fields, apiVersion }: FieldScope, live: KubeObject): FieldSet {
  const configuration = parsed(live.metadata.annotations?.[LAST_APPLIED]);
  if (configuration?.['apiVersion'] !== apiVersion) return EMPTY;
  const { changed, removed } = compareFields(fields, configuration, live);
  return difference(difference(fieldsOf(fields, configuration), changed), removed);
}

/** Keeps the annotation, where there is one, in step with what is applied by the server: the user may go back. */
export function keepLastApplied(object: KubeObject, body: Readonly<Record<string, unknown>>): KubeObject {
  const { annotations } = object.metadata;
  if (!annotations?.[LAST_APPLIED]) return object;
  const configuration = `${JSON.stringify(sorted(withoutAnnotation(body)))}\n`;
  const next = { ...annotations, [LAST_APPLIED]: configuration };
  // Better none than one that makes the object invalid.
  const bytes = Object.entries(next).reduce((sum, [name, value]) => sum + Buffer.byteLength(name + value), 0);
  if (bytes > MAX_ANNOTATION_BYTES) Reflect.deleteProperty(next, LAST_APPLIED);
  return { ...object, metadata: { ...object.metadata, annotations: next } };
}

function withoutAnnotation(body: Readonly<Record<string, unknown>>): unknown {
  const { metadata } = body;
  if (!isJsonObject(metadata) || !isJsonObject(metadata['annotations'])) return body;
  const annotations = { ...metadata['annotations'] };
  Reflect.deleteProperty(annotations, LAST_APPLIED);
  return { ...body, metadata: { ...metadata, annotations } };
}

function parsed(json: string | undefined): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(json ?? 'null');
    return isJsonObject(value) ? value : undefined;
  } catch {
    // Whoever wrote that: it says nothing about ownership.
    return undefined;
  }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((name) => [name, sorted(value[name])]),
  );
}
