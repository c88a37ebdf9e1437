import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { servedTypes } from '../../src/api/resources.ts';
import { openLocalHome } from '../../src/home/local-client.ts';
import type { LocalHome, LocalHomeOptions } from '../../src/home/local-client.ts';
import { createSchemaAdmission } from '../../src/home/schema-admission.ts';
import { startApiServer } from '../../src/home/server/api-server.ts';
import type { ApiServer, ApiServerOptions } from '../../src/home/server/api-server.ts';

export interface OpenedApi {
  readonly url: string;
  readonly kubeconfigPath: string;
  readonly stateDir: string;
  readonly home: LocalHome;
  close(): Promise<void>;
}

/**
 * A local home in a directory of its own, served over HTTPS; `close` removes it. By hand: `node
 * test/support/api-server.ts` prints the kubeconfig's path and serves until it is interrupted.
 */
export async function openApiServer(
  options: Partial<LocalHomeOptions> & Partial<Omit<ApiServerOptions, 'home'>> = {},
): Promise<OpenedApi> {
  const own = options.stateDir === undefined;
  const stateDir = options.stateDir ?? mkdtempSync(join(tmpdir(), 'gridferry-api-'));
  const common = { types: servedTypes, ...options, stateDir };
  const home = openLocalHome({ admission: createSchemaAdmission(), ...common });
  let server: ApiServer;
  try {
    server = await startApiServer({ version: '0.0.0', ...common, home });
  } catch (error) {
    home.close();
    throw error;
  }
  return {
    url: server.url,
    kubeconfigPath: server.kubeconfigPath,
    stateDir,
    home,
    async close() {
      await server.stop();
      home.close();
      if (own) rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

if (import.meta.main) {
  const opened = await openApiServer(process.argv[2] === undefined ? {} : { stateDir: process.argv[2] });
  console.log(opened.kubeconfigPath);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void opened.close());
}
