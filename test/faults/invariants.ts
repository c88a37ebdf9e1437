import { Events } from '../../src/api/core.ts';
import { Leases } from '../../src/api/core.ts';
import { Transfers } from '../../src/api/resources.ts';
import type { Transfer } from '../../src/api/resources.ts';
import { MAIN, PUBLIC_NAME } from './application.ts';
import { contentsOf } from './file-tree.ts';
import { activeForwards } from './model-forward.ts';
import { labelsOf, policyOf } from './model-server.ts';
import type { ModelContainer, ModelServer } from './model-server.ts';
import { namespace, secrets, transferName } from './scenario.ts';
import type { World } from './world.ts';

/**
 * What has to be true in the end, looked up on the servers themselves. Nothing of the controller's code is used here: its
 * words (phase, conditions) are claims that are compared with what there is.
 */

export type Outcome = 'Completed' | 'RolledBack' | 'Undone' | 'Failed after cutover' | 'Waits' | 'Deleted';

/** How the world was before the transfer began. */
export interface Before {
  readonly source: ReadonlyMap<string, { readonly running: boolean; readonly policy: string }>;
  readonly dns: string;
  readonly tags: string;
  readonly folders: ReadonlySet<string>;
  readonly networks: ReadonlySet<string>;
}

export function lookBefore({ alpha, beta, dns, scenario }: World): Before {
  return {
    source: new Map(
      scenario.containers.map((name) => {
        const container = alpha.byName(name)!;
        return [name, { running: container.state === 'running', policy: policyOf(container) }];
      }),
    ),
    dns: JSON.stringify([...dns.records.values()].map(({ content, ttl }) => ({ content, ttl }))),
    tags: tagsOf(beta),
    folders: new Set(beta.folders.keys()),
    networks: new Set(beta.networks.keys()),
  };
}

/** Checks everything once the transfer has ended; answers how it did. */
export async function checkEnd(world: World, before: Before): Promise<Outcome> {
  const transfer = await world.api.get(Transfers, { namespace, name: transferName }).catch(() => undefined);
  const phase = transfer?.status?.phase;
  const atTarget =
    phase === 'Completed' ||
    (phase === 'Failed' && claims(transfer, 'CutOver')) ||
    (transfer === undefined && targetServes(world));
  // What was written at the target since goes only where the user said so.
  const isBack = phase === 'RolledBack' || (transfer === undefined && world.rollsBack);
  const dropped = isBack && world.scenario.then?.data === 'Discard';
  if (atTarget) checkMoved(world, before, transfer);
  else checkUndone(world, before, phase, dropped);
  checkNothingLeft(world, atTarget || dropped);
  // What a leader sends to the home in the instant before it freezes arrives all the same: such a lock runs out, or goes
  // when the next transfer asks for one.
  if (!world.leaderFroze) await checkLocks(world);
  await checkSecrets(world);
  if (transfer === undefined) return 'Deleted';
  if (phase === 'RolledBack') return phase;
  return phase === 'Completed' ? 'Completed' : atTarget ? 'Failed after cutover' : 'Undone';
}

function claims(transfer: Transfer | undefined, type: string): boolean {
  return transfer?.status?.conditions?.some((one) => one.type === type && one.status === 'True') === true;
}

/** A container without a restart policy does not come back after a restart of its engine, moved or not. */
function staysDown(world: World, server: ModelServer, policy: string): boolean {
  return policy === 'no' && world.stopped.has(server.name);
}

/** Where the name leads decides which side is the service, when nobody is left to say so. */
function targetServes({ beta, application }: World): boolean {
  return application.running(beta).length > 0;
}

