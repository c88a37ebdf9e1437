import { readFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import type { User } from '@kubernetes/client-node/dist/config_types.js';
import { GridferryError, messageOf } from '../../errors.ts';
import { sleep } from '../../runtime/clock.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { ClusterAccess } from './cluster-access.ts';

/** What proves who we are: headers, or a certificate, or both. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
}

export interface CredentialSource {
  /** Cheap once they are known. Rejects with `GF_API_CREDENTIALS`. */
  current(): Promise<Credentials>;
  /**
   * The server did not take these: the next `current` asks plugins and files again. Of many calls that were refused
   * together only the first has that effect.
   */
  renew(refused: Credentials): void;
}

interface Authenticator {
  applyAuthentication(user: User, options: RequestOptions): Promise<void>;
}

/** A plugin may ask a person to log in, but not for ever. */
const PLUGIN_TIMEOUT_MS = 60_000;

/** The credentials of a kubeconfig's user, through the authenticators of client-node. */
export function createCredentialSource(access: ClusterAccess, clock: Clock): CredentialSource {
  const { user } = access;
  let authenticator: Promise<Authenticator | undefined> | undefined;
  let certificate: Pick<Credentials, 'cert' | 'key'> | undefined;
  /** So that a hundred calls that find no token start one plugin, not a hundred. */
  let loading: Promise<Credentials> | undefined;
  /** What stays as it is until the server refuses it. */
  let fixed: Promise<Credentials> | undefined;
  /** What was handed out last; `undefined` while it is renewed. */
  let latest: Credentials | undefined;

  async function load(): Promise<Credentials> {
    certificate ??= certificateOf(user);
    const options: RequestOptions & { headers: Record<string, string> } = { headers: {} };
    authenticator ??= authenticatorOf(access);
    await (await authenticator)?.applyAuthentication(execUser(access), options);
    const headers: Record<string, string | readonly string[]> = { ...access.headers };
    // A token file usually ends in a newline, which no header may have.
    const authorization = options.headers['Authorization']?.trim() ?? staticAuthorization(user);
    if (authorization !== undefined) headers['Authorization'] = authorization;
    const { cert = certificate.cert, key = certificate.key } = options as Pick<Credentials, 'cert' | 'key'>;
    return { headers, ...(cert === undefined || key === undefined ? {} : { cert, key }) };
  }

  async function loadInTime(): Promise<Credentials> {
    const inTime = new AbortController();
    try {
      const credentials = await Promise.race([
        load(),
        sleep(clock, PLUGIN_TIMEOUT_MS, inTime.signal).then(() => {
          throw new Error(`no answer within ${PLUGIN_TIMEOUT_MS / 1000} s`);
        }),
      ]);
      if ((await authenticator) === undefined) fixed = Promise.resolve(credentials);
      latest = credentials;
      return credentials;
    } catch (error) {
      throw new GridferryError(
        'GF_API_CREDENTIALS',
        `The credentials of ${JSON.stringify(user.name)} for ${access.server.host} cannot be read: ` +
          `${messageOf(error).trim()}; check the user in the kubeconfig. It is tried again.`,
        { class: 'retryable', cause: error },
      );
    } finally {
      inTime.abort();
      loading = undefined;
    }
  }

  return {
    current: () => fixed ?? (loading ??= loadInTime()),
    renew(refused) {
      if (latest?.headers['Authorization'] !== refused.headers['Authorization']) return;
      latest = undefined;
      authenticator = undefined;
      certificate = undefined;
      fixed = undefined;
    },
  };
}

/** Each is imported only for whom it serves: `oidc_auth.js` pulls in the whole generated client, 80 MB. */
async function authenticatorOf({ user }: ClusterAccess): Promise<Authenticator | undefined> {
  const provider = user.authProvider as { name?: string; config?: Record<string, unknown> } | undefined;
  if (user.exec || provider?.name === 'exec' || provider?.config?.['exec'] !== undefined) {
    const { ExecAuth } = await import('@kubernetes/client-node/dist/exec_auth.js');
    return new ExecAuth();
  }
  if (provider?.config?.['tokenFile'] !== undefined) {
    const { FileAuth } = await import('@kubernetes/client-node/dist/file_auth.js');
    return new FileAuth();
  }
  switch (provider?.name) {
    case undefined:
      return undefined;
    case 'oidc':
      return new (await import('@kubernetes/client-node/dist/oidc_auth.js')).OpenIDConnectAuth();
    case 'gcp':
      return new (await import('@kubernetes/client-node/dist/gcp_auth.js')).GoogleCloudPlatformAuth();
    case 'azure':
      return new (await import('@kubernetes/client-node/dist/azure_auth.js')).AzureAuth();
    default:
      throw new Error(`the auth provider ${JSON.stringify(provider?.name)} is not supported`);
  }
}

/**
 * Plugins are told what they are asked for, and about which cluster when they say `provideClusterInfo`; client-node
 * leaves that out, and those of GKE and EKS then refuse. (client-go `plugin/pkg/client/auth/exec`)
 */
function execUser({ user, server, caData, caFile, insecure, tlsServerName }: ClusterAccess): User {
  const exec = user.exec as ExecConfig | undefined;
  if (!exec) return user;
  const ca = caData ?? (caFile === undefined ? undefined : readFileSync(caFile).toString('base64'));
  const cluster = {
    server: server.href.replace(/\/$/, ''),
    ...(insecure ? { 'insecure-skip-tls-verify': true } : {}),
    ...(tlsServerName === undefined ? {} : { 'tls-server-name': tlsServerName }),
    ...(ca === undefined ? {} : { 'certificate-authority-data': ca }),
  };
  const info = {
    apiVersion: exec.apiVersion ?? 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    spec: { interactive: false, ...(exec.provideClusterInfo === true ? { cluster } : {}) },
  };
  const env = [...(exec.env ?? []), { name: 'KUBERNETES_EXEC_INFO', value: JSON.stringify(info) }];
  return { ...user, exec: { ...exec, env } };
}

interface ExecConfig {
  readonly apiVersion?: string;
  readonly provideClusterInfo?: boolean;
  readonly env?: readonly { readonly name: string; readonly value: string }[] | null;
}

function staticAuthorization({ token, username, password }: User): string | undefined {
  if (token) return `Bearer ${token.trim()}`;
  if (!username) return undefined;
  return `Basic ${Buffer.from(`${username}:${password ?? ''}`).toString('base64')}`;
}

function certificateOf({ certFile, certData, keyFile, keyData }: User): Pick<Credentials, 'cert' | 'key'> {
  const cert = fileOrData(certFile, certData);
  const key = fileOrData(keyFile, keyData);
  return { ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) };
}

/** As kubectl: data outweighs the file. */
export function fileOrData(file: string | undefined, data: string | undefined): Buffer | undefined {
  if (data) return Buffer.from(data, 'base64');
  return file ? readFileSync(file) : undefined;
}
