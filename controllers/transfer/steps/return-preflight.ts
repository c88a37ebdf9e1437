import { planRestore } from '../../../src/dns/restore.ts';
import type { DnsRestorePoint } from '../../../src/dns/restore.ts';
import { readRecords } from '../../../src/dns/cutover.ts';
import { inspectState } from '../../../src/docker/lifecycle.ts';
import { GridferryError } from '../../../src/errors.ts';
import { sweep } from '../copying/benches.ts';
import { pathOn } from '../copying/data-set.ts';
import type { TransferStatus } from '../../../src/api/resources.ts';
import { timestamp } from '../../timestamps.ts';
import type { TransferContext } from '../context.ts';
import { dnsTargetOf } from '../cutover/dns-target.ts';
import type { Rollback } from '../course.ts';
import { targetContainers } from '../source/source-containers.ts';
import type { RecordedContainer } from '../source/source-containers.ts';
import type { Step } from '../step.ts';
import { lookForObstacles } from '../source/stopped-source.ts';

/** Looks whether the service can go back, and writes down how the target is, before anything is touched. */
export const returnPreflight: Step = {
  name: 'return-preflight',
  phase: 'Preparing',
  async apply(context) {
    const obstacles = await lookForObstacles(context);
    const [first] = obstacles;
    if (first !== undefined) {
      throw new GridferryError(first.code, obstacles.map(({ message }) => message).join('; '), {
        details: { blockers: obstacles.length },
      });
    }
    await assertPathsThere(context);
    const [containers, dns] = await Promise.all([targetAsItIs(context), dnsAsItIs(context)]);
    const now = timestamp(context.clock);
    return {
      record(status) {
        const { rollback, restore } = status;
        if (rollback === undefined) return;
        // A second look may see what the first one's steps have changed: the first one counts.
        rollback.containers ??= containers;
        if (dns !== undefined) rollback.dns ??= dns;
        if (rollback.data === 'Sync' && restore !== undefined) restore.overwrittenSince ??= now;
      },
      message: `${String(containers.length)} container(s) at the source as they were left`,
    };
  },
  /** A process may have died with its bench open. A server that is away must not hold the service where it is for that. */
  async undo(context) {
    try {
      await sweep(context, 'source');
      return undefined;
    } catch (error) {
      if (!(error instanceof GridferryError) || !error.code.startsWith('GF_SSH_')) throw error;
      context.log.warn({ err: error }, 'what an earlier process left at the source could not be looked for');
      return ({ steps = [] }) => {
        for (const record of steps) if (record.name === 'return-preflight') record.message = HELPERS_LEFT;
      };
    }
  },
};

/** Of a step whose undo could not look: they are taken away when the server is back. */
export const HELPERS_LEFT = 'its helpers may still be at the source, which was away';

async function targetAsItIs(context: TransferContext): Promise<RecordedContainer[]> {
  const { engine } = await context.session.target(context);
  return Promise.all(
    (await targetContainers(context)).map(async ({ id, name }) => {
      const { running, restartPolicy } = await inspectState(engine, id, context.signal);
      return {
        id,
        name,
        running,
        restartPolicy: restartPolicy.name,
        restartMaximumRetryCount: restartPolicy.maximumRetryCount,
      };
    }),
  );
}

/** Docker makes an empty folder where that of a bind mount is missing: the service would start without its data. */
async function assertPathsThere(context: TransferContext): Promise<void> {
  const bench = await context.session.sourceBench(context);
  for (const item of await context.session.data(context)) {
    const { exitCode } = await bench.exec(['test', '-e', pathOn(bench, item)], {
      allowFailure: true,
      signal: context.signal,
    });
    if (exitCode === 0) continue;
    throw new GridferryError(
      'GF_ROLLBACK_SOURCE_GONE',
      `${item.name} is no longer there on server ${context.sourceServer.metadata.name}: put it back, or move the service with a new Transfer`,
    );
  }
}

/** What a failed rollback puts back in DNS. Records that somebody else wrote since stop it here. */
async function dnsAsItIs(context: TransferContext): Promise<Rollback['dns']> {
  const before = context.status.restore?.dns;
  if (before === undefined) return undefined;
  const target = await dnsTargetOf(context);
  if (target.skip) throw unreachableDns(before, target.message);
  const { records } = await readRecords(target.provider, target.name, { signal: context.signal });
  const changes = planRestore(records, before);
  const point: DnsRestorePoint = {
    prior: changes.flatMap((change) =>
      change.kind === 'update' ? [change.from] : change.kind === 'delete' ? [change.record] : [],
    ),
    created: changes.flatMap((change) => (change.kind === 'create' ? [change.record] : [])),
    wrote: before.prior.map(({ content }) => content),
  };
  return storedPoint(target.name, point);
}

function storedPoint(name: string, point: DnsRestorePoint): NonNullable<Rollback['dns']> {
  return {
    name,
    prior: point.prior.map((record) => ({ ...record, tags: [...record.tags] })),
    created: point.created.map((record) => ({ ...record, tags: [...record.tags] })),
    wrote: [...point.wrote],
  };
}

type DnsBefore = NonNullable<NonNullable<TransferStatus['restore']>['dns']>;

function unreachableDns({ name }: DnsBefore, why: string): GridferryError {
  return new GridferryError(
    'GF_ROLLBACK_NO_DNS',
    `the move changed the records of ${name}, and they cannot be put back: ${why}`,
  );
}
