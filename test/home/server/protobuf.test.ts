import t from 'tap';
import { decodeProtobuf } from '../../../src/home/server/protobuf.ts';
import { openApi, send } from './wire.ts';

/** What kubectl 1.32 and 1.36 sent for `create` and `auth can-i`, in base64. */
const RECORDED = {
  namespace: 'azhzAAoPCgJ2MRIJTmFtZXNwYWNlEh4KFgoGdGVhbS1hEgAaACIAKgAyADgAQgASABoCCgAaACIA',
  secret: 'azhzAAoMCgJ2MRIGU2VjcmV0Ei4KHAoFdG9rZW4SABoHZGVmYXVsdCIAKgAyADgAQgASDAoDa2V5EgV2YWx1ZRoAGgAiAA==',
  configMap:
    'azhzAAoPCgJ2MRIJQ29uZmlnTWFwEjQKHwoIc2V0dGluZ3MSABoHZGVmYXVsdCIAKgAyADgAQgASBgoBYRIBYhoJCgNyYXcSAgD/GgAiAA==',
  review:
    'azhzAAoyChdhdXRob3JpemF0aW9uLms4cy5pby92MRIXU2VsZlN1YmplY3RBY2Nlc3NSZXZpZXcSPwoQCgASABoAIgAqADIAOABCABIhCh8KB2RlZmF1bHQSA2dldBoAIgAqB3NlY3JldHMyADoAGggIABIAGgAgABoAIgA=',
} as const;

function body(name: keyof typeof RECORDED): Buffer {
  return Buffer.from(RECORDED[name], 'base64');
}

/** A field whose content has a length below 128. */
function field(id: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.of((id << 3) | 2, content.length), content]);
}

void t.test('what kubectl posts as protobuf reads as the JSON it stands for', async (t) => {
  t.same(decodeProtobuf(body('namespace')), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team-a' } });
  t.same(decodeProtobuf(body('secret')), {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'token', namespace: 'default' },
    data: { key: 'dmFsdWU=' },
  });
  t.same(decodeProtobuf(body('configMap')), {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'settings', namespace: 'default' },
    data: { a: 'b' },
    binaryData: { raw: 'AP8=' },
  });
  t.match(decodeProtobuf(body('review')), {
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { verb: 'get', resource: 'secrets' } },
  });
});

void t.test('it makes the objects', async (t) => {
  const api = await openApi(t);
  const headers = {
    'content-type': 'application/vnd.kubernetes.protobuf',
    accept: 'application/vnd.kubernetes.protobuf,application/json',
  };
  const made = await send(api, 'POST', '/api/v1/namespaces/default/secrets', { headers, body: body('secret') });
  t.match(made, {
    code: 201,
    headers: { 'content-type': 'application/json' },
    body: { kind: 'Secret', type: 'Opaque' },
  });
  const whoami = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  t.match(await send(api, 'POST', whoami, { headers, body: body('review') }), {
    code: 201,
    body: { status: { allowed: true } },
  });
});

void t.test('numbers and booleans that Go keeps behind a pointer keep their zero', async (t) => {
  const type = field(1, Buffer.concat([field(1, Buffer.from('v1')), field(2, Buffer.from('DeleteOptions'))]));
  const graceAndOrphans = Buffer.from('08001800', 'hex');
  t.same(decodeProtobuf(Buffer.concat([Buffer.from('k8s\0'), type, field(2, graceAndOrphans)])), {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    gracePeriodSeconds: 0,
    orphanDependents: false,
  });
});

void t.test('what is no such message is refused', async (t) => {
  const secret = body('secret');
  const refused = [
    Buffer.from(''),
    Buffer.from('k8s'),
    Buffer.from('k8s\0'),
    Buffer.from('{"kind":"Secret"}'),
    Buffer.from('k8s\0\u00ff\u00ff\u00ff\u00ff'),
    secret.subarray(0, -1),
    secret.subarray(0, 20),
    Buffer.from(secret.toString('latin1').replace('Secret', 'Socket'), 'latin1'),
    Buffer.from(secret.toString('latin1').replace('Secret', '__prot'), 'latin1'),
  ];
  for (const bytes of refused) t.throws(() => decodeProtobuf(bytes), { code: 'GF_API_ERROR' }, bytes.toString('hex'));
  for (let cut = 0; cut < secret.length; cut++) {
    try {
      decodeProtobuf(secret.subarray(0, cut));
    } catch (error) {
      t.match(error, { reason: 'BadRequest' }, `cut at ${String(cut)}`);
    }
  }
});
