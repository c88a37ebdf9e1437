/** Writes to an audited home until it is killed, and prints a line for each write that was answered. */
import { join } from 'node:path';
import { pino } from 'pino';
import { servedTypes, Services } from '../../src/api/resources.ts';
import { startAuditLog } from '../../src/audit/audit-log.ts';
import { openLocalHome } from '../../src/home/local-client.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { admitAll, serviceNamed } from './local-home.ts';

const [stateDir = '', round = ''] = process.argv.slice(2);
const auditLog = { redact: <T>(event: T): T => event };
const home = openLocalHome({ stateDir, types: servedTypes, admission: admitAll, auditLog });
const path = join(stateDir, 'audit.log');
await startAuditLog({ source: home.audit, path, clock: systemClock, log: pino({ level: 'silent' }), maxBytes: 20_000 });
for (let n = 0; ; n++) {
  await home.create(Services, serviceNamed(`s${round}-${n}`));
  process.stdout.write(`${n}\n`);
}
