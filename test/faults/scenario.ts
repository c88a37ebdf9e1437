import { API_VERSION } from '../../src/api/meta.ts';
import type { ManagedServer, PlatformConfig, Service, Transfer, TransferSpec } from '../../src/api/resources.ts';
import { MAIN, PORT, PUBLIC_NAME } from './application.ts';
import { create } from './engine-api.ts';
import { writeFile } from './file-tree.ts';
import type { World } from './world.ts';

/** What is moved, and how the servers are. */
export interface Scenario {
  readonly name: string;
  readonly containers: readonly string[];
  /** Whether it has data, so that two must never run. */
  readonly writable: boolean;
  readonly bind: boolean;
  readonly network: boolean;
  readonly dns: boolean;
  readonly restartPolicy: string;
  readonly isRoot: boolean;
  /** How long a container takes to end after its stop signal, in ms. */
  readonly graceMs: number;
  /** Another image has the tag at the target. */
  readonly retag: boolean;
  readonly spec: Partial<TransferSpec>;
  /** What the user wants once it is Completed. */
  readonly then?: { readonly data: 'Sync' | 'Discard' };
  /** Nobody outside gets an answer from the target. */
  readonly unheardAtTarget?: boolean;
  /** Servers do not refuse what an older leader sends: for proving that it matters. */
  readonly unfenced?: boolean;
}

const usual: Scenario = {
  name: 'web with a volume',
  ...{ containers: [MAIN], writable: true, bind: false, network: false, dns: true, restartPolicy: 'always' },
  ...{ isRoot: true, graceMs: 400, retag: false, spec: {} },
};

/** The services that schedules choose from. */
export const scenarios: readonly Scenario[] = [
  usual,
  {
    ...usual,
    name: 'web and db, network, bind mount, docker group',
    ...{ containers: [MAIN, 'db'], bind: true, network: true, isRoot: false, restartPolicy: 'unless-stopped' },
    ...{ retag: true, spec: { verify: 'Full' } },
  },
  {
    ...usual,
    name: 'web without DNS, restart policy no',
    ...{
      dns: false,
      bind: true,
      restartPolicy: 'no',
      graceMs: 2_500,
      spec: { verify: 'Metadata', transport: 'Relay' },
    },
  },
  {
    ...usual,
    name: 'stateless: the target starts first',
    ...{ writable: false, spec: { connectionDrain: '3s' } },
  },
  {
    ...usual,
    name: 'moved, then rolled back with the data',
    then: { data: 'Sync' },
  },
  {
    ...usual,
    name: 'moved, then rolled back without the data, docker group',
    ...{ isRoot: false, bind: true, restartPolicy: 'unless-stopped', then: { data: 'Discard' } },
  },
  {
    ...usual,
    name: 'planned first, cut over by hand, the source deleted after its window',
    spec: {
      ...{ mode: 'Plan', cutover: 'Manual', rollbackWindow: '5m' },
      retention: { source: 'DeleteAfterWindow' },
    },
  },
  {
    ...usual,
    name: 'it does not answer from the target, and comes back by itself',
    ...{
      unheardAtTarget: true,
      spec: {
        onSoakFailure: 'Rollback',
        soak: { duration: '5s', failureThreshold: 2 },
        healthCheck: { tcp: { port: PORT }, timeout: '3s' },
      },
    },
  },
];

/** Nobody may ever see these. */
export const secrets = { environment: 'planted-env-3f9a7c', token: 'planted-token-b81e55' } as const;

export const namespace = 'default';
export const transferName = 'move';

/** Sets up both servers, the zone, and what the home knows of them. */
export function furnish(world: World): void {
  const { scenario, alpha, beta, dns } = world;
  alpha.images.set('sha256:app1', image('sha256:app1', 'app:1'));
  if (scenario.retag) beta.images.set('sha256:app0', image('sha256:app0', 'app:1'));
  if (scenario.network) {
    const body = { Name: 'shop', Driver: 'bridge', Options: {}, IPAM: { Driver: 'default', Config: [] } };
    alpha.networks.set('shop', { Id: alpha.newId(), Name: 'shop', Labels: { team: 'shop' }, body });
  }
  for (const name of [...scenario.containers].reverse()) {
    const container = create(alpha, name, containerBody(scenario, name));
    alpha.start(container);
  }
  const page = { mtime: world.clock.now() - 86_400_000 };
  if (scenario.writable) {
    const data = alpha.folder('/var/lib/docker/volumes/web-data/_data');
    for (let n = 0; n < 3; n++) writeFile(data, `old-${String(n)}`, `from before ${String(n)}`, page);
    for (const [path, { content }] of data.files) {
      for (const book of [world.application.promised, world.application.promisedAtSource])
        book.set(`/data ${path}`, content);
    }
  }
  const address = { name: PUBLIC_NAME, type: 'A', content: alpha.address, ttl: 300 };
  if (scenario.dns) dns.add({ ...address, proxied: false, comment: '', tags: [] });
}

