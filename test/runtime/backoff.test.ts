import t from 'tap';
import { createBackoff } from '../../src/runtime/backoff.ts';

void t.test('the bound doubles with each failure, up to the maximum, and the delay is anywhere below it', (t) => {
  const highest = createBackoff({ random: () => 0.999999, baseMs: 100, maxMs: 1000 });
  const bounds = [1, 2, 3, 4, 5, 6].map(() => Math.round(highest.next('a')));
  t.same(bounds, [100, 200, 400, 800, 1000, 1000]);
  t.equal(createBackoff({ random: () => 0 }).next('a'), 0);
  t.end();
});

void t.test('a reset concerns its own key only', (t) => {
  const backoff = createBackoff({ random: () => 0.5, baseMs: 100 });
  backoff.next('a');
  backoff.next('a');
  backoff.next('b');
  backoff.reset('a');
  t.equal(backoff.failures('a'), 0);
  t.equal(backoff.next('a'), 50);
  t.equal(backoff.next('b'), 100);
  t.end();
});

void t.test('a key that failed for months still gets a finite delay', (t) => {
  const backoff = createBackoff({ random: () => 0.5, maxMs: 300_000 });
  for (let i = 0; i < 5000; i++) backoff.next('a');
  t.equal(backoff.next('a'), 150_000);
  t.end();
});