function checkMoved(world: World, before: Before, transfer: Transfer | undefined): void {
  const { alpha, beta, scenario, dns } = world;
  for (const name of scenario.containers) {
    const old = alpha.byName(name);
    const wanted = before.source.get(name)!;
    const isDeleted =
      transfer === undefined
        ? world.scenario.spec.retention?.source === 'DeleteAfterWindow'
        : transfer.status?.sourceDeletedAt !== undefined;
    if (old === undefined) {
      if (!isDeleted) world.violate(`moved, but the stopped source container ${name} is gone`);
    } else if (old.state === 'running') world.violate(`moved, but container ${name} runs at the source`);
    else if (policyOf(old) !== 'no') world.violate(`moved, but the source's ${name} would start with its engine`);
    if (world.targetRemoved) continue;
    const moved = beta.byName(name);
    if (moved === undefined) world.violate(`moved, but the target has no container ${name}`);
    else if (wanted.running && moved.state !== 'running' && !staysDown(world, beta, wanted.policy))
      world.violate(`moved, but ${name} does not run at the target`);
    else if (policyOf(moved) !== wanted.policy) world.violate(`moved, but ${name} has another restart policy`);
  }
  checkData(world, beta, world.application.promised);
  if (scenario.dns && dns.addressOf(PUBLIC_NAME) !== beta.address && transfer?.status?.phase === 'Completed') {
    world.violate('moved, but the public name points elsewhere');
  }
}

function checkUndone(world: World, before: Before, phase: string | undefined, dropped: boolean): void {
  const { alpha, dns, beta } = world;
  for (const [name, was] of before.source) {
    const container = alpha.byName(name);
    if (container === undefined) {
      world.violate(`${phase ?? 'deleted'}, but the source container ${name} is gone`);
      continue;
    }
    const runs = container.state === 'running' || container.state === 'restarting';
    if (was.running !== runs && !staysDown(world, alpha, was.policy)) {
      world.violate(`${phase ?? 'deleted'}, but ${name} at the source is ${container.state}`);
    }
    if (policyOf(container) !== was.policy) {
      world.violate(`${phase ?? 'deleted'}, but the source's ${name} has restart policy ${policyOf(container)}`);
    }
  }
  checkData(world, alpha, dropped ? world.application.promisedAtSource : world.application.promised);
  const now = JSON.stringify([...dns.records.values()].map(({ content, ttl }) => ({ content, ttl })));
  if (now !== before.dns) world.violate(`${phase ?? 'deleted'}, but DNS is ${now}`);
  if (world.application.running(beta).length > 0) world.violate(`${phase ?? 'deleted'}, but the target runs`);
  // Without its data the way back leaves at the target what was written there, for the user to throw away.
  for (const folder of dropped ? [] : beta.folders.keys()) {
    if (!before.folders.has(folder)) world.violate(`${phase ?? 'deleted'}, but the target has folder ${folder}`);
  }
  for (const network of dropped ? [] : beta.networks.keys()) {
    if (!before.networks.has(network)) world.violate(`${phase ?? 'deleted'}, but the target has network ${network}`);
  }
  if (!sameTags(before.tags, tagsOf(beta))) world.violate(`${phase ?? 'deleted'}, but image tags are ${tagsOf(beta)}`);
}

/** What clients were promised is there, to the letter, and nothing else is. */
function checkData(world: World, server: ModelServer, expectations: ReadonlyMap<string, string>): void {
  const promised = new Map(expectations);
  for (const [destination, contents] of dataOf(world, server)) {
    for (const [path, content] of contents) {
      const name = `${destination} ${path}`;
      const expected = promised.get(name);
      promised.delete(name);
      if (expected === undefined) world.violate(`${server.name} has ${name}, which was deleted`);
      else if (expected !== content) {
        world.violate(
          `an acknowledged write is lost: ${name} on ${server.name} is ${end(content)}, not ${end(expected)}`,
        );
      }
    }
  }
  // With its container the user removed what it wrote outside volumes.
  if (world.targetRemoved) promised.delete('layer /srv/state');
  for (const name of promised.keys()) world.violate(`an acknowledged write is lost: ${name} is not on ${server.name}`);
}

function end(content: string): string {
  return `…${content.slice(-24)}`;
}

