import { removeFile, writeFile } from './file-tree.ts';
import type { FileTree } from './file-tree.ts';
import { portsOf } from './model-server.ts';
import { activeForwards } from './model-forward.ts';
import type { ModelContainer, ModelServer } from './model-server.ts';
import type { World } from './world.ts';

/** The name of the container that clients talk to, and its port. */
export const MAIN = 'web';
export const PORT = 8080;
export const PUBLIC_NAME = 'web.example.test';

/**
 * The service that is moved, and its clients. A client follows DNS (now and then what it remembers of it), and a write
 * that it was told is stored has to be found at the end. Nothing here knows that there is a controller.
 */
export class Application {
  readonly #world: World;
  /** What was promised to clients to be stored, as `destination path`, whichever side stored it. */
  readonly promised = new Map<string, string>();
  /** The same, as far as the source stored it: what a way back without the data goes back to. */
  promisedAtSource = new Map<string, string>();
  /** Rewrites keep size and time, as some databases manage to. */
  stealthy = false;
  /** Writes at each moment. */
  burst = 1;
  writes = 0;
  /** Requests that nobody answered. */
  refused = 0;
  #remembered: string | undefined;
  #rememberedUntil = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** One moment: whoever runs, writes; and two must not. */
  live(): void {
    this.#checkWriters();
    const server = this.#routed();
    const container = server === undefined ? undefined : servingAt(server);
    if (server === undefined || container === undefined) {
      this.refused++;
      return;
    }
    for (let n = 0; n < this.burst; n++) this.#write(server, container);
  }

  /** Containers of the service that run, on either side. */
  running(server: ModelServer): ModelContainer[] {
    if (!server.up) return [];
    return [...server.containers.values()].filter(
      ({ name, state }) => state === 'running' && this.#world.scenario.containers.includes(name),
    );
  }

  /** Whether something answers at a published port of a server. */
  serves(server: ModelServer, port: number): boolean {
    return server.up && servingAt(server, port) !== undefined;
  }

  #checkWriters(): void {
    if (!this.#world.scenario.writable) return;
    const sides = this.#world.servers.filter((server) => this.running(server).length > 0);
    if (sides.length > 1) this.#world.violate('two writers: containers of the service run on both servers');
  }

  /** Where a client's request ends up. */
  #routed(): ModelServer | undefined {
    const { clock, dns, servers, network } = this.#world;
    const now = clock.monotonic();
    if (this.#remembered === undefined || now >= this.#rememberedUntil) {
      this.#remembered = dns.addressOf(PUBLIC_NAME) ?? '10.0.0.1';
      this.#rememberedUntil = now + 1000 * dns.ttlOf(PUBLIC_NAME);
    }
    const remembers = this.writes % 3 === 0;
    const address = remembers ? this.#remembered : (dns.addressOf(PUBLIC_NAME) ?? this.#remembered);
    const server = servers.find((one) => one.address === address);
    if (server?.up !== true || network.isCut('clients', server.name as 'alpha' | 'beta')) return undefined;
    const forward = [...activeForwards(this.#world, server).values()].find(({ ports }) => ports.includes(PORT));
    if (forward === undefined) return server;
    if (network.isCut('alpha', 'beta')) return undefined;
    return servers.find((one) => one.address === forward.to && one.up);
  }

  #write(server: ModelServer, container: ModelContainer): void {
    const n = ++this.writes;
    const mtime = this.#world.clock.now();
    // Until then whatever the target stored was carried back before the source ran again.
    if (!this.#world.rollsBack && server === this.#world.alpha) this.promisedAtSource = new Map(this.promised);
    const books = server === this.#world.alpha ? [this.promised, this.promisedAtSource] : [this.promised];
    const tree = (destination: string): FileTree | undefined => {
      const mount = container.mounts.find((one) => one.Destination === destination);
      return mount === undefined ? undefined : server.folder(mount.Source);
    };
    const store = (into: FileTree, name: string, content: string, time = mtime): void => {
      writeFile(into, pathOf(name), content, { mtime: time });
      for (const book of books) book.set(name, content);
    };
    const data = tree('/data');
    if (data !== undefined) {
      // The books are kept apart from what is stored: a write that was lost must not vanish from both.
      writeFile(data, 'log', `${data.files.get('log')?.content ?? ''}${String(n)},`, { mtime });
      for (const book of books) book.set('/data log', `${book.get('/data log') ?? ''}${String(n)},`);
      // Four digits, and with `stealthy` always the same time: nothing but the content tells that it changed. Each side
      // has its own, so that no later write hides that one was lost.
      store(data, `/data page-${server.name}`, String(n).padStart(4, '0'), this.stealthy ? 1_000 : mtime);
    }
    const site = tree('/site');
    if (site !== undefined && n % 5 === 0) {
      store(site, `/site session-${String(n)}`, `opened by ${String(n)}`);
      // Sessions end: files vanish all the time.
      for (const old of [...site.files.keys()].slice(0, -3)) {
        removeFile(site, old);
        for (const book of books) book.delete(`/site ${old}`);
      }
    }
    // Outside any volume, as a cache of the application.
    const { alpha, scenario } = this.#world;
    if (scenario.writable && server === alpha && n % 4 === 0)
      store(container.layer, 'layer /srv/state', `layer ${String(n)}`);
  }
}

function pathOf(name: string): string {
  return name.slice(name.indexOf(' ') + 1);
}

function servingAt(server: ModelServer, port = PORT): ModelContainer | undefined {
  return [...server.containers.values()].find((one) => one.state === 'running' && portsOf(one).includes(port));
}
