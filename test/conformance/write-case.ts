import type { KubeObject, ResourceType } from '../../src/api/meta.ts';
import type { JsonPatchOperation, WriteOptions } from '../../src/home/client.ts';

/** JSON as a client may send it, right or wrong; the runner adds apiVersion, kind, name and namespace where absent. */
export type Body = Readonly<Record<string, unknown>>;

export type Write =
  | { readonly verb: 'create'; readonly body: Body }
  | { readonly verb: 'update' | 'updateStatus'; readonly change: (given: KubeObject) => Body }
  | { readonly verb: 'merge' | 'mergeStatus' | 'apply'; readonly body: Body }
  | { readonly verb: 'json'; readonly body: readonly JsonPatchOperation[] };

/** One write whose answer is recorded from a real API server, word for word (see `write-answers.ts`). */
export interface WriteCase {
  readonly sentence: string;
  readonly type: ResourceType;
  /** What is there before the write. */
  readonly given?: Body;
  readonly write: Write;
  readonly options?: WriteOptions;
}

export const MANY = 'x'.repeat(300);
export const uid = 'bdc1b2a5-0000-4000-8000-000000000000';

export const spec = (more: Body = {}): Body => ({
  spec: { container: 'web', sourceServerRef: { name: 'alpha' }, targetServerRef: { name: 'beta' }, ...more },
});
export const service = (more: Body = {}): Body => ({
  spec: { container: 'web', serverRef: { name: 'alpha' }, ...more },
});
export const server = (more: Body = {}): Body => ({
  spec: { address: '192.0.2.1', ssh: { credentialsRef: { name: 'key' } }, ...more },
});

export function create(sentence: string, type: unknown, body: Body, options?: WriteOptions): WriteCase {
  return { sentence, type: type as ResourceType, write: { verb: 'create', body }, ...(options && { options }) };
}

export function change(
  sentence: string,
  type: unknown,
  given: Body,
  verb: 'update' | 'updateStatus',
  change: (given: KubeObject) => Body,
  options?: WriteOptions,
): WriteCase {
  return { sentence, type: type as ResourceType, given, write: { verb, change }, ...(options && { options }) };
}

export function patch(
  sentence: string,
  type: unknown,
  given: Body,
  verb: 'merge' | 'mergeStatus' | 'apply',
  body: Body,
  options?: WriteOptions,
): WriteCase {
  return { sentence, type: type as ResourceType, given, write: { verb, body }, ...(options && { options }) };
}

export function json(sentence: string, type: unknown, given: Body, ...body: JsonPatchOperation[]): WriteCase {
  return { sentence, type: type as ResourceType, given, write: { verb: 'json', body } };
}

export const typos = spec({ contanier: 'a', healthCheck: { http: { port: 80, pth: '/' } } });

export const metadata = (meta: Body, body: Body = spec()): Body => ({ ...body, metadata: meta });

export const base64 = (text: string): string => Buffer.from(text).toString('base64');

export const me: WriteOptions = { fieldManager: 'me' };
export const withoutVersion = (given: KubeObject): Body => {
  const { name, namespace } = given.metadata;
  return { ...given, metadata: namespace === undefined ? { name } : { name, namespace } };
};
