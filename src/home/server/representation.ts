import { stringify } from 'yaml';
import type { KubeObject, ResourceType } from '../../api/meta.ts';
import { apiVersionOf, isCustom } from '../../api/meta.ts';
import type { Clock } from '../../runtime/clock.ts';
import { ApiError } from '../api-error.ts';
import type { StoredList } from '../home-reader.ts';
import type { StoredObject } from '../stored-object.ts';
import type { Representation } from './media-types.ts';
import { partialMetadata, tableOf } from './table.ts';
import type { IncludeObject } from './table.ts';

/** What a client wants to see of the objects it asked for. */
export interface View {
  readonly type: ResourceType;
  readonly representation: Representation;
  readonly includeObject: IncludeObject;
  readonly clock: Clock;
}

export function contentTypeOf({ encoding }: Representation): string {
  return encoding === 'yaml' ? 'application/yaml' : 'application/json';
}

export function encode(value: unknown, { encoding }: Representation): string {
  return encoding === 'yaml' ? yamlText(value) : `${JSON.stringify(value)}\n`;
}

function yamlText(value: unknown): string {
  return stringify(value, { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false });
}

/** One object as text. What is wanted as it is stored goes out without being parsed. */
export function renderStored(stored: StoredObject, view: View): string {
  const { representation } = view;
  if (representation.as === undefined && representation.encoding === 'json') return `${stored.json}\n`;
  return renderObject(stored.object, view);
}

/** @throws ApiError `NotAcceptable` for the form of a list. */
export function renderObject(object: Readonly<KubeObject>, view: View): string {
  return encode(shapeOf(object, view), view.representation);
}

/** @param withColumns whether a table says what its columns are */
export function shapeOf(object: Readonly<KubeObject>, view: View, withColumns = true): unknown {
  const { as, version = '' } = view.representation;
  switch (as) {
    case 'Table':
      return tableOf(
        { ...view, version, now: view.clock.now() },
        [object],
        { resourceVersion: object.metadata.resourceVersion },
        withColumns,
      );
    case 'PartialObjectMetadata':
      return partialMetadata(object, version);
    case 'PartialObjectMetadataList':
      throw notAcceptable(`you requested ${as}, but the requested object is not a list type`);
    default:
      return object;
  }
}

/** A list as text: the stored texts between brackets. */
export function renderList(list: StoredList, view: View): string {
  const { type, representation } = view;
  const { items, resourceVersion, continue: more, remainingItemCount } = list;
  const metadata = {
    resourceVersion,
    ...(more === undefined ? {} : { continue: more }),
    ...(remainingItemCount === undefined ? {} : { remainingItemCount }),
  };
  const { as, version = '', encoding } = representation;
  switch (as) {
    case 'Table': {
      const objects = items.map((item) => item.object);
      return encode(tableOf({ ...view, version, now: view.clock.now() }, objects, metadata), representation);
    }
    case 'PartialObjectMetadataList': {
      const partial = items.map((item) => partialMetadata(item.object, version));
      const apiVersion = `meta.k8s.io/${version}`;
      return encode({ kind: as, apiVersion, metadata, items: partial }, representation);
    }
    case 'PartialObjectMetadata':
      throw notAcceptable(`you requested ${as}, but the requested object is a list (*unstructured.UnstructuredList)`);
    default: {
      // Lists of custom kinds say that they are complete, too.
      const whole = isCustom(type) ? { continue: '', ...metadata } : metadata;
      const head = JSON.stringify({ kind: `${type.kind}List`, apiVersion: apiVersionOf(type), metadata: whole });
      const text = `${head.slice(0, -1)},"items":[${items.map((item) => item.json).join(',')}]}\n`;
      return encoding === 'json' ? text : yamlText(JSON.parse(text));
    }
  }
}

function notAcceptable(message: string): ApiError {
  return new ApiError('NotAcceptable', message);
}
