/**
 * Whose turn it is: who may take its locks now, and who has to wait for whom. Pure; the Leases of the home, which
 * `locks.ts` keeps, have the last word.
 */

/** Something that at most `places` transfers may have at once. */
export interface LockWish {
  /** Names it in the home. */
  readonly lock: string;
  /** For people. */
  readonly what: string;
  readonly places: number;
}

/** A transfer that wants all of its wishes, or none. */
export interface Contender {
  readonly uid: string;
  readonly name: string;
  /** `metadata.creationTimestamp`. */
  readonly createdAt: string;
  readonly wishes: readonly LockWish[];
}

/** One place of a lock that somebody else has. */
export interface Holding {
  readonly lock: string;
  readonly holder: string;
  /** Whether its holder makes no progress until its user says so: suspended, or ready for a cutover by hand. */
  readonly idle: boolean;
}

export type Turn =
  | { readonly mine: true }
  /** `position`: 1 is next. */
  | { readonly mine: false; readonly position: number; readonly message: string };

/**
 * First come, first served: an older waiter's locks are kept free for it, also those that are free already while it waits
 * for another, so that many small wishes cannot starve a big one. Except when it waits for one that is idle: that may
 * last for days, and then the younger ones go past it.
 */
export function whoseTurn(me: Contender, waiters: readonly Contender[], holdings: readonly Holding[]): Turn {
  const taken = new Map<string, number>();
  const take = (lock: string): void => void taken.set(lock, (taken.get(lock) ?? 0) + 1);
  const isFull = ({ lock, places }: LockWish): boolean => (taken.get(lock) ?? 0) >= places;
  for (const { lock } of holdings) take(lock);

  const before: Contender[] = [];
  for (const waiter of waiters.filter((one) => one.uid !== me.uid && isOlder(one, me)).toSorted(byAge)) {
    if (waiter.wishes.some((wish) => isHeldByIdle(wish, holdings))) continue;
    before.push(waiter);
    for (const { lock } of waiter.wishes) take(lock);
  }
  const full = me.wishes.find(isFull);
  if (full === undefined) return { mine: true };
  const mine = new Set(me.wishes.map(({ lock }) => lock));
  const ahead = before.filter(({ wishes }) => wishes.some(({ lock }) => mine.has(lock)));
  const position = ahead.length + 1;
  return { mine: false, position, message: explain(full, holdings, ahead, position) };
}

function explain(wish: LockWish, holdings: readonly Holding[], ahead: readonly Contender[], position: number): string {
  const holders = holdings
    .filter(({ lock }) => lock === wish.lock)
    .map(({ holder }) => holder)
    .toSorted();
  const holds =
    holders.length === 0
      ? `waits for ${wish.what}`
      : `waits for Transfer ${holders.join(', ')}, which ${holders.length === 1 ? 'holds' : 'hold'} ${wish.what}`;
  const names = ahead.map(({ name }) => name);
  const queue = names.length === 0 ? '' : `, after ${names.slice(-5).join(', ')}`;
  return `${holds}; place ${String(position)} in the queue${queue}`;
}

/** Whether nothing but an idle transfer's user can make room. */
function isHeldByIdle({ lock, places }: LockWish, holdings: readonly Holding[]): boolean {
  const holders = holdings.filter((holding) => holding.lock === lock);
  return holders.length >= places && holders.every(({ idle }) => idle);
}

function isOlder(a: Contender, b: Contender): boolean {
  return byAge(a, b) < 0;
}

/** Times are whole seconds: of two that are equally old the name decides, the same way for everybody. */
function byAge(a: Contender, b: Contender): number {
  return compare(a.createdAt, b.createdAt) || compare(a.name, b.name) || compare(a.uid, b.uid);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
