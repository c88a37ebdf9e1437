import { dockerCall } from './api.ts';
import { orUndefined } from './engine-error.ts';
import type { Engine } from './engine.ts';
import type { RawVolume } from './volume-capture.ts';

/** Who holds a lock on an engine. */
export interface EngineLockHolder {
  /** For people. */
  readonly name: string;
  /** The volume that stands for the lock. */
  readonly volume: string;
}

/** Not the marks of what is made for the holder: the lock goes last, after everything that is swept by them. */
const HOLDER = 'gridferry.io/lock-holder';
const HOLDER_NAME = 'gridferry.io/lock-holder-name';

/**
 * Takes a lock that lives in the engine itself: an empty volume whose labels say who holds it. Creating a volume that
 * exists answers with the existing one and its labels, so that of two who try only one finds its own; and everybody who
 * may use the engine may do it, root or not. Answers the holder when it is somebody else.
 */
export async function acquireEngineLock(
  engine: Engine,
  subject: string,
  holder: { readonly id: string; readonly name: string },
): Promise<EngineLockHolder | undefined> {
  const name = lockName(subject);
  const volume = await dockerCall<RawVolume>(engine, {
    method: 'POST',
    path: ['volumes', 'create'],
    body: { Name: name, Driver: 'local', Labels: { [HOLDER]: holder.id, [HOLDER_NAME]: holder.name } },
    doing: `take the lock of ${subject}`,
  });
  if (volume.Labels?.[HOLDER] === holder.id) return undefined;
  return { name: volume.Labels?.[HOLDER_NAME] ?? 'unknown', volume: name };
}

/** Gives the lock back. Somebody else's is left alone; one that is gone counts as given back. */
export async function releaseEngineLock(engine: Engine, subject: string, holderId: string): Promise<void> {
  const path = ['volumes', lockName(subject)];
  const volume = await orUndefined(
    dockerCall<RawVolume>(engine, { method: 'GET', path, doing: `look at the lock of ${subject}` }),
  );
  if (volume?.Labels?.[HOLDER] !== holderId) return;
  await orUndefined(dockerCall(engine, { method: 'DELETE', path, doing: `give back the lock of ${subject}` }));
}

/** Container and project names are made of the characters that volume names may have. */
function lockName(subject: string): string {
  return `gridferry-lock-${subject}`;
}
