import type { IncomingMessage } from 'node:http';
import { badRequest } from '../api-messages.ts';
import { isJsonObject } from '../json.ts';
import { timestamp } from '../object-rules.ts';
import { decodeOptions } from './decode-object.ts';
import { reviewGroups } from './route.ts';

/** Whoever has the token is this user, who may do everything. */
const ADMIN = { username: 'admin', uid: 'admin', groups: ['system:masters', 'system:authenticated'] } as const;

const HEALTH = ['/healthz', '/livez', '/readyz', '/version', '/version/'];
const DISCOVERY = ['/api', '/api/*', '/apis', '/apis/*', '/openapi', '/openapi/*'];

/** What `kubectl auth can-i --list` prints: all, and what in a cluster everybody may do. */
const RULES = {
  resourceRules: [
    { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
    ...Object.entries(reviewGroups).map(([group, resources]) => ({ verbs: ['create'], apiGroups: [group], resources })),
  ],
  nonResourceRules: [
    { verbs: ['*'], nonResourceURLs: ['*'] },
    { verbs: ['get'], nonResourceURLs: [...DISCOVERY, ...HEALTH].toSorted() },
    { verbs: ['get'], nonResourceURLs: HEALTH },
  ],
  incomplete: false,
};

/**
 * Answers `kubectl auth whoami` and `kubectl auth can-i`.
 *
 * @param now milliseconds since the epoch
 * @throws ApiError `BadRequest`
 */
export async function answerReview(
  request: IncomingMessage,
  group: string,
  plural: string,
  now: number,
): Promise<Record<string, unknown>> {
  const given = await decodeOptions(request, 'the object provided is unrecognized: ');
  if (!isJsonObject(given)) throw badRequest('the object provided is unrecognized: it is not an object');
  const apiVersion = `${group}/v1`;
  const spec = isJsonObject(given['spec']) ? given['spec'] : {};
  switch (plural) {
    case 'selfsubjectreviews': {
      const metadata = { creationTimestamp: timestamp(now) };
      return { kind: 'SelfSubjectReview', apiVersion, metadata, status: { userInfo: ADMIN } };
    }
    case 'selfsubjectaccessreviews':
      return { kind: 'SelfSubjectAccessReview', apiVersion, metadata: {}, spec, status: { allowed: true } };
    default:
      return { kind: 'SelfSubjectRulesReview', apiVersion, metadata: {}, spec: {}, status: RULES };
  }
}
