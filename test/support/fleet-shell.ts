import { fleetExec } from '../../src/sandbox/fleet.ts';

export type ServerName = 'alpha' | 'beta';

/** Commands on the servers of one fleet, as root, past the code under test. */
export interface FleetShell<Server extends string = ServerName> {
  docker(server: Server, ...args: string[]): Promise<string>;
  /** Runs a script; its arguments are `$1`, `$2`, … */
  sh(server: Server, script: string, ...args: string[]): Promise<string>;
  python(server: Server, program: string, ...args: string[]): Promise<string>;
  inspect<T = InspectedContainer>(server: Server, name: string): Promise<T>;
  /** One field of a container, by Docker's template language. */
  field(server: Server, name: string, template: string): Promise<string>;
  /**
   * Everything a transfer could change on a server: containers and how they run, images, volumes, networks, and all files
   * in volumes and below the given paths.
   */
  everything(server: Server, ...paths: string[]): Promise<string[]>;
  /** What still bears a mark of a transfer, or serves one. */
  leftovers(server: Server): Promise<string[]>;
  /** Removes all containers, networks and volumes of a server, and what is in the given folders. Images stay. */
  clear(server: Server, ...paths: string[]): Promise<void>;
}

export interface InspectedContainer {
  readonly Id: string;
  readonly Name: string;
  readonly Image: string;
  readonly Config: Readonly<Record<string, unknown>> & { readonly Labels: Readonly<Record<string, string>> };
  readonly HostConfig: Readonly<Record<string, unknown>>;
  readonly State: { readonly StartedAt: string; readonly Running: boolean; readonly Status: string };
  readonly Mounts: readonly Readonly<Record<string, unknown>>[];
  readonly NetworkSettings: {
    readonly Networks: Readonly<
      Record<string, { readonly Aliases: readonly string[] | null; readonly IPAddress: string }>
    >;
  };
}

const everythingScript = String.raw`
export LC_ALL=C
for id in $(docker ps -aq --no-trunc); do
  docker inspect -f 'container {{.Name}} {{.Id}} {{.State.Status}} {{.State.StartedAt}} {{.RestartCount}} {{.HostConfig.RestartPolicy.Name}} {{json .Config.Labels}}' "$id"
done | sort
docker images -a --no-trunc --format 'image {{.Repository}}:{{.Tag}} {{.ID}}' | sort
docker volume ls -q | sort | while read -r name; do docker volume inspect -f 'volume {{.Name}} {{.CreatedAt}} {{json .Labels}}' "$name"; done
docker network ls --no-trunc --format 'network {{.Name}} {{.ID}}' | sort
find /var/lib/gridferry -mindepth 1 -maxdepth 1 2>/dev/null
for path in /var/lib/docker/volumes/*/_data "$@"; do
  [ -e "$path" ] || { echo "absent $path"; continue; }
  find "$path" -xdev -mindepth 1 -printf 'file %p %y %m %U:%G %s %T@ %C@\n' | sort
  find "$path" -xdev -type f -size -1M -print0 | sort -z | xargs -0 -r md5sum
done`;

const leftoversScript = String.raw`
docker ps -a --filter label=gridferry.io/transfer --format 'container {{.Names}}'
docker ps -a --filter label=gridferry.io/workbench --format 'workbench {{.Names}}'
docker volume ls --filter label=gridferry.io/transfer --format 'volume {{.Name}}'
docker volume ls -q | grep '^gridferry-' | sed 's/^/volume /'
docker network ls --filter label=gridferry.io/transfer --format 'network {{.Name}}'
docker images --format '{{.Repository}}' | grep '^gridferry/' | sed 's/^/image /'
find /var/lib/gridferry -mindepth 1 2>/dev/null
find /root/.local/state/gridferry/transfers /home/*/.local/state/gridferry/transfers -mindepth 1 2>/dev/null
grep -HoE 'gridferry:[^ ]*$' /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys
true`;

const clearScript = String.raw`
docker ps -aq | xargs -r docker rm -f >/dev/null
docker network prune -f >/dev/null
docker volume ls -q | xargs -r docker volume rm -f >/dev/null
for path; do find "$path" -mindepth 1 -delete; done`;

export function fleetShell<Server extends string = ServerName>(fleet: string): FleetShell<Server> {
  const sh: FleetShell<Server>['sh'] = async (server, script, ...args) =>
    (await fleetExec(fleet, server, ['sh', '-c', script, 'sh', ...args])).stdout.trimEnd();
  const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');
  const shell: FleetShell<Server> = {
    sh,
    docker: async (server, ...args) => (await fleetExec(fleet, server, ['docker', ...args])).stdout.trimEnd(),
    python: async (server, program, ...args) =>
      (await fleetExec(fleet, server, ['python3', '-', ...args], { input: program })).stdout,
    async inspect<T>(server: Server, name: string) {
      return (JSON.parse(await shell.docker(server, 'inspect', '--type', 'container', name)) as [T])[0];
    },
    field: (server, name, template) => shell.docker(server, 'inspect', '-f', template, name),
    everything: async (server, ...paths) => lines(await sh(server, everythingScript, ...paths)),
    leftovers: async (server) => lines(await sh(server, leftoversScript)),
    async clear(server, ...paths) {
      await sh(server, clearScript, ...paths);
    },
  };
  return shell;
}

/** An image's files and configuration: a web server that says what is in /data, and ends at once when told to. */
export const webImage = {
  files: {
    '/start': {
      content:
        "#!/bin/sh\ntrap 'kill $!; exit 0' TERM INT\nmkdir -p /data\n[ -e /data/index.html ] || echo hello >/data/index.html\nhttpd -f -p 80 -h /data & wait $!\n",
      mode: 0o755,
    },
  },
  changes: ['ENTRYPOINT ["/start"]', 'EXPOSE 80'],
};
