import t from 'tap';
import { createJobs } from '../../src/runtime/jobs.ts';
import type { Jobs } from '../../src/runtime/jobs.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';

interface Scene {
  readonly clock: VirtualClock;
  readonly jobs: Jobs<number, string>;
  readonly news: number[];
  /** Starts a job that runs until it is ended. */
  readonly run: (key: string) => Copy;
}

interface Copy {
  report: (progress: number) => void;
  succeed: (result: string) => void;
  fail: (error: Error) => void;
  signal: AbortSignal | undefined;
}

function setUp(): Scene {
  const clock = createVirtualClock();
  const jobs = createJobs<number, string>({ clock });
  const news: number[] = [];
  return {
    clock,
    jobs,
    news,
    run(key) {
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      const copy: Copy = { report: () => {}, succeed: resolve, fail: reject, signal: undefined };
      jobs.start(
        key,
        (signal, report) => {
          copy.signal = signal;
          copy.report = report;
          return promise;
        },
        () => news.push(clock.monotonic()),
      );
      return copy;
    },
  };
}

void t.test('a job runs on, tells its progress, and its outcome stays until it is forgotten', async (t) => {
  const { clock, jobs, run } = setUp();
  t.equal(jobs.peek('a'), undefined);
  const copy = run('a');
  t.same(jobs.peek('a'), { state: 'running', progress: undefined });
  copy.report(5);
  t.same(jobs.peek('a'), { state: 'running', progress: 5 });
  copy.succeed('sum');
  await clock.settle();
  copy.report(6);
  t.same(jobs.peek('a'), { state: 'succeeded', result: 'sum' });
  jobs.forget('a');
  t.equal(jobs.peek('a'), undefined);
});

void t.test('a failure is an outcome, thrown at once or later, and never an unhandled rejection', async (t) => {
  const { clock, jobs, news, run } = setUp();
  run('later').fail(new Error('disk full'));
  jobs.start(
    'at once',
    () => {
      throw new Error('no such volume');
    },
    () => {
      throw new Error('a bug in whoever is told');
    },
  );
  await clock.settle();
  t.match(jobs.peek('later'), { state: 'failed', error: { message: 'disk full' } });
  t.match(jobs.peek('at once'), { state: 'failed', error: { message: 'no such volume' } });
  t.same(news, [0]);
});

void t.test('a key has one running job; after it ended the next may start', async (t) => {
  const { clock, jobs, run } = setUp();
  const copy = run('a');
  t.throws(() => run('a'), { code: 'GF_JOB_RUNNING' });
  jobs.forget('a');
  t.equal(jobs.peek('a')?.state, 'running', 'a running job cannot be forgotten');
  copy.succeed('sum');
  await clock.settle();
  run('a');
  t.equal(jobs.peek('a')?.state, 'running');
});

void t.test(
  'news of progress come four times a second at most, the last is not lost, and the end is told at once',
  async (t) => {
    const { clock, news, run } = setUp();
    const copy = run('a');
    for (let i = 0; i < 100; i++) {
      copy.report(i);
      await clock.advance(10);
    }
    t.same(news, [0, 250, 500, 750, 1000]);
    copy.report(100);
    copy.succeed('sum');
    await clock.settle();
    t.equal(news.length, 6);
    await clock.advance(1000);
    t.equal(news.length, 6, 'nothing is told after the end');
    t.equal(clock.timers, 0);
  },
);

void t.test('abort resolves when the job has really ended', async (t) => {
  const { clock, jobs, run } = setUp();
  const copy = run('a');
  let ended = false;
  const aborting = jobs.abort('a', new Error('cancelled')).then(() => (ended = true));
  await clock.settle();
  t.match(copy.signal?.reason, { message: 'cancelled' });
  t.equal(ended, false);
  copy.fail(new Error('cancelled'));
  await aborting;
  t.match(jobs.peek('a'), { state: 'failed', error: { message: 'cancelled' } });
  await jobs.abort('a', new Error('again'));
  await jobs.abort('unknown', new Error('x'));
});

void t.test('race waits for a quick job, and not for a slow one', async (t) => {
  const { clock, jobs, run } = setUp();
  const order: string[] = [];
  const quick = run('quick');
  run('slow');
  void jobs.race('quick', 1000).then(() => order.push(`quick ${clock.monotonic()}`));
  void jobs.race('slow', 1000).then(() => order.push(`slow ${clock.monotonic()}`));
  await jobs.race('unknown', 1000);
  await clock.advance(100);
  quick.succeed('sum');
  await clock.advance(2000);
  t.same(order, ['quick 100', 'slow 1000']);
  t.equal(clock.timers, 0);
});

void t.test('abortAll ends every job and lets none start any more', async (t) => {
  const { clock, jobs, run } = setUp();
  const copies = [run('a'), run('b')];
  const ending = jobs.abortAll();
  await clock.settle();
  for (const copy of copies) copy.fail(copy.signal?.reason as Error);
  await ending;
  t.match(jobs.peek('b'), { state: 'failed', error: { code: 'GF_JOBS_STOPPED' } });
  t.throws(() => run('c'), { code: 'GF_JOBS_STOPPED' });
});
