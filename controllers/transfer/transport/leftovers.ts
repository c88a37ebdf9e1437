import { Transfers } from '../../../src/api/resources.ts';
import type { ManagedServer } from '../../../src/api/resources.ts';
import { authorizedTransfers } from '../../../src/ssh/authorized-keys.ts';
import { scrubServer } from '../../../src/ssh/scrub.ts';
import { abandonedFolders, transferFolders } from '../../../src/ssh/transfer-folder.ts';
import type { Host } from '../../../src/ssh/host.ts';
import { benchesOn, sweepBenches } from '../../../src/volumes/sweep-benches.ts';
import type { ControllerDependencies } from '../../dependencies.ts';
import { benchNames, transferOfBench } from '../copying/benches.ts';
import { marksOf } from '../context.ts';
import { hasEnded } from '../status.ts';

/** Looks through a server once in the life of a process, and not again before it was replaced by another of its name. */
export type SweepOnce = (server: Readonly<ManagedServer>) => void;

/**
 * At the start of a process, takes off each server what transfers left there, helpers and what the direct path needs, and
 * nobody will come back for: those that are over, and those that this home does not know (any more) and where nothing has happened for a day.
 * Others may be another home's, at work.
 */
export function createLeftoverSweep({ servers, client, log }: ControllerDependencies): SweepOnce {
  const seen = new Set<string>();

  async function sweep(server: Readonly<ManagedServer>): Promise<void> {
    const { host } = await servers.login(server);
    const found = new Set([...(await authorizedTransfers(host)), ...(await transferFolders(host))]);
    if (found.size > 0) await scrub(server, host, found);
    await sweepBenchesOf(server);
  }

  async function scrub(server: Readonly<ManagedServer>, host: Host, found: ReadonlySet<string>): Promise<void> {
    const { items } = await client.list(Transfers);
    const abandoned = new Set(await abandonedFolders(host));
    for (const id of found) {
      const transfer = items.find(({ metadata }) => metadata.uid === id);
      // One that ended with something left sees to it by itself.
      const isOver = transfer !== undefined && hasEnded(transfer) && transfer.status?.credentials === undefined;
      if (!isOver && (transfer !== undefined || !abandoned.has(id))) continue;
      await scrubServer(host, id);
      log.info({ server: server.metadata.name, transfer: id }, 'took away what a transfer had left');
    }
  }

  /** Those that an end of the transfer could not take away, because the server was away. */
  async function sweepBenchesOf(server: Readonly<ManagedServer>): Promise<void> {
    const { host, engine } = await servers.connect(server);
    const found = new Set((await benchesOn({ host, docker: engine.docker })).map(transferOfBench));
    if (found.size === 0) return;
    const { items } = await client.list(Transfers);
    for (const transfer of items) {
      if (!found.has(transfer.metadata.uid) || !hasEnded(transfer)) continue;
      await sweepBenches({
        ...{ host, docker: engine.docker },
        ...{ labels: marksOf(transfer), names: benchNames({ transfer }) },
      });
      log.info({ server: server.metadata.name, transfer: transfer.metadata.name }, 'took away helpers that were left');
    }
  }

  return (server) => {
    const uid = server.metadata.uid ?? '';
    if (seen.has(uid)) return;
    seen.add(uid);
    sweep(server).catch((error: unknown) => {
      seen.delete(uid);
      log.warn({ err: error, server: server.metadata.name }, 'what transfers may have left could not be looked for');
    });
  };
}
