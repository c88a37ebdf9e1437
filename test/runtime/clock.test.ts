import t from 'tap';
import { sleep, systemClock } from '../../src/runtime/clock.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';

void t.test('a wait longer than Node can count does not end at once', async (t) => {
  let fired = false;
  const cancel = systemClock.after(2 ** 33, () => (fired = true));
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(fired, false);
  cancel();
});

void t.test('a sleep ends early with the reason of its signal, and leaves no timer', async (t) => {
  const clock = createVirtualClock();
  const abort = new AbortController();
  const sleeping = sleep(clock, 1000, abort.signal);
  abort.abort(new Error('enough'));
  await t.rejects(sleeping, { message: 'enough' });
  await t.rejects(sleep(clock, 1000, abort.signal), { message: 'enough' });
  t.equal(clock.timers, 0);
});

void t.test('virtual time runs timers in order, each at its own moment, with those that they set', async (t) => {
  const clock = createVirtualClock();
  const order: string[] = [];
  clock.after(20, () => order.push(`b ${clock.monotonic()}`));
  clock.after(10, () => {
    order.push(`a ${clock.monotonic()}`);
    void Promise.resolve().then(() => clock.after(5, () => order.push(`c ${clock.monotonic()}`)));
  });
  clock.after(100, () => order.push('never'));
  await clock.advance(30);
  t.same(order, ['a 10', 'c 15', 'b 20']);
  t.equal(clock.monotonic(), 30);
  clock.jump(-3_600_000);
  t.equal(clock.monotonic(), 30);
});
