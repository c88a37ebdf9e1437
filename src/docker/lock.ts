import { createHash } from 'node:crypto';
import { GridferryError } from '../errors.ts';
import { dockerCall, filters } from './api.ts';
import { orUndefined } from './engine-error.ts';
import type { Engine } from './engine.ts';
import type { RawVolume } from './volume-capture.ts';

/**
 * A lock that lives in the engine of a server, so that two Gridferries with homes of their own do not move the same thing
 * at once. Anybody who may use the engine can take it, root or not.
 *
 * It is made of claims: empty volumes whose labels say what is locked, by whom, and until when by the server's own clock.
 * Labels never change, and the name of a claim is made of them, so a claim that has run out stays so and may be deleted by
 * anybody; a renewal is a further claim. A claim counts when, after it was made, no other's is alive: of two that are made
 * at the same time at least the later one sees the other, and withdraws.
 */

/** After so long without a renewal a lock may be taken over, in seconds. */
const ENGINE_LOCK_SECONDS = 300;

/** What is locked, as people call it: also what a claim is found by. */
const SUBJECT = 'gridferry.io/lock';
/** Not the marks of what is made for the holder: the lock goes last, after everything that is swept by them. */
const HOLDER = 'gridferry.io/lock-holder';
const HOLDER_NAME = 'gridferry.io/lock-holder-name';
/** Seconds since the epoch. */
const UNTIL = 'gridferry.io/lock-until';

export interface LockHolder {
  /** Unique: the transfer's UID. */
  readonly id: string;
  /** For people. */
  readonly name: string;
}

/** Somebody else's claim that is alive. */
export interface EngineLockClaim {
  readonly holder: LockHolder;
  /** The volume that stands for it. */
  readonly volume: string;
  /** How long it still lasts, in seconds, unless it is renewed. */
  readonly secondsLeft: number;
}

interface Claim {
  readonly volume: string;
  readonly subject: string;
  readonly holder: LockHolder;
  readonly until: number;
}

/**
 * Takes or renews a lock. Answers the other's claim when it is somebody else's.
 *
 * @param renew it was ours: others who try at this moment withdraw, and are overlooked while our last claim lasts
 * @throws GridferryError `GF_HOST_FACTS_UNREADABLE`, `GF_DOCKER_*`, `GF_SSH_*`
 */
export async function acquireEngineLock(
  engine: Engine,
  subject: string,
  holder: LockHolder,
  { renew = false, seconds = ENGINE_LOCK_SECONDS }: { readonly renew?: boolean; readonly seconds?: number } = {},
): Promise<EngineLockClaim | undefined> {
  const now = await serverTime(engine);
  const before = await claimsOf(engine, subject);
  const isMine = (claim: Claim): boolean => claim.holder.id === holder.id;
  const lasted = renew && before.some((claim) => isMine(claim) && claim.until > now);
  const claim = await makeClaim(engine, { subject, holder, until: now + seconds });
  const claims = await claimsOf(engine, subject);
  const other = lasted ? undefined : claims.find((one) => !isMine(one) && one.until > now);
  // Older claims of ours are superseded, others' are dead; when another is alive, ours go.
  await Promise.all(
    claims
      .filter((one) => (isMine(one) ? other !== undefined || one.volume !== claim : one.until <= now))
      .map((one) => removeVolume(engine, one.volume)),
  );
  if (other === undefined) return undefined;
  return { holder: other.holder, volume: other.volume, secondsLeft: other.until - now };
}

/** Gives the lock back. Somebody else's is left alone; one that is gone counts as given back. */
export async function releaseEngineLock(engine: Engine, subject: string, holderId: string): Promise<void> {
  const mine = (await claimsOf(engine, subject)).filter(({ holder }) => holder.id === holderId);
  await Promise.all(mine.map(({ volume }) => removeVolume(engine, volume)));
}

/** Removes every claim that has run out, and those of holders of whom it is known that they are over; answers how many. */
export async function sweepEngineLocks(engine: Engine, isOver: (holder: LockHolder) => boolean): Promise<number> {
  const claims = await claimsOf(engine);
  if (claims.length === 0) return 0;
  const now = await serverTime(engine);
  const dead = claims.filter(({ holder, until }) => until <= now || isOver(holder));
  await Promise.all(dead.map(({ volume }) => removeVolume(engine, volume)));
  return dead.length;
}

/** The server's own clock, in seconds since the epoch: the only one that all who lock there share. */
async function serverTime({ host }: Engine): Promise<number> {
  const { stdout } = await host.exec(['date', '+%s']);
  const seconds = Number.parseInt(stdout, 10);
  if (Number.isSafeInteger(seconds)) return seconds;
  throw new GridferryError(
    'GF_HOST_FACTS_UNREADABLE',
    `Server ${host.name} does not tell its time: check that "date +%s" works for ${host.user} there.`,
    { class: 'retryable' },
  );
}

/** Creating a volume that exists answers with the existing one: with the same name, the same claim. */
async function makeClaim(engine: Engine, { subject, holder, until }: Omit<Claim, 'volume'>): Promise<string> {
  const who = createHash('sha256').update(holder.id).digest('hex').slice(0, 12);
  const Name = `gridferry-lock-${subject}.${String(until)}.${who}`;
  await dockerCall(engine, {
    method: 'POST',
    path: ['volumes', 'create'],
    body: {
      Name,
      Driver: 'local',
      Labels: { [SUBJECT]: subject, [HOLDER]: holder.id, [HOLDER_NAME]: holder.name, [UNTIL]: String(until) },
    },
    doing: `claim the lock of ${subject}`,
  });
  return Name;
}

async function claimsOf(engine: Engine, subject?: string): Promise<Claim[]> {
  const { Volumes } = await dockerCall<{ readonly Volumes?: readonly RawVolume[] | null }>(engine, {
    method: 'GET',
    path: ['volumes'],
    query: { filters: filters({ label: [subject === undefined ? SUBJECT : `${SUBJECT}=${subject}`] }) },
    doing: 'list the locks',
  });
  return (Volumes ?? []).flatMap(({ Name, Labels }) => {
    const until = Number(Labels?.[UNTIL]);
    // Whatever has this label and is not a claim of ours is not for us to judge.
    if (!Number.isSafeInteger(until)) return [];
    const holder = { id: Labels?.[HOLDER] ?? '', name: Labels?.[HOLDER_NAME] ?? 'unknown' };
    return [{ volume: Name, subject: Labels?.[SUBJECT] ?? '', holder, until }];
  });
}

async function removeVolume(engine: Engine, name: string): Promise<void> {
  await orUndefined(
    dockerCall(engine, { method: 'DELETE', path: ['volumes', name], doing: `remove the lock ${name}` }),
  );
}