function dataOf({ scenario }: World, server: ModelServer): [string, Map<string, string>][] {
  const places = [
    ...(scenario.writable ? [['/data', '/var/lib/docker/volumes/web-data/_data']] : []),
    ...(scenario.bind ? [['/site', '/srv/site']] : []),
  ] as [string, string][];
  const layer = server.byName(MAIN)?.layer;
  const written: [string, Map<string, string>][] = layer === undefined ? [] : [['layer', contentsOf(layer)]];
  return places
    .map(([destination, path]): [string, Map<string, string>] => {
      const tree = server.folders.get(path);
      return [destination, tree === undefined ? new Map<string, string>() : contentsOf(tree)];
    })
    .concat(written);
}

/** Nothing that was made for the move only. */
function checkNothingLeft(world: World, atTarget: boolean): void {
  for (const server of world.servers) {
    if (server.workFolders.size > 0) world.violate(`${server.name} keeps ${[...server.workFolders].join(', ')}`);
    for (const [what, ids] of [
      ['a line in authorized_keys', server.authorizedKeys],
      ['the folder of a transfer', server.transferFolders],
      ['a connection to the other server', server.warmLinks],
      ['a job', server.jobs.keys()],
    ] as const) {
      for (const id of ids) world.violate(`${server.name} keeps ${what} of ${id}`);
    }
    for (const id of activeForwards(world, server).keys()) {
      if (!(atTarget && server === world.alpha)) world.violate(`${server.name} keeps the forward of ${id}`);
    }
    for (const volume of server.volumes.values()) {
      const locks = Object.keys(volume.Labels).some((label) => label.startsWith('gridferry.io/lock'));
      if (locks) world.violate(`${server.name} keeps the lock ${volume.Name}`);
      else if (isOurs(volume.Labels) && !(atTarget && server === world.beta)) {
        world.violate(`${server.name} keeps volume ${volume.Name}`);
      }
    }
    for (const container of server.containers.values()) {
      if (isHelper(container)) world.violate(`${server.name} keeps the helper ${container.name}`);
      else if (isOurs(labelsOf(container)) && !(atTarget && server === world.beta)) {
        world.violate(`${server.name} keeps container ${container.name}`);
      }
    }
  }
}

function isOurs(labels: Readonly<Record<string, string>>): boolean {
  return Object.keys(labels).some((label) => label.startsWith('gridferry.io/'));
}

function isHelper(container: ModelContainer): boolean {
  return labelsOf(container)['gridferry.io/workbench'] !== undefined;
}

async function checkLocks(world: World): Promise<void> {
  const { items } = await world.api.list(Leases, { namespace });
  for (const { metadata } of items) world.violate(`the home keeps the lock ${metadata.name}`);
}

/** Nothing that is written anywhere, and no command line, holds a secret. */
async function checkSecrets(world: World): Promise<void> {
  const { items: events } = await world.api.list(Events, { namespace });
  const { items: transfers } = await world.api.list(Transfers, { namespace });
  const places = [
    ['an event', JSON.stringify(events)],
    ['a status', JSON.stringify(transfers)],
    ['a log', world.logs.join('\n')],
    ['a command line', world.trace.join('\n')],
  ] as const;
  for (const [place, text] of places) {
    for (const secret of Object.values(secrets)) if (text.includes(secret)) world.violate(`${place} shows a secret`);
  }
}

function tagsOf({ images }: ModelServer): string {
  return JSON.stringify(
    [...images.values()].flatMap(({ Id, RepoTags }) => RepoTags.map((tag) => `${tag} ${Id}`)).sort(),
  );
}

/** An image that was brought may stay, with a tag that nobody had; a tag that another image had must be back at it. */
function sameTags(before: string, now: string): boolean {
  const kept = new Set(JSON.parse(now) as string[]);
  return (JSON.parse(before) as string[]).every((tag) => kept.has(tag));
}
