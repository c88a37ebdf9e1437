import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Test } from 'tap';
import { Namespaces } from '../../src/api/core.ts';
import { apiVersionOf } from '../../src/api/meta.ts';
import type { KubeObject, ResourceType } from '../../src/api/meta.ts';
import { ApiError } from '../../src/home/api-error.ts';
import type { StatusCause } from '../../src/home/api-error.ts';
import type { Client, Patch, WriteOptions } from '../../src/home/client.ts';
import { isJsonObject } from '../../src/home/json.ts';
import { writeCases } from './write-cases.ts';
import type { Body, WriteCase } from './write-case.ts';

/** What came of one write, with all that differs from run to run replaced. */
export interface Answer {
  readonly refused?: {
    readonly code: number;
    readonly reason: string;
    /** Without the causes, where it is made of them. */
    readonly message: string;
    readonly name?: string;
    readonly group?: string;
    readonly kind?: string;
    readonly causes?: readonly StatusCause[];
  };
  readonly stored?: Body;
  readonly warnings?: readonly string[];
}

/** What a kube-apiserver 1.36 answered, one case a line. `GRIDFERRY_TEST_RECORD=1` writes it anew. */
export const RECORD = new URL('./recorded-answers.jsonl', import.meta.url);

/** Every case of the table, asked of a client and compared with the record, word for word. */
export async function recordedWrites(t: Test, client: Client): Promise<void> {
  const lines = readFileSync(RECORD, 'utf8').trim().split('\n');
  const recorded = new Map(lines.map((line) => JSON.parse(line) as [string, Answer]));
  await inNamespace(client, async (namespace) => {
    for (const writeCase of writeCases) {
      await t.test(writeCase.sentence, async (t) => {
        const expected = recorded.get(writeCase.sentence);
        const answer = await answerOf(client, namespace, writeCase);
        if (expected === undefined) t.fail('it is not in the record');
        else t.strictSame(comparable(answer), comparable(expected));
      });
    }
  });
}

/** The record, as text, of what a client's server answers. */
export async function recordOf(client: Client): Promise<string> {
  const lines: string[] = [];
  await inNamespace(client, async (namespace) => {
    for (const writeCase of writeCases) {
      lines.push(JSON.stringify([writeCase.sentence, await answerOf(client, namespace, writeCase)]));
    }
  });
  return `${lines.join('\n')}\n`;
}

