import t from 'tap';
import { endDowntime, measure } from '../../../../controllers/transfer/source/downtime.ts';
import type { TransferContext } from '../../../../controllers/transfer/context.ts';
import type { TransferStatus } from '../../../../src/api/resources.ts';
import { createVirtualClock } from '../../../support/virtual-clock.ts';

void t.test('the parts add up to the whole', async (t) => {
  const clock = createVirtualClock();
  const status: TransferStatus = { downtimeStart: '2026-11-21T10:00:00.000Z' };
  const context = (): TransferContext => ({ clock, status: structuredClone(status) }) as unknown as TransferContext;
  const pass = async (part: Parameters<typeof measure>[1], ms: number): Promise<void> => {
    const measured = measure(context(), part);
    await clock.advance(ms);
    const change = measured();
    // Written twice, when the answer to the first write was lost.
    change(status, () => undefined);
    change(status, () => undefined);
  };
  await pass('stopMs', 30);
  await pass('deltaMs', 40);
  await pass('deltaMs', 2);
  await pass('startMs', 180);
  endDowntime(status, '2026-11-21T10:00:00.300Z');
  t.same(status.downtime, { stopMs: 30, deltaMs: 42, startMs: 180, otherMs: 48 });
  t.equal(status.downtimeSeconds, 0.3);
  endDowntime(status, '2026-11-21T10:00:01.300Z');
  t.equal(status.downtime?.otherMs, 1048, 'an undo that took longer is counted anew');
});

void t.test('where the service was never stopped there is no downtime', async (t) => {
  const status: TransferStatus = {};
  endDowntime(status, '2026-11-21T10:00:00.300Z');
  t.same(status, {});
});
