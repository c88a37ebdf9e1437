import t from 'tap';
import { waitUntilHealthy } from '../../src/health/wait-until-healthy.ts';
import type { ProbeResult } from '../../src/health/probe-result.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';

const good: ProbeResult = { ok: true, outcome: 'Healthy', reason: 'HTTP 200', latencyMs: 1, notes: [] };
const bad: ProbeResult = { ok: false, outcome: 'BadStatus', reason: 'HTTP 503', latencyMs: 1, notes: [] };

/** Answers in this order, the last one for ever. */
const answering = (...results: ProbeResult[]) => {
  let at = 0;
  return () => Promise.resolve(results[Math.min(at++, results.length - 1)] ?? bad);
};

void t.test('successes have to come in a row', async (t) => {
  const clock = createVirtualClock();
  const seen: boolean[] = [];
  const waiting = waitUntilHealthy({
    probe: answering(bad, good, good, bad, good, good, good),
    ...{ clock, intervalMs: 1000, timeoutMs: 60_000, successThreshold: 3 },
    onResult: ({ ok }) => seen.push(ok),
  });
  await clock.advance(30_000);
  t.match(await waiting, { attempts: 7, elapsedMs: 6000, last: { ok: true } });
  t.same(seen, [false, true, true, false, true, true, true]);
});

void t.test('at the time-out the last reason is told', async (t) => {
  const clock = createVirtualClock();
  const waiting = waitUntilHealthy({ probe: answering(bad), clock, intervalMs: 1000, timeoutMs: 3500 });
  const check = t.rejects(waiting, { code: 'GF_HEALTH_TIMEOUT', message: /4 s after 4 probes \(last: HTTP 503\)/ });
  await clock.advance(4000);
  await check;
});

void t.test('a probe that hangs, or throws, does not hold up the time-out', async (t) => {
  const clock = createVirtualClock();
  const hangs = waitUntilHealthy({ probe: () => new Promise(() => {}), clock, intervalMs: 10, timeoutMs: 1000 });
  const throws = waitUntilHealthy({
    probe: () => Promise.reject(new Error('no route')),
    ...{ clock, intervalMs: 300, timeoutMs: 1000 },
  });
  const checks = [
    t.rejects(hangs, { code: 'GF_HEALTH_TIMEOUT', message: /did not end in time/ }),
    t.rejects(throws, { code: 'GF_HEALTH_TIMEOUT', message: /no route/ }),
  ];
  await clock.advance(1100);
  await Promise.all(checks);
});

void t.test('an abort ends the waiting, in a probe and between two', async (t) => {
  for (const probe of [answering(bad), (): Promise<ProbeResult> => new Promise(() => {})]) {
    const clock = createVirtualClock();
    const stop = new AbortController();
    const waiting = waitUntilHealthy({ probe, clock, intervalMs: 1000, timeoutMs: 9000, signal: stop.signal });
    const check = t.rejects(waiting, { message: 'cancelled' });
    await clock.advance(500);
    stop.abort(new Error('cancelled'));
    await check;
  }
});
