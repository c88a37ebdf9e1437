import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { promisify } from 'node:util';
import { connectEngine } from '../src/docker/engine.ts';
import { fleetDown, fleetExec, fleetUp } from '../src/sandbox/fleet.ts';
import type { FleetServer } from '../src/sandbox/fleet.ts';
import { openServerLink } from '../src/ssh/server-link.ts';
import type { SshHost } from '../src/ssh/ssh-host.ts';
import { channelsFor } from '../src/volumes/channels.ts';
import { copyTree } from '../src/volumes/copy.ts';
import { openWorkbench } from '../src/volumes/open-workbench.ts';
import type { DirectRoute } from '../src/volumes/route.ts';
import type { Workbench } from '../src/volumes/workbench.ts';
import { layDelayedLink } from './delayed-link.ts';
import { logIn } from '../test/support/log-in.ts';

/**
 * Copying over a long way: `sudo node bench/transfer-latency.ts [MiB] [round trip in ms] [relay|direct]`. The same tree,
 * once by tar through one OpenSSH channel (relay: `ssh a tar | ssh b tar`; direct: the same from a to b), and once as a
 * transfer's first copy makes it, with all of its attributes. Both in one run, over the same cables. The tree is one file,
 * and then many.
 */

const NAME = 'bench-latency';
const VOLUME = 'data';
const FOLDER = `/var/lib/docker/volumes/${VOLUME}/_data`;
const mib = Number(process.argv[2] ?? 1024);
const roundTripMs = Number(process.argv[3] ?? 40);
const ways = ['relay', 'direct'].filter((way) => way === (process.argv[4] ?? way));
const known = '-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR';

const fleet = await fleetUp({ name: NAME, subnet: '10.99.92.0/24', servers: ['alpha', 'beta'] });
const links = await Promise.all(fleet.servers.map(({ pid }, index) => layDelayedLink(pid, 10 + index, roundTripMs)));
const addressOf = (server: number): string => links[server]?.address ?? '';
const open: (() => Promise<void> | void)[] = [];

try {
  const [source, target] = [await openEnd(0), await openEnd(1)];
  await joinServers();
  console.log(
    `${String(mib)} MiB, ${String(roundTripMs)} ms round trip to each server, made by a TUN device that carries packets late (this needs no sch_netem)`,
  );
  console.log('\n| way | tree | one OpenSSH channel | ours | ratio |\n| --- | --- | --- | --- | --- |');
  for (const way of ways) {
    const route = way === 'direct' ? await directRoute(source.host, target.host) : undefined;
    for (const files of [1, 64]) {
      await fill(files);
      await empty();
      const theirs = await timed(() => (route === undefined ? oneRelayedChannel() : oneDirectChannel()));
      await empty();
      const ours = await timed(() => ourCopy(source.bench, target.bench, route));
      const rate = (ms: number): string => `${(mib / (ms / 1000)).toFixed(0)} MiB/s`;
      const channels = route === undefined ? channelsFor(roundTripMs) : 1;
      console.log(
        `| ${way}, ${String(channels)} channel(s) | ${String(files)} file(s) | ${rate(theirs)} | ${rate(ours)} | ${(theirs / ours).toFixed(2)} |`,
      );
    }
  }
} finally {
  for (const close of open.reverse()) await close();
  await Promise.all(links.map((link) => link.close()));
  await fleetDown(NAME);
}

interface End {
  readonly host: SshHost;
  readonly bench: Workbench;
}

async function openEnd(index: number): Promise<End> {
  const server = fleet.servers[index] as FleetServer;
  await fleetExec(NAME, server.name, ['docker', 'volume', 'create', VOLUME]);
  const host = await logIn(fleet, { ...server, address: addressOf(index) });
  const engine = await connectEngine(host);
  open.push(() => host.close());
  open.push(() => engine.close());
  const bench = await openWorkbench({
    host,
    docker: engine.docker,
    locations: [{ kind: 'volume', name: VOLUME }],
    name: 'latency',
    labels: {},
  });
  return { host, bench };
}

/** Between the servers, packets take the second one's cable, both ways: from server to server it is as far as from here. */
async function joinServers(): Promise<void> {
  const alpha = fleet.servers[0]?.address ?? '';
  const near = addressOf(1).replace(/\.2$/, '.1');
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (!addresses?.some(({ address }) => address === near || address === fleet.bridgeAddress)) continue;
    await writeFile(`/proc/sys/net/ipv4/conf/${name}/forwarding`, '1');
  }
  await fleetExec(NAME, 'alpha', ['ip', 'route', 'add', `${addressOf(1)}/32`, 'via', fleet.bridgeAddress]);
  await fleetExec(NAME, 'beta', ['ip', 'route', 'add', `${alpha}/32`, 'via', near]);
  await fleetExec(NAME, 'alpha', ['sh', '-c', 'umask 077; cat >/root/bench-key'], {
    input: await readFile(fleet.privateKeyPath, 'utf8'),
  });
}

async function directRoute(source: SshHost, target: SshHost): Promise<DirectRoute> {
  const { link } = await openServerLink({
    id: 'bench-latency',
    dialler: { host: source, addresses: [], tools: ['rsync'] },
    other: { host: target, address: addressOf(1), port: 22, hostKey: target.hostKey, tools: ['rsync'] },
  });
  return { mode: 'Direct', direction: 'SourceToTarget', link, otherwise: 'Fail' };
}

/** From server to server. */
async function oneDirectChannel(): Promise<void> {
  const script = `tar -C ${FOLDER} -c . | ssh -i /root/bench-key ${known} root@${addressOf(1)} 'tar -C ${FOLDER} -x'`;
  await fleetExec(NAME, 'alpha', ['sh', '-c', script]);
}

async function fill(files: number): Promise<void> {
  const each = Math.floor((mib << 20) / files);
  const script = `rm -rf ${FOLDER}/*; for i in $(seq ${String(files)}); do head -c ${String(each)} /dev/urandom >${FOLDER}/f$i; done; sync`;
  await fleetExec(NAME, 'alpha', ['sh', '-c', script]);
}

async function empty(): Promise<void> {
  await fleetExec(NAME, 'beta', ['sh', '-c', `rm -rf ${FOLDER}/*; sync`]);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

/** Through this machine. */
async function oneRelayedChannel(): Promise<void> {
  const ssh = (server: number, command: string): string =>
    `ssh -i ${fleet.privateKeyPath} ${known} root@${addressOf(server)} '${command}'`;
  const script = `${ssh(0, `tar -C ${FOLDER} -c .`)} | ${ssh(1, `tar -C ${FOLDER} -x`)}`;
  await promisify(execFile)('sh', ['-c', script]);
}

async function ourCopy(source: Workbench, target: Workbench, route: DirectRoute | undefined): Promise<void> {
  const location = { kind: 'volume', name: VOLUME } as const;
  await copyTree({
    source,
    sourcePath: source.pathOf(location),
    target,
    targetPath: target.pathOf(location),
    running: true,
    channels: channelsFor(roundTripMs),
    ...(route === undefined ? {} : { route }),
  });
}
