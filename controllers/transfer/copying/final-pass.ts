import type { Host } from '../../../src/ssh/host.ts';
import { relayRoute } from '../../../src/volumes/route.ts';
import type { Route } from '../../../src/volumes/route.ts';
import type { Workbench } from '../../../src/volumes/workbench.ts';
import type { TransferContext } from '../context.ts';
import { copyEnds } from './copy-ends.ts';
import type { CopyEnds } from './copy-ends.ts';
import { stopCopies } from '../transport/credentials.ts';
import { manifestName, pathOn } from './data-set.ts';
import type { DataItem } from './data-set.ts';
import { readLayers } from './written-layers.ts';

/**
 * The programs of one connection that may stand by at a time, over all transfers: sshd runs at most ten programs on one,
 * and those that do the ordinary work must never have to wait for those that stand by.
 */
const MOST_STANDING_BY = 4;

/** Getting ready is not worth waiting longer for: in ms. */
const LONGEST_MS = 5_000;

const standingBy = new WeakMap<Host, number>();

/**
 * Gets ready, while the service still runs, what is done after its stop: the programs of the last copy and of the
 * comparison are started and wait, what was written outside volumes is read, and the target's disk has what it was sent.
 * Nothing of it is needed: what does not succeed, or not in time, is done later in the ordinary way.
 */
export async function prepareFinalPass(context: TransferContext): Promise<void> {
  const items = await context.session.data(context);
  const { stopped } = context.session;
  stopped.forget();
  const ready = Promise.allSettled([standByAll(context, items), readLayers(context), flushTarget(context, items)]);
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const cancel = context.clock.after(LONGEST_MS, () => resolve(undefined));
  const outcome = await Promise.race([ready, late]);
  cancel();
  for (const one of outcome ?? []) {
    if (one.status === 'rejected') context.log.debug({ err: one.reason as unknown }, 'something could not stand by');
  }
}

async function standByAll(context: TransferContext, items: readonly DataItem[]): Promise<void> {
  // What an earlier process left running must not write beside the last copy, whichever way that goes.
  await stopCopies(context);
  await Promise.all(items.map((item, index) => standBy(context, item, index)));
}

async function standBy(context: TransferContext, item: DataItem, index: number): Promise<void> {
  const [source, target] = await Promise.all([context.session.source(context), context.session.target(context)]);
  const hosts = [source.host, target.host];
  if (hosts.some((host) => (standingBy.get(host) ?? 0) + 2 > MOST_STANDING_BY)) return;
  count(hosts, 2);
  const { stopped, manifests } = context.session;
  let wanted = true;
  stopped.onStandDown(() => {
    wanted = false;
    count(hosts, -2);
  });
  const isWanted = (): boolean => wanted;
  const { signal: _signal, ...ends } = await copyEnds(context, item);
  const earlier = manifests.get(item.name);
  const copying = context.dataPlane
    .standbyCopy({ ...ends, route: routeOfLast(context, ends), running: false })
    .then((copy) => {
      if (!isWanted()) copy?.cancel();
      else if (copy !== undefined) stopped.copies.set(item.name, copy);
    });
  const comparing = context.dataPlane
    .standbyManifests({
      ...ends,
      mode: context.transfer.spec.verify,
      previousSource: earlier?.source,
      previousTarget: earlier?.target,
      name: manifestName(index),
    })
    .then((both) => {
      if (isWanted()) stopped.manifests.set(item.name, both);
      else for (const one of [both.source, both.target]) one.cancel();
    });
  await Promise.all([copying, comparing]);
}

/** Up to this many bytes the last copy is quicker where its programs are at hand: through this process. */
const LITTLE_BYTES = 16 << 20;

/** The last copy is small as a rule. Who asked for the direct way does not want the data to come through here. */
function routeOfLast({ status }: TransferContext, { route }: Pick<CopyEnds, 'route'>): Route {
  if (route.mode !== 'Direct' || route.otherwise === 'Fail') return route;
  const perSecond = status.precopy?.dirtyBytesPerSecond;
  const expected = perSecond === undefined ? Infinity : (perSecond * LONGEST_MS) / 1000;
  return expected <= LITTLE_BYTES ? relayRoute : route;
}

function count(hosts: readonly Host[], programs: number): void {
  for (const host of hosts) standingBy.set(host, (standingBy.get(host) ?? 0) + programs);
}

/** The verified data begin to be written to the target's disk, beside the start of the service. */
export function beginFlush(context: TransferContext, items: readonly DataItem[]): void {
  const { stopped } = context.session;
  stopped.flush = flushTarget(context, items);
  // Who waits for it tries again.
  stopped.flush.catch(() => undefined);
}

/** Waits until it is there; before clients come, and the source's copy becomes the older one. */
export async function finishFlush(context: TransferContext): Promise<void> {
  const { stopped } = context.session;
  const begun = stopped.flush;
  stopped.flush = undefined;
  const done = await begun?.then(
    () => true,
    () => false,
  );
  if (done === true) return;
  context.signal.throwIfAborted();
  await flushTarget(context, await context.session.data(context));
}

/** Writes to the target's disks what is still in its memory: what was proved equal should survive a power cut as well. */
export async function flushTarget(context: TransferContext, items: readonly DataItem[]): Promise<void> {
  if (items.length > 0) await flush(context, await context.session.targetBench(context), items);
}

/** The same for either side. */
export async function flush(context: TransferContext, bench: Workbench, items: readonly DataItem[]): Promise<void> {
  if (items.length === 0) return;
  const paths = items.map((item) => pathOn(bench, item));
  await bench.exec(['sh', '-c', 'for path do sync -f "$path" 2>/dev/null || { sync; break; }; done', 'sh', ...paths], {
    signal: context.signal,
    timeoutMs: 600_000,
  });
}
