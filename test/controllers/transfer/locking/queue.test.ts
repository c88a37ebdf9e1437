import t from 'tap';
import { whoseTurn } from '../../../../controllers/transfer/locking/queue.ts';
import type { Contender, Holding, LockWish } from '../../../../controllers/transfer/locking/queue.ts';
import { seededRandom } from '../../../support/seeded-random.ts';

const wish = (lock: string, places = 1): LockWish => ({ lock, what: lock, places });

/** The later in the alphabet, the younger. */
function contender(name: string, ...wishes: LockWish[]): Contender {
  return {
    uid: `uid-${name}`,
    name,
    createdAt: `2026-01-01T00:00:${String(name.charCodeAt(0) - 65).padStart(2, '0')}Z`,
    wishes,
  };
}

const holds = (holder: string, lock: string, idle = false): Holding => ({ lock, holder, idle });

void t.test('the oldest of those that wait for one lock is next, and each learns its place', async (t) => {
  const [a, b, c] = ['A', 'B', 'C'].map((name) => contender(name, wish('lan'))) as [Contender, Contender, Contender];
  const waiters = [c, a, b];
  const held = [holds('first', 'lan')];
  t.match(whoseTurn(a, waiters, held), {
    mine: false,
    position: 1,
    message: /^waits for Transfer first, which holds lan; place 1/,
  });
  t.match(whoseTurn(c, waiters, held), { mine: false, position: 3, message: /place 3 in the queue, after A, B$/ });
  t.same(whoseTurn(a, waiters, []), { mine: true });
  t.match(whoseTurn(b, waiters, []), { mine: false, position: 2 }, 'free, but not for this one');
});

void t.test('a lock with several places is shared until it is full', async (t) => {
  const slots = wish('alpha', 2);
  const [a, b, c] = ['A', 'B', 'C'].map((name) => contender(name, slots)) as [Contender, Contender, Contender];
  t.same(whoseTurn(a, [a, b, c], [holds('x', 'alpha')]), { mine: true });
  t.match(whoseTurn(b, [a, b, c], [holds('x', 'alpha')]), { mine: false, position: 2 });
  t.match(whoseTurn(c, [c], [holds('x', 'alpha'), holds('y', 'alpha')]), {
    message: /Transfer x, y, which hold alpha/,
  });
});

void t.test('who wants other things goes past', async (t) => {
  const old = contender('A', wish('lan'));
  const young = contender('B', wish('wan'));
  t.same(whoseTurn(young, [old, young], [holds('x', 'lan')]), { mine: true });
});

void t.test('a big wish is not starved by small ones, unless what it waits for is idle', async (t) => {
  const big = contender('A', wish('lan'), wish('wan'));
  const small = contender('B', wish('wan'));
  t.match(whoseTurn(small, [big, small], [holds('x', 'lan')]), {
    mine: false,
    message: /waits for wan; place 2 .* after A/,
  });
  t.same(whoseTurn(small, [big, small], [holds('x', 'lan', true)]), { mine: true });
});

void t.test('of two of one second the name decides, the same way for both', async (t) => {
  const [a, b] = ['a', 'b'].map((name) => ({ ...contender('A', wish('lan')), name, uid: name })) as [
    Contender,
    Contender,
  ];
  t.same(whoseTurn(a, [a, b], []), { mine: true });
  t.equal(whoseTurn(b, [a, b], []).mine, false);
});

void t.test('in any crowd: never more than fit, never past an older one, and everybody gets there', async (t) => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = seededRandom(seed);
    const pick = (below: number): number => Math.floor(random() * below);
    const locks = Array.from({ length: 2 + pick(5) }, (_, index) => wish(`lock-${String(index)}`, 1 + pick(3)));
    const crowd = Array.from({ length: 3 + pick(12) }, (_, index) => {
      const wishes = locks.filter(() => random() < 0.4);
      return contender(String.fromCharCode(65 + index), ...(wishes.length === 0 ? [locks[0]!] : wishes));
    });
    let waiting = [...crowd];
    let active: Contender[] = [];
    for (let round = 0; waiting.length + active.length > 0; round++) {
      if (round > 1000)
        return t.fail(`seed ${String(seed)}: ${waiting.map(({ name }) => name).join()} never get there`);
      const idle = new Set(active.filter(() => random() < 0.2).map(({ uid }) => uid));
      const holdings = active.flatMap(({ uid, name, wishes }) =>
        wishes.map(({ lock }) => holds(name, lock, idle.has(uid))),
      );
      const asking = waiting[pick(waiting.length)];
      if (asking !== undefined && whoseTurn(asking, waiting, holdings).mine) {
        for (const { lock, places } of asking.wishes) {
          const users = holdings.filter((one) => one.lock === lock).length;
          if (users >= places) t.fail(`seed ${String(seed)}: ${lock} is overfull`);
          const older = waiting.filter(
            (one) => one.createdAt < asking.createdAt && one.wishes.some((own) => own.lock === lock),
          );
          const passed = older.filter(
            (one) =>
              !one.wishes.some((own) => {
                const users = holdings.filter((holding) => holding.lock === own.lock);
                return users.length >= own.places && users.every((user) => user.idle);
              }),
          );
          if (users + passed.length >= places) t.fail(`seed ${String(seed)}: ${asking.name} went past an older one`);
        }
        active = [...active, asking];
        waiting = waiting.filter((one) => one !== asking);
      }
      if (random() < 0.5) active = active.filter((_, index) => index !== pick(active.length));
    }
  }
  t.pass('300 crowds');
});