async function inNamespace(client: Client, body: (namespace: string) => Promise<void>): Promise<void> {
  const name = `conformance-${randomBytes(5).toString('hex')}`;
  await client.create(Namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  try {
    await body(name);
  } finally {
    await client.delete(Namespaces, { namespace: '', name });
  }
}

/** The API server looks at the members of an object in the order of a Go map: the order of causes means nothing. */
function comparable(answer: Answer): unknown {
  const { refused } = answer;
  if (refused?.causes === undefined) return answer;
  const text = (cause: StatusCause): string => `${cause.field ?? ''} ${cause.message}`;
  const causes = refused.causes.toSorted((a, b) => (text(a) < text(b) ? -1 : 1));
  return { ...answer, refused: { ...refused, causes } };
}

/** Makes the write, of an object of its own, and says what came of it. */
async function answerOf(client: Client, namespace: string, writeCase: WriteCase): Promise<Answer> {
  const { type, given } = writeCase;
  const name = `conformance-${randomBytes(5).toString('hex')}`;
  const complete = (body: Body): KubeObject => completed(type, body, name, namespace);
  const warnings: string[] = [];
  let before: KubeObject | undefined;
  let answer: Answer;
  try {
    if (given !== undefined) before = await client.create(type, complete(given));
    const onWarning = (text: string): number => warnings.push(text);
    const stored = await written(client, writeCase, complete, before, { ...writeCase.options, onWarning });
    answer = { stored: withoutVolatile(stored) };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    answer = { refused: refusalOf(error) };
  } finally {
    if (type.kind === 'Namespace') await client.delete(Namespaces, { namespace: '', name }).catch(() => undefined);
  }
  const heard = warnings.length === 0 ? {} : { warnings };
  const text = JSON.stringify({ ...answer, ...heard })
    .replaceAll(namespace, 'NAMESPACE')
    .replaceAll(name, 'NAME')
    .replaceAll(before?.metadata.uid ?? name, 'UID')
    .replaceAll(/((?:Up|Bad)_)[a-z0-9]{5}/g, '$1SUFFIX')
    .replaceAll(/x{60,}/g, (run) => `x{${String(run.length)}}`);
  return JSON.parse(text) as Answer;
}

async function written(
  client: Client,
  { type, write }: WriteCase,
  complete: (body: Body) => KubeObject,
  before: KubeObject | undefined,
  options: WriteOptions,
): Promise<KubeObject> {
  const { name, namespace = '' } = complete({}).metadata;
  const key = { name, namespace };
  switch (write.verb) {
    case 'create':
      return client.create(type, complete(write.body), options);
    case 'update':
    case 'updateStatus':
      return client[write.verb](type, write.change(before as KubeObject) as unknown as KubeObject, options);
    case 'json':
      return client.patch(type, key, { type: 'json', body: write.body }, options);
    case 'apply':
      return client.patch(type, key, { type: 'apply', body: complete(write.body) } as unknown as Patch, options);
    case 'merge':
      return client.patch(type, key, { type: 'merge', body: write.body }, options);
    case 'mergeStatus':
      return client.patch(type, key, { type: 'merge', body: write.body }, { ...options, subresource: 'status' });
  }
}

function completed(type: ResourceType, body: Body, name: string, namespace: string): KubeObject {
  const { metadata = {}, ...rest } = JSON.parse(
    JSON.stringify(body).replaceAll('NAMESPACE', namespace).replaceAll('OWN_NAME', name),
  ) as Body;
  const place = { name, ...(type.namespaced ? { namespace } : {}) };
  const whole = isJsonObject(metadata) ? { ...place, ...metadata } : metadata;
  return { apiVersion: apiVersionOf(type), kind: type.kind, metadata: whole, ...rest } as unknown as KubeObject;
}

function withoutVolatile(object: KubeObject): Body {
  const volatile = ['uid', 'resourceVersion', 'creationTimestamp', 'managedFields', 'name', 'namespace'];
  const kept = Object.entries(object.metadata).filter(([field]) => !volatile.includes(field));
  return { ...object, metadata: Object.fromEntries(kept) };
}

function refusalOf(error: ApiError): NonNullable<Answer['refused']> {
  const { name, group, kind } = error.statusDetails;
  const causes = error.statusDetails.causes?.map((cause) =>
    cause.field === 'patch' ? { ...cause, message: withoutObject(cause.message) } : cause,
  );
  const message = withoutObject(error.message);
  const about = Object.entries({ name, group, kind }).filter(([, value]) => value !== undefined && value !== '');
  const head = { code: error.httpCode, reason: error.reason, ...Object.fromEntries(about) };
  if (causes === undefined) return { ...head, message };
  // The API server validates some parts twice, and says twice what is wrong with them.
  const listed = causes.map(({ field = '', message }) => `${field}: ${message}`);
  const said = [...new Set(listed)];
  const composed = said.length === 1 ? (said[0] ?? '') : `[${said.join(', ')}]`;
  return {
    ...head,
    message: message.endsWith(composed) ? message.slice(0, -composed.length) : message,
    causes: causes.filter((_, index) => listed.indexOf(listed[index] ?? '') === index),
  };
}

/**
 * A refused patch is answered with the whole object that it made, times and versions included; of a Secret the local
 * home shows nothing.
 */
function withoutObject(message: string): string {
  return message
    .replace(
      /(?<=^|"" is invalid: patch: )Invalid value: "(?:\{(?:[^"\\]|\\.)*|<secret contents redacted>)": /,
      'Invalid value: OBJECT: ',
    )
    .replace(/(?<=OBJECT: Object 'Kind' is missing in ).*/, 'OBJECT');
}
