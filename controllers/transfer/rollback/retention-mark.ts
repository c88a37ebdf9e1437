import { dockerCall } from '../../../src/docker/api.ts';
import { orUndefined } from '../../../src/docker/engine-error.ts';
import type { Engine } from '../../../src/docker/engine.ts';
import { inspectNetwork } from '../../../src/docker/network-capture.ts';
import { inspectVolume } from '../../../src/docker/volume-capture.ts';
import { marksOf } from '../context.ts';
import type { TransferContext } from '../context.ts';
import { recordedContainers } from '../source/source-containers.ts';

/** What of the stopped source may be deleted once the window is over, as the source itself says. */
export interface RetentionMark {
  /** Container ids. */
  readonly containers: readonly string[];
  readonly volumes: readonly string[];
  readonly networks: readonly { readonly id: string; readonly name: string }[];
}

const LABEL = 'gridferry.io/retention';

/**
 * Says on the source what belongs to the service that left it: an empty volume whose label lists it. It is made while
 * everything is still there to be read, and without it nothing is deleted. Idempotent: the first one counts.
 */
export async function makeRetentionMark(context: TransferContext): Promise<RetentionMark> {
  const { engine } = await context.session.source(context);
  const { volumes, networks } = await context.session.capture(context);
  const mark: RetentionMark = {
    containers: recordedContainers(context).map(({ id }) => id),
    volumes: volumes.map(({ name }) => name),
    networks: await Promise.all(
      networks
        .filter(({ builtin }) => !builtin)
        .map(async ({ name }) => ({ id: (await inspectNetwork(engine, name, context.signal)).Id, name })),
    ),
  };
  await dockerCall(engine, {
    method: 'POST',
    path: ['volumes', 'create'],
    body: {
      Name: markName(context),
      Driver: 'local',
      Labels: { ...marksOf(context.transfer), [LABEL]: JSON.stringify(mark) },
    },
    doing: 'mark what the transfer left',
    signal: context.signal,
  });
  return (await readRetentionMark(context, engine)) ?? mark;
}

/** The mark of this very transfer, or `undefined`. */
export async function readRetentionMark(context: TransferContext, engine: Engine): Promise<RetentionMark | undefined> {
  const volume = await orUndefined(inspectVolume(engine, markName(context), context.signal));
  const text = volume?.Labels?.[LABEL];
  const own = Object.entries(marksOf(context.transfer)).every(([name, value]) => volume?.Labels?.[name] === value);
  if (text === undefined || !own) return undefined;
  return JSON.parse(text) as RetentionMark;
}

/** Takes the mark away. Idempotent; another's is left alone. */
export async function dropRetentionMark(context: TransferContext): Promise<void> {
  const { engine } = await context.session.source(context);
  if ((await readRetentionMark(context, engine)) === undefined) return;
  await orUndefined(
    dockerCall(engine, {
      method: 'DELETE',
      path: ['volumes', markName(context)],
      doing: 'take away the mark of what the transfer left',
      signal: context.signal,
    }),
  );
}

function markName({ transfer }: TransferContext): string {
  return `gridferry-kept-${transfer.metadata.uid ?? ''}`;
}
