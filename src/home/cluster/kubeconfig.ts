import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import type { Cluster, Context, User } from '@kubernetes/client-node/dist/config_types.js';
import { GridferryError, messageOf } from '../../errors.ts';
import { isJsonObject } from '../json.ts';
import type { JsonObject } from '../json.ts';
import type { ClusterAccess } from './cluster-access.ts';
import { proxyFor } from './proxy-settings.ts';
import { hasServiceAccount, serviceAccountAccess } from './service-account.ts';

export interface KubeconfigOptions {
  /** One file. Absent: the files of `KUBECONFIG`, else `~/.kube/config`, else the Pod's service account. */
  readonly kubeconfig?: string;
  /** Absent: the file's `current-context`. */
  readonly context?: string;
  /** Default: the process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

type Section = 'clusters' | 'contexts' | 'users';

interface MergedFiles {
  readonly files: readonly string[];
  currentContext: string | undefined;
  readonly clusters: Map<string, JsonObject>;
  readonly contexts: Map<string, JsonObject>;
  readonly users: Map<string, JsonObject>;
}

/** What holds a path, by section: it is relative to the file that says it. */
const PATHS: Readonly<Record<Section, readonly string[]>> = {
  clusters: ['certificate-authority'],
  contexts: [],
  users: ['client-certificate', 'client-key', 'tokenFile'],
};

/**
 * Finds the cluster that is meant, by kubectl's rules: of several files the first that says something wins, files of
 * `KUBECONFIG` that do not exist are passed over.
 *
 * @throws GridferryError `GF_KUBECONFIG_NOT_FOUND`, `GF_KUBECONFIG_INVALID`.
 */
export async function loadAccess(options: KubeconfigOptions = {}): Promise<ClusterAccess> {
  const { env = process.env } = options;
  const files = filesToRead(options.kubeconfig, env);
  if (files.length === 0) {
    if (hasServiceAccount(env)) return serviceAccountAccess(env);
    throw new GridferryError(
      'GF_KUBECONFIG_NOT_FOUND',
      'There is no kubeconfig: name one with --kubeconfig or KUBECONFIG, or put it at ~/.kube/config.',
    );
  }
  const merged: MergedFiles = {
    files,
    currentContext: undefined,
    clusters: new Map(),
    contexts: new Map(),
    users: new Map(),
  };
  for (const file of files) await mergeFile(merged, file);
  return accessOf(merged, options.context, env);
}

function filesToRead(given: string | undefined, env: Readonly<Record<string, string | undefined>>): string[] {
  if (given !== undefined) {
    if (existsSync(given)) return [resolve(given)];
    throw new GridferryError('GF_KUBECONFIG_NOT_FOUND', `${given} does not exist; check --kubeconfig.`);
  }
  const named = env['KUBECONFIG'];
  if (named !== undefined && named !== '') {
    const files = named.split(delimiter).filter((file) => file !== '' && existsSync(file));
    if (files.length > 0) return files.map((file) => resolve(file));
    throw new GridferryError('GF_KUBECONFIG_NOT_FOUND', `KUBECONFIG names ${named}, which does not exist.`);
  }
  const standard = join(env['HOME'] ?? homedir(), '.kube', 'config');
  return existsSync(standard) ? [standard] : [];
}

async function mergeFile(merged: MergedFiles, file: string): Promise<void> {
  const { parse } = await import('yaml');
  let content: unknown;
  try {
    content = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw invalid(`${file} cannot be read: ${messageOf(error)}`);
  }
  // An empty file is what `kubectl config` starts from.
  if (content === null) return;
  if (!isJsonObject(content)) throw invalid(`${file} is not a kubeconfig`);
  const current = content['current-context'];
  if (typeof current === 'string' && current !== '') merged.currentContext ??= current;
  for (const section of ['clusters', 'contexts', 'users'] as const) {
    const entries = content[section] ?? [];
    if (!Array.isArray(entries)) throw invalid(`${section} in ${file} is not a list`);
    for (const entry of entries) {
      if (!isJsonObject(entry) || typeof entry['name'] !== 'string') {
        throw invalid(`an entry of ${section} in ${file} has no name`);
      }
      if (!merged[section].has(entry['name'])) {
        merged[section].set(entry['name'], withAbsolutePaths(entry, section, dirname(file)));
      }
    }
  }
}

function withAbsolutePaths(entry: JsonObject, section: Section, folder: string): JsonObject {
  const singular = section.slice(0, -1);
  const content = entry[singular];
  if (!isJsonObject(content)) return entry;
  const changed: JsonObject = { ...content };
  for (const field of PATHS[section]) {
    const path = changed[field];
    if (typeof path === 'string' && path !== '' && !isAbsolute(path)) changed[field] = join(folder, path);
  }
  const exec = changed['exec'];
  // A bare command is looked up on the PATH; one with a slash is a path.
  if (isJsonObject(exec) && typeof exec['command'] === 'string' && exec['command'].includes('/')) {
    changed['exec'] = { ...exec, command: resolve(folder, exec['command']) };
  }
  return { ...entry, [singular]: changed };
}

async function accessOf(
  merged: MergedFiles,
  wanted: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ClusterAccess> {
  const { newClusters, newContexts, newUsers } = await import('@kubernetes/client-node/dist/config_types.js');
  const where = merged.files.join(', ');
  const name = wanted ?? merged.currentContext;
  if (name === undefined) {
    throw invalid(`${where} has no current-context: choose one with --context or "kubectl config use-context"`);
  }
  const one = <E>(section: Section, entry: string, read: (entries: JsonObject[]) => E[]): E => {
    const found = merged[section].get(entry);
    if (found === undefined) throw invalid(`${where} has no ${section.slice(0, -1)} called ${JSON.stringify(entry)}`);
    try {
      return read([found])[0] as E;
    } catch (error) {
      throw invalid(`the ${section.slice(0, -1)} ${JSON.stringify(entry)} of ${where}: ${messageOf(error)}`);
    }
  };
  const context = one<Context>('contexts', name, newContexts);
  const cluster = one<Cluster>('clusters', context.cluster, newClusters);
  const raw = merged.users.get(context.user)?.['user'];
  // Both are allowed to be missing: an API server may let anybody in.
  const user = merged.users.has(context.user) ? one<User>('users', context.user, newUsers) : { name: context.user };
  const server = serverUrl(cluster.server, where);
  const proxyUrl = proxyFor(server, cluster.proxyUrl, env);
  return {
    server,
    namespace: context.namespace,
    ...(cluster.caFile === undefined ? {} : { caFile: cluster.caFile }),
    ...(cluster.caData === undefined ? {} : { caData: cluster.caData }),
    insecure: cluster.skipTLSVerify,
    ...(cluster.tlsServerName === undefined ? {} : { tlsServerName: cluster.tlsServerName }),
    ...(proxyUrl === undefined ? {} : { proxyUrl }),
    user: isJsonObject(raw) ? withTokenFile(user, raw) : user,
    headers: isJsonObject(raw) ? impersonation(raw) : {},
  };
}

/** client-node reads a token file once, under another name than kubectl; its service account reader reads it again. */
function withTokenFile(user: User, raw: JsonObject): User {
  const { tokenFile } = raw;
  if (typeof tokenFile !== 'string' || tokenFile === '') return user;
  const { token: _, ...rest } = user;
  return { ...rest, authProvider: { name: 'tokenFile', config: { tokenFile } } };
}

/** https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation */
function impersonation(user: JsonObject): Record<string, string | readonly string[]> {
  const headers: Record<string, string | readonly string[]> = {};
  if (typeof user['as'] === 'string') headers['Impersonate-User'] = user['as'];
  if (typeof user['as-uid'] === 'string') headers['Impersonate-Uid'] = user['as-uid'];
  if (Array.isArray(user['as-groups'])) headers['Impersonate-Group'] = user['as-groups'].map(String);
  const extra = user['as-user-extra'];
  if (isJsonObject(extra)) {
    for (const [key, values] of Object.entries(extra)) {
      if (Array.isArray(values)) headers[`Impersonate-Extra-${encodeURIComponent(key)}`] = values.map(String);
    }
  }
  return headers;
}

function serverUrl(server: string, where: string): URL {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (url?.protocol === 'https:' || url?.protocol === 'http:') return url;
  throw invalid(`the server ${JSON.stringify(server)} of ${where} is not an http(s) URL`);
}

function invalid(problem: string): GridferryError {
  return new GridferryError('GF_KUBECONFIG_INVALID', `The kubeconfig cannot be used: ${problem}.`);
}
