import t from 'tap';
import { acquireEngineLock, releaseEngineLock, sweepEngineLocks } from '../../src/docker/lock.ts';
import type { LockHolder } from '../../src/docker/lock.ts';
import type { Engine } from '../../src/docker/engine.ts';
import { seededRandom } from '../support/seeded-random.ts';

/** The volumes of an engine, and the clock of its server; every answer may take a while. */
class Server {
  readonly volumes = new Map<string, Record<string, string>>();
  now = 1_000_000;
  readonly #random: (() => number) | undefined;

  constructor(random?: () => number) {
    this.#random = random;
  }

  async #pause(): Promise<void> {
    for (let turns = Math.floor((this.#random?.() ?? 0) * 5); turns > 0; turns--) await Promise.resolve();
  }

  get engine(): Engine {
    const dial = async (options: {
      path: string;
      method: string;
      options: { _body: never; _query: { filters?: string } };
    }): Promise<unknown> => {
      await this.#pause();
      const { Name, Labels } = options.options._body as { Name: string; Labels: Record<string, string> };
      const name = decodeURIComponent(options.path.split('/')[2] ?? '');
      let answer: unknown;
      if (options.method === 'POST') {
        if (!this.volumes.has(Name)) this.volumes.set(Name, Labels);
        answer = { Name, Labels: this.volumes.get(Name) };
      } else if (options.method === 'DELETE') this.volumes.delete(name);
      else {
        const [label = ''] = (JSON.parse(options.options._query.filters ?? '') as { label: string[] }).label;
        const [key = '', value] = label.split('=');
        const found = [...this.volumes].filter(([, labels]) => key in labels && (value ?? labels[key]) === labels[key]);
        answer = { Volumes: found.map(([one, labels]) => ({ Name: one, Labels: labels })) };
      }
      await this.#pause();
      return answer;
    };
    const modem = {
      dial: (options: never, callback: (error: null, data: unknown) => void): void =>
        void dial(options).then((data) => callback(null, data)),
    };
    const host = { name: 'alpha', user: 'deploy', exec: () => Promise.resolve({ stdout: `${String(this.now)}\n` }) };
    return { docker: { modem }, host } as unknown as Engine;
  }
}

const who = (id: string): LockHolder => ({ id, name: `default/${id}` });

void t.test('one holds it until its time is up by the clock of the server, and may be followed then', async (t) => {
  const server = new Server();
  const { engine } = server;
  t.equal(await acquireEngineLock(engine, 'web', who('a'), { seconds: 60 }), undefined);
  server.now += 59;
  t.match(await acquireEngineLock(engine, 'web', who('b')), { holder: who('a'), secondsLeft: 1 });
  t.equal(server.volumes.size, 1, 'who is refused leaves nothing');
  server.now += 1;
  t.equal(await acquireEngineLock(engine, 'web', who('b')), undefined);
  t.match([...server.volumes.keys()], [/^gridferry-lock-web\.1000360\.[0-9a-f]{12}$/]);
  t.match(await acquireEngineLock(engine, 'web', who('a')), { holder: who('b') }, 'the first one has lost it');
});

void t.test('a renewal prolongs it, and leaves one mark', async (t) => {
  const server = new Server();
  const { engine } = server;
  await acquireEngineLock(engine, 'web', who('a'), { seconds: 60 });
  for (let minute = 0; minute < 5; minute++) {
    server.now += 50;
    t.equal(await acquireEngineLock(engine, 'web', who('a'), { renew: true, seconds: 60 }), undefined);
    t.match(await acquireEngineLock(engine, 'web', who('b')), { secondsLeft: 60 });
    t.equal(server.volumes.size, 1);
  }
  server.now += 61;
  await acquireEngineLock(engine, 'web', who('b'));
  t.match(
    await acquireEngineLock(engine, 'web', who('a'), { renew: true }),
    { holder: who('b') },
    'a renewal that comes too late is none',
  );
});

void t.test('one who renews is not turned away by one who tries at that moment', async (t) => {
  const server = new Server();
  const { engine } = server;
  await acquireEngineLock(engine, 'web', who('a'), { seconds: 60 });
  server.volumes.set('gridferry-lock-web.1000300.b', {
    'gridferry.io/lock': 'web',
    'gridferry.io/lock-holder': 'b',
    'gridferry.io/lock-until': '1000300',
  });
  t.equal(await acquireEngineLock(engine, 'web', who('a'), { renew: true }), undefined);
});

void t.test('of many who try at once, in any order of answers, never two have it', async (t) => {
  let taken = 0;
  for (let seed = 1; seed <= 300; seed++) {
    const random = seededRandom(seed);
    const server = new Server(random);
    const names = ['a', 'b', 'c', 'd'].slice(0, 2 + Math.floor(random() * 3));
    // One that died with its lock, run out by now.
    await acquireEngineLock(server.engine, 'web', who('dead'), { seconds: 1 });
    server.now += 2;
    const tries = names.map(async (id) => {
      for (let turns = Math.floor(random() * 20); turns > 0; turns--) await Promise.resolve();
      return acquireEngineLock(server.engine, 'web', who(id));
    });
    const winners = (await Promise.all(tries)).filter((claim) => claim === undefined).length;
    taken += winners;
    if (winners > 1) t.fail(`seed ${String(seed)}: ${String(winners)} have it`);
    if (winners !== server.volumes.size) t.fail(`seed ${String(seed)}: ${String(server.volumes.size)} marks are left`);
  }
  t.ok(taken > 100, `${String(taken)} of 300 rounds had a winner; in the others all gave way`);
});

void t.test('only own marks are given back; what has run out, and what is known to be over, is swept', async (t) => {
  const server = new Server();
  const { engine } = server;
  await acquireEngineLock(engine, 'web', who('a'), { seconds: 60 });
  await acquireEngineLock(engine, 'db', who('b'), { seconds: 600 });
  await acquireEngineLock(engine, 'app', who('over'), { seconds: 600 });
  server.volumes.set('theirs', { 'gridferry.io/lock': 'something else' });
  await releaseEngineLock(engine, 'web', 'b');
  t.equal(server.volumes.size, 4);
  server.now += 61;
  t.equal(await sweepEngineLocks(engine, ({ id }) => id === 'over'), 2);
  t.match([...server.volumes.keys()].sort(), [/^gridferry-lock-db/, 'theirs']);
  await releaseEngineLock(engine, 'db', 'b');
  t.same([...server.volumes.keys()], ['theirs']);
});
