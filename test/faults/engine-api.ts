import type { RawMountPoint } from '../../src/docker/container-types.ts';
import { plainCopy } from '../../src/runtime/structural.ts';
import { EngineFailure, Unmodelled } from './engine-failure.ts';
import { newTree } from './file-tree.ts';
import { labelsOf } from './model-server.ts';
import type { ModelContainer, ModelNetwork, ModelServer } from './model-server.ts';

export interface EngineRequest {
  readonly method: string;
  /** Decoded segments. */
  readonly path: readonly string[];
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: Readonly<Record<string, unknown>>;
}

type Labels = Readonly<Record<string, string>>;

/** The part of the Engine API that the steps use, on a model of a server. */
export function answer(server: ModelServer, request: EngineRequest): unknown {
  const { method, path, query, body } = request;
  const [kind = '', name = '', verb = ''] = path;
  switch (
    `${method} ${kind}${path.length === 1 ? '' : verb === '' ? `/${name === 'json' || name === 'create' ? name : '*'}` : `/*/${verb}`}`
  ) {
    case 'GET containers/json':
      return [...server.containers.values()].filter((one) => matches(labelsOf(one), query)).map(listed);
    case 'POST containers/create':
      return { Id: create(server, String(query['name']), body).id };
    case 'GET containers/*/json':
      return inspect(server, server.find(name));
    case 'POST containers/*/update':
      Object.assign(server.find(name).hostConfig, body);
      return {};
    case 'POST containers/*/start':
      server.start(server.find(name));
      return undefined;
    case 'POST containers/*/stop':
      return server.stop(server.find(name));
    case 'GET containers/*/changes': {
      const { layer } = server.find(name);
      return layer.files.size === 0 ? null : [...layer.files.keys()].map((Path) => ({ Path, Kind: 1 }));
    }
    case 'DELETE containers/*':
      server.remove(server.find(name));
      return undefined;
    case 'GET volumes':
      return { Volumes: [...server.volumes.values()].filter(({ Labels }) => matches(Labels, query)) };
    case 'POST volumes/create':
      return server.makeVolume(String(body['Name']), (body['Labels'] ?? {}) as Labels, body['DriverOpts'] ?? {});
    case 'GET volumes/*':
      return server.volumes.get(name) ?? fail(404, `get ${name}: no such volume`);
    case 'DELETE volumes/*':
      server.removeVolume(name);
      return undefined;
    case 'GET networks':
      return [...server.networks.values()].filter(({ Labels }) => matches(Labels, query)).map(described);
    case 'GET networks/*':
      return described(findNetwork(server, name));
    case 'POST networks/create':
      return { Id: makeNetwork(server, body) };
    case 'DELETE networks/*':
      removeNetwork(server, findNetwork(server, name));
      return undefined;
    case 'GET images/json':
      return [...server.images.values()];
    case 'GET images/*/history':
      return [{ Id: name, Size: findImage(server, name).Size }];
    case 'GET images/*/json':
      return findImage(server, name);
    default:
      throw new Unmodelled(`Engine API: ${method} /${path.join('/')}`);
  }
}

function fail(status: number, message: string): never {
  throw new EngineFailure(status, message);
}

function matches(labels: Labels, query: EngineRequest['query']): boolean {
  const filters = JSON.parse(typeof query['filters'] === 'string' ? query['filters'] : '{}') as {
    label?: readonly string[];
  };
  return (filters.label ?? []).every((wanted) => {
    const [key = '', value] = wanted.split(/=(.*)/s);
    return value === undefined ? key in labels : labels[key] === value;
  });
}

export function findImage(server: ModelServer, idOrReference: string): NonNullable<ReturnType<typeof maybeImage>> {
  return maybeImage(server, idOrReference) ?? fail(404, `No such image: ${idOrReference}`);
}

function maybeImage(server: ModelServer, idOrReference: string) {
  const byId = server.images.get(idOrReference);
  return byId ?? [...server.images.values()].find(({ RepoTags }) => RepoTags.includes(idOrReference));
}

