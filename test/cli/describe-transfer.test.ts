import t from 'tap';
import type { Transfer, TransferStatus } from '../../src/api/resources.ts';
import { transferSections } from '../../src/cli/describe-transfer.ts';

const described = (status: TransferStatus): string =>
  transferSections({
    apiVersion: 'gridferry.io/v1alpha1',
    kind: 'Transfer',
    metadata: { name: 'move-web' },
    spec: { container: 'web', targetServerRef: { name: 'beta' } },
    status,
  } as Transfer).join('\n');

void t.test('a plan is shown with all that it says, and what stands in the way', async (t) => {
  const text = described({
    phase: 'Planned',
    plan: {
      time: '2026-03-01T12:00:00Z',
      strategy: 'StopFirst: it can write to volume web-data',
      transport: 'Direct: alpha can log in at beta',
      steps: [{ name: 'capture-source', phase: 'Preparing', message: 'reads the service on alpha' }],
      parts: [{ name: 'web-data', kind: 'Volume', bytes: 1_048_576 }],
      bytesTotal: 1_048_576,
      etaSeconds: 11,
      predictedDowntimeSeconds: 1.2,
      blockers: [{ code: 'GF_PREFLIGHT_PORT_TAKEN', message: 'port 80 is taken' }],
      warnings: [],
    },
  });
  t.match(text, /^ {2}Plan:\n {4}Strategy: +StopFirst: it can write to volume web-data$/m);
  t.match(text, /^ {4}Downtime: +about 1\.2 s$/m);
  t.match(text, /^ {4}Blockers: +1$/m);
  t.match(text, /^ {6}capture-source +Preparing +reads the service on alpha$/m);
  t.match(text, /^ {6}GF_PREFLIGHT_PORT_TAKEN +port 80 is taken$/m);
});

void t.test('a transfer that is held says how fresh its copy is, and what it waits for', async (t) => {
  const text = described({
    phase: 'Uploading',
    message: 'ready: set spec.cutoverNow to true to cut over',
    strategy: 'StopFirst',
    strategyReason: 'it can write to volume web-data',
    transport: {
      mode: 'Relay',
      reason: 'beta refused the login',
      roundTripMs: 41.26,
      channels: 4,
      compression: 'zstd',
    },
    precopy: {
      rounds: 3,
      dirtyBytesPerSecond: 2048,
      lastSyncTime: '2026-03-01T12:00:00Z',
      message: 'predicted downtime 1.4 s, within maxDowntime (5s)',
    },
    jobs: [
      { name: 'copy-0', server: 'alpha', state: 'Running' },
      { name: 'copy-1', server: 'alpha', state: 'Succeeded' },
    ],
    credentials: [
      { name: 'alpha-key', kind: 'KeyFile', server: 'alpha' },
      { name: 'beta-line', kind: 'AuthorizedKey', server: 'beta' },
      { name: 'beta-key', kind: 'KeyFile', server: 'beta' },
    ],
  });
  t.match(text, /^ {2}Strategy: +StopFirst: it can write to volume web-data$/m);
  t.match(
    text,
    /^ {2}Transport: +Relay: beta refused the login, round trip 41\.3 ms, 4 channels, compressed with zstd$/m,
  );
  t.match(
    text,
    /^ {2}Rounds: +3, the last began at 2026-03-01T12:00:00Z; the service changes 2\.0 KiB\/s; predicted downtime 1\.4 s/m,
  );
  t.match(text, /^ {2}Jobs: +copy-0 runs on server alpha$/m);
  t.match(text, /^ {2}Credentials: +made for this transfer, on server alpha and server beta$/m);
});

void t.test('after the cutover: the old address, the soak, the way back', async (t) => {
  const moved: TransferStatus = {
    phase: 'Verifying',
    forward: { state: 'Active', to: '10.0.0.2', ports: ['8080'], until: '2026-03-01T12:05:00Z' },
  };
  t.match(described(moved), /^ {2}Old Address: +passes on 8080 to 10\.0\.0\.2 until 2026-03-01T12:05:00Z$/m);
  t.match(
    described({ forward: { state: 'Unavailable', reason: 'no TCP port is published' } }),
    /passes on nothing; no TCP port is published$/m,
  );
  t.match(described({ forward: { state: 'Ended' } }), /no longer passes anything on$/m);

  const startTime = '2026-03-01T12:00:00Z';
  t.match(described({ soak: { startTime, probes: 5, failures: 0 } }), /^ {2}Soak: +5 probe\(s\), none failed lately$/m);
  const over = { completionTime: '2026-03-01T12:01:00Z' };
  t.notMatch(described({ ...over, soak: { startTime, probes: 5, failures: 0 } }), /Soak/);
  t.match(
    described({ ...over, soak: { startTime, probes: 9, failures: 3, message: 'refused' } }),
    /9 probe\(s\), the last 3 failed: refused$/m,
  );

  const rolledBack = described({
    phase: 'RolledBack',
    canRollback: false,
    conditions: [
      {
        type: 'CanRollback',
        status: 'False',
        reason: 'AlreadyRolledBack',
        message: 'it was brought back',
        lastTransitionTime: startTime,
      },
    ],
    rollback: { data: 'Sync', cause: 'SoakFailure', startTime, outcome: 'RolledBack', downtimeSeconds: 1.25 },
  });
  t.match(rolledBack, /^ {2}Can Roll Back: +no \(AlreadyRolledBack: it was brought back\)$/m);
  t.match(rolledBack, /^ {2}Rollback: +RolledBack, data Sync, because the soak failed, downtime 1\.3 s$/m);
});
