import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { connectCluster } from '../../src/home/cluster/cluster-client.ts';
import type { ClusterClient, ClusterOptions } from '../../src/home/cluster/cluster-client.ts';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

type Answer = (response: ServerResponse, request: SeenRequest) => void;

/** An API server that answers what a test tells it to: for what a real one cannot be made to say. */
export interface ScriptedApi {
  readonly port: number;
  /** A new empty folder that goes with the test. */
  readonly folder: string;
  readonly seen: readonly SeenRequest[];
  /** The answers to come, in order; the last one is repeated. */
  answer(...answers: readonly Answer[]): void;
  /** A kubeconfig of this server in the folder. */
  kubeconfig(user?: Readonly<Record<string, unknown>>): string;
  connect(options?: ClusterOptions): Promise<ClusterClient>;
}

export async function startScriptedApi(t: Test): Promise<ScriptedApi> {
  const folder = mkdtempSync(join(tmpdir(), 'gridferry-scripted-'));
  const seen: SeenRequest[] = [];
  let script: Answer[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const url = new URL(request.url ?? '', 'http://here');
      const one: SeenRequest = {
        method: request.method ?? '',
        path: url.pathname,
        query: url.searchParams,
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
      };
      seen.push(one);
      const answer = script.length > 1 ? script.shift() : script[0];
      answer?.(response, one);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function kubeconfig(user: Readonly<Record<string, unknown>> = { token: 'secret' }): string {
    return writeKubeconfig(join(folder, 'kubeconfig'), `http://127.0.0.1:${port}`, user);
  }
  return {
    port,
    folder,
    seen,
    answer(...answers) {
      script = [...answers];
    },
    kubeconfig,
    async connect(options = {}) {
      const client = await connectCluster({
        random: () => 0,
        ...options,
        kubeconfig: options.kubeconfig ?? kubeconfig(),
      });
      t.teardown(() => client.close());
      return client;
    },
  };
}

export function writeKubeconfig(
  path: string,
  server: string,
  user: Readonly<Record<string, unknown>>,
  cluster: Readonly<Record<string, unknown>> = {},
): string {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'tester', namespace: 'mine' } }],
    clusters: [{ name: 'test', cluster: { server, ...cluster } }],
    users: [{ name: 'tester', user }],
  };
  // JSON is YAML.
  writeFileSync(path, JSON.stringify(config));
  return path;
}

export function json(body: unknown, code = 200, headers: Readonly<Record<string, string | string[]>> = {}): Answer {
  return (response) => {
    response.writeHead(code, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  };
}

/** A `Status` as the API server sends it. */
export function status(code: number, reason: string, more: Readonly<Record<string, unknown>> = {}): unknown {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', message: `it says ${reason}`, reason, code, ...more };
}

export function refuse(code: number, reason: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return json(status(code, reason), code, headers);
}

/** A watch that says these lines, and then ends or stays. */
export function stream(lines: readonly string[], options: { readonly end?: boolean } = {}): Answer {
  return (response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    for (const line of lines) response.write(line);
    if (options.end === true) response.end();
  };
}

export const hang: Answer = () => undefined;

export const cutOff: Answer = (response) => {
  response.socket?.resetAndDestroy();
};
