import t from 'tap';
import type { TransferStatus } from '../../../../src/api/resources.ts';
import type { TransferContext } from '../../../../controllers/transfer/context.ts';
import { dataProgress } from '../../../../controllers/transfer/copying/progress.ts';
import { createVirtualClock } from '../../../support/virtual-clock.ts';

const MIB = 1 << 20;

/** A copy of one volume, and the status that its reports lead to. */
function copying(bytesTotal: number) {
  const clock = createVirtualClock();
  const status: TransferStatus = { volumes: [{ name: 'data', bytesTotal, bytesDone: 0 }] };
  const report: TransferContext['report'] = (change) => change(status, () => undefined);
  const progress = dataProgress({ clock, status: structuredClone(status), report } as unknown as TransferContext);
  return { clock, status, progress, meter: progress.bytes('data') };
}

void t.test('the time left follows from the rate', async (t) => {
  const { clock, status, meter } = copying(100 * MIB);
  await clock.advance(1000);
  meter(10 * MIB, 10 * MIB);
  t.match(status, { bytesDone: 10 * MIB, bytesPerSecond: 10 * MIB, etaSeconds: 9 });
});

void t.test('nothing is told of the time left while next to nothing moves, or when all is there', async (t) => {
  const { clock, status, progress, meter } = copying(100 * MIB);
  await clock.advance(1000);
  meter(1, 1);
  t.equal(status.etaSeconds, undefined, 'one byte in a second would take years');
  await clock.advance(1000);
  meter(50 * MIB, 50 * MIB);
  t.ok((status.etaSeconds ?? 0) > 0);
  progress.add('data', 'PreCopy', {
    tool: 'rsync',
    startedAt: 0,
    durationMs: 3000,
    bytesOnWire: 100 * MIB,
    filesTransferred: 1,
    vanished: 0,
    limitations: [],
  });
  t.match(status, { bytesDone: 100 * MIB });
  t.equal(status.etaSeconds, undefined);
});