export function create(server: ModelServer, name: string, body: EngineRequest['body']): ModelContainer {
  if (server.byName(name) !== undefined) fail(409, `Conflict. The container name "/${name}" is already in use`);
  const {
    HostConfig = {},
    NetworkingConfig = {},
    ...config
  } = plainCopy(body) as {
    HostConfig?: Record<string, unknown>;
    NetworkingConfig?: { EndpointsConfig?: Record<string, Record<string, unknown>> };
  } & Record<string, unknown>;
  const image = findImage(server, String(config['Image']));
  server.requireSpace(0);
  const mounts = ((HostConfig['Binds'] ?? []) as string[]).map((bind) => mountOf(server, bind));
  const networks = NetworkingConfig.EndpointsConfig ?? {};
  for (const network of Object.keys(networks)) findNetwork(server, network);
  const id = server.newId();
  const container: ModelContainer = {
    ...{ id, name, image: image.Id, mounts, networks, layer: newTree(), pid: 0, exitCode: 0 },
    // [''] is how the API says "none".
    config: { Hostname: id.slice(0, 12), ...config, Entrypoint: null },
    hostConfig: HostConfig,
    state: 'created',
    ...{ stopping: undefined, stoppedByHand: false, startedBefore: false, startedAt: '' },
  };
  server.addContainer(container);
  return container;
}

function mountOf(server: ModelServer, bind: string): RawMountPoint {
  const [source = '', Destination = '', Mode = ''] = bind.split(':');
  const common = { Destination, Mode, RW: !Mode.split(',').includes('ro'), Propagation: '' };
  if (source.startsWith('/')) {
    server.folder(source);
    return { Type: 'bind', Source: source, ...common };
  }
  const { Mountpoint } = server.makeVolume(source, {});
  return { Type: 'volume', Name: source, Source: Mountpoint, Driver: 'local', ...common };
}

function inspect(server: ModelServer, container: ModelContainer): unknown {
  const { id, name, image, config, hostConfig, mounts, networks, state, pid, exitCode } = container;
  const running = state === 'running';
  return {
    Id: id,
    Name: `/${name}`,
    Image: image,
    Platform: 'linux',
    State: {
      Status: state,
      Running: running,
      Paused: false,
      Restarting: state === 'restarting',
      Pid: running ? pid : 0,
      ExitCode: exitCode,
      StartedAt: container.startedAt,
    },
    Config: config,
    HostConfig: hostConfig,
    Mounts: mounts,
    NetworkSettings: {
      Networks: Object.fromEntries(
        Object.entries(networks).map(([network, endpoint]) => [
          network,
          { ...endpoint, NetworkID: findNetwork(server, network).Id, IPAddress: running ? addressOf(container) : '' },
        ]),
      ),
      Ports: {},
    },
  };
}

/** The address of a running container in the network of its server. */
export function addressOf({ pid }: ModelContainer): string {
  return `172.17.${String((pid >> 8) & 255)}.${String(pid & 255)}`;
}

function listed(container: ModelContainer): unknown {
  const { id, name, state, mounts } = container;
  const Mounts = mounts.map(({ Type, Name, RW }) => ({ Type, RW, ...(Name === undefined ? {} : { Name }) }));
  return { Id: id, Names: [`/${name}`], State: state, Labels: labelsOf(container), Ports: [], Mounts };
}

function findNetwork(server: ModelServer, nameOrId: string): ModelNetwork {
  const found = server.networks.get(nameOrId) ?? [...server.networks.values()].find(({ Id }) => Id === nameOrId);
  return found ?? fail(404, `network ${nameOrId} not found`);
}

function makeNetwork(server: ModelServer, body: EngineRequest['body']): string {
  const Name = String(body['Name']);
  if (server.networks.has(Name)) fail(409, `network with name ${Name} already exists`);
  const network = { Id: server.newId(), Name, Labels: (body['Labels'] ?? {}) as Labels, body };
  server.networks.set(Name, network);
  return network.Id;
}

function removeNetwork(server: ModelServer, { Name }: ModelNetwork): void {
  const user = [...server.containers.values()].find((one) => one.state === 'running' && Name in one.networks);
  if (user !== undefined) fail(403, `error while removing network: network ${Name} has active endpoints`);
  server.networks.delete(Name);
}

function described({ Id, Name, Labels, body }: ModelNetwork): unknown {
  return {
    ...{ Id, Name, Labels, Scope: 'local', Driver: body['Driver'] ?? 'bridge' },
    ...{ Internal: false, Attachable: false, EnableIPv6: false, Options: body['Options'] ?? {} },
    IPAM: body['IPAM'] ?? { Driver: 'default', Config: [] },
  };
}
