import t from 'tap';
import { probeServer } from '../../../controllers/managed-server/probe.ts';
import type { ProbeResult } from '../../../controllers/managed-server/probe.ts';
import { derivePhase, statusAfter } from '../../../controllers/managed-server/status.ts';
import type { ServerConnections } from '../../../controllers/servers/connections.ts';
import type { ManagedServer, ManagedServerStatus } from '../../../src/api/resources.ts';
import { GridferryError } from '../../../src/errors.ts';
import type { ErrorCode } from '../../../src/errors.ts';
import { onlineServer } from '../../support/transfer-world.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const key = { algorithm: 'ssh-ed25519', fingerprint: 'SHA256:abc', publicKey: 'AAAA' };
const facts = { docker: { version: '20.10.24', apiVersion: '1.41' } };

function server(status?: ManagedServerStatus): ManagedServer {
  const made = onlineServer('alpha', { ssh: { user: 'deploy' } } as never);
  if (status === undefined) delete made.status;
  else made.status = status;
  made.metadata.generation = 3;
  return made;
}

const probe = (change: Partial<ProbeResult> = {}): ProbeResult => ({
  hostKey: key,
  facts,
  services: [],
  failure: undefined,
  ...change,
});

/** What a probe finds when logging in, or what comes after it, fails. */
async function failing(code: ErrorCode, after: 'login' | 'connect'): Promise<ProbeResult> {
  const error = new GridferryError(code, 'it did not work: do this');
  const host = { isRoot: true, spawn: async () => Promise.reject(error) };
  const servers = {
    login: async () => (after === 'login' ? Promise.reject(error) : { host, hostKey: key }),
    connect: async () => Promise.reject(error),
  } as unknown as ServerConnections;
  return probeServer(servers, server(), new AbortController().signal);
}

const after = (one: ManagedServer, result: ProbeResult): ManagedServerStatus =>
  statusAfter(one, result, NOW, (text) => text);

function told(status: ManagedServerStatus): Record<string, string> {
  return Object.fromEntries(
    (status.conditions ?? []).map(({ type, status: value, reason }) => [type, `${value} ${reason}`]),
  );
}

void t.test('a server that answers is online', async (t) => {
  const status = after(server(), probe());
  t.equal(status.phase, 'Online');
  t.same(told(status), {
    Reachable: 'True LoggedIn',
    HostKeyVerified: 'True Pinned',
    DockerReady: 'True Answers',
    Ready: 'True Online',
    Reconciling: 'False Ready',
    Stalled: 'False Ready',
  });
  t.match(status, { consecutiveFailures: 0, observedGeneration: 3, facts });
});

void t.test('before the first look it is pending', async (t) => {
  t.equal(derivePhase({}), 'Pending');
  t.equal(
    derivePhase({
      conditions: [{ type: 'Ready', status: 'Unknown', reason: 'X', message: '', lastTransitionTime: '' }],
    }),
    'Pending',
  );
});

void t.test('each failure says where it happened, and leaves the rest unknown', async (t) => {
  const table: readonly (readonly [ErrorCode, 'login' | 'connect', Record<string, string>])[] = [
    [
      'GF_SSH_REFUSED',
      'login',
      { Reachable: 'False Refused', HostKeyVerified: 'Unknown Refused', DockerReady: 'Unknown Refused' },
    ],
    [
      'GF_SSH_TIMEOUT',
      'login',
      { Reachable: 'False Timeout', HostKeyVerified: 'Unknown Timeout', DockerReady: 'Unknown Timeout' },
    ],
    ['GF_ADDRESS_FORBIDDEN', 'login', { Reachable: 'False AddressForbidden' }],
    ['GF_SSH_AUTH_FAILED', 'login', { Reachable: 'False AuthFailed', DockerReady: 'Unknown AuthFailed' }],
    ['GF_SECRET_NOT_FOUND', 'login', { Reachable: 'False SecretNotFound' }],
    ['GF_CREDENTIALS_EMPTY', 'login', { Reachable: 'False CredentialsEmpty' }],
    [
      'GF_SSH_HOST_KEY_CHANGED',
      'login',
      {
        Reachable: 'Unknown HostKeyChanged',
        HostKeyVerified: 'False HostKeyChanged',
        DockerReady: 'Unknown HostKeyChanged',
      },
    ],
    [
      'GF_DOCKER_PERMISSION',
      'connect',
      { Reachable: 'True LoggedIn', HostKeyVerified: 'True Pinned', DockerReady: 'False DockerPermission' },
    ],
  ];
  for (const [code, where, expected] of table) {
    const status = after(server(), await failing(code, where));
    t.match(told(status), expected, code);
    t.equal(status.phase, 'Offline', code);
    t.match(told(status)['Ready'], /^False /);
    t.match(status.conditions?.find(({ type }) => type === 'Ready')?.message, `${code}: it did not work: do this`);
    t.equal(status.consecutiveFailures, 1);
  }
});

void t.test('failures are counted until it answers again, and what was known of it stays', async (t) => {
  const good = after(server(), probe());
  const once = after(server(good), await failing('GF_SSH_TIMEOUT', 'login'));
  const twice = after(server(once), await failing('GF_SSH_TIMEOUT', 'login'));
  t.equal(twice.consecutiveFailures, 2);
  t.match(twice.facts, facts);
  t.same(twice.hostKey, good.hostKey);
  t.equal(told(twice)['HostKeyVerified'], 'True Pinned', 'that it was verified stays true');
  t.equal(after(server(twice), probe()).consecutiveFailures, 0);
});

void t.test('the host key is pinned on first use, and kept with its date', async (t) => {
  const first = after(server(), probe());
  t.match(first.hostKey, { ...key, pinnedAt: '2026-01-01T00:00:00Z' });
  const later = statusAfter(server(first), probe(), NOW + 60_000, (text) => text);
  t.same(later.hostKey, first.hostKey);
  const other = { ...key, publicKey: 'BBBB', fingerprint: 'SHA256:other' };
  const changed = statusAfter(server(first), probe({ hostKey: other }), NOW + 60_000, (text) => text);
  t.match(
    changed.hostKey,
    { fingerprint: 'SHA256:other', pinnedAt: '2026-01-01T00:01:00Z' },
    'pinned anew: the spec named it',
  );
  t.same(
    after(server(first), await failing('GF_SSH_HOST_KEY_CHANGED', 'login')).hostKey,
    first.hostKey,
    'a refused key is not pinned',
  );
});

void t.test('this machine has no host key', async (t) => {
  const local = onlineServer('here', { local: true });
  const status = after(local, probe({ hostKey: undefined }));
  t.equal(status.hostKey, undefined);
  t.equal(told(status)['HostKeyVerified'], 'True Local');
});

void t.test('messages are redacted', async (t) => {
  const failed = await failing('GF_SSH_AUTH_FAILED', 'login');
  const status = statusAfter(server(), failed, NOW, (text) => text.replace('do this', '[redacted]'));
  t.notMatch(JSON.stringify(status), 'do this');
});