function image(Id: string, tag: string) {
  return {
    ...{ Id, RepoTags: [tag], RepoDigests: [], Architecture: 'amd64', Os: 'linux', Size: 8 * 2 ** 20, Config: {} },
    RootFS: { Layers: [`${Id}-layer`] },
  };
}

function containerBody({ writable, bind, network, restartPolicy }: Scenario, name: string): Record<string, unknown> {
  const main = name === MAIN;
  const binds = [
    ...(writable ? [main ? 'web-data:/data' : `${name}-data:/data`] : []),
    ...(bind && main ? ['/srv/site:/site'] : []),
  ];
  const mode = network ? 'shop' : 'bridge';
  return {
    Image: 'app:1',
    Env: [`DB_PASSWORD=${secrets.environment}`, 'MODE=production'],
    Labels: { app: 'shop' },
    HostConfig: {
      Binds: binds,
      RestartPolicy: { Name: restartPolicy, MaximumRetryCount: 0 },
      NetworkMode: mode,
      PortBindings: main ? { [`${String(PORT)}/tcp`]: [{ HostIp: '', HostPort: String(PORT) }] } : {},
    },
    NetworkingConfig: { EndpointsConfig: { [mode]: { Aliases: network ? [name] : [] } } },
  };
}

export function serverObject(name: string, address: string): ManagedServer {
  return {
    apiVersion: API_VERSION,
    kind: 'ManagedServer',
    metadata: { name, namespace },
    spec: {
      address,
      allowUserWorkloads: true,
      unschedulable: false,
      docker: { socketPath: '/var/run/docker.sock' },
      ssh: { port: 22, user: 'root' },
    },
    status: { phase: 'Online', conditions: [{ type: 'Ready', status: 'True', reason: 'Online', message: '' }] },
  } as unknown as ManagedServer;
}

export function platformObject(): PlatformConfig {
  return {
    apiVersion: API_VERSION,
    kind: 'PlatformConfig',
    metadata: { name: 'default', namespace },
    spec: {
      domain: 'example.test',
      cloudflare: { apiTokenRef: { name: 'cloudflare', key: 'token' }, apiBaseURL: 'https://dns.example.test' },
      resolvers: ['192.0.2.53'],
    },
  } as unknown as PlatformConfig;
}

export function serviceObject({ containers }: Scenario): Service {
  return {
    apiVersion: API_VERSION,
    kind: 'Service',
    metadata: { name: MAIN, namespace },
    spec: {
      container: MAIN,
      addons: containers.filter((name) => name !== MAIN).map((container) => ({ container })),
      serverRef: { name: 'alpha' },
    },
  } as unknown as Service;
}

export function transferObject({ spec, dns }: Scenario): Transfer {
  return {
    apiVersion: API_VERSION,
    kind: 'Transfer',
    metadata: { name: transferName, namespace },
    spec: {
      serviceRef: { name: MAIN },
      targetServerRef: { name: 'beta' },
      // What the schema would fill in.
      ...{ mode: 'Apply', strategy: 'Auto', transport: 'Auto', maxDowntime: '5s', onNoConvergence: 'Proceed' },
      ...{ cutover: 'Auto', cutoverNow: false, connectionDrain: '30s', verify: 'Changed', writableLayer: 'Copy' },
      ...{ soak: { duration: '2s', failureThreshold: 3 }, onSoakFailure: 'Keep', rollbackWindow: '48h' },
      ...{ retention: { source: 'Keep' }, suspend: false, cancel: false },
      ...(dns ? {} : { dns: { skip: true } }),
      ...spec,
    },
  } as unknown as Transfer;
}
