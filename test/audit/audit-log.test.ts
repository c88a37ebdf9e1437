import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { pino } from 'pino';
import t from 'tap';
import type { Test } from 'tap';
import { startAuditLog } from '../../src/audit/audit-log.ts';
import { chainLine } from '../../src/audit/chain.ts';
import { logParts } from '../../src/audit/log-parts.ts';
import { openStandaloneLog, readHeadFile } from '../../src/audit/standalone-log.ts';
import { verifyLog } from '../../src/audit/verify.ts';
import type { AuditVerdict } from '../../src/audit/verify.ts';
import { servedTypes, Services } from '../../src/api/resources.ts';
import { readAnchor } from '../../src/home/audit-journal.ts';
import type { SealedAnchor } from '../../src/home/audit-journal.ts';
import { defaultKeySource, homeKeys } from '../../src/home/home-keys.ts';
import { openLocalHome } from '../../src/home/local-client.ts';
import type { LocalHome } from '../../src/home/local-client.ts';
import { openStoreFile } from '../../src/home/store-file.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { admitAll, serviceNamed, temporaryDirectory } from '../support/local-home.ts';
import { seededRandom } from '../support/seeded-random.ts';

const log = pino({ level: 'silent' });
const program = join(import.meta.dirname, '..', '..', 'bin', 'gridferry.js');

function open(stateDir: string): LocalHome {
  return openLocalHome({ stateDir, types: servedTypes, admission: admitAll, auditLog: { redact: (event) => event } });
}

/** A home that was written to and closed in good order; `file` is its log. */
async function written(t: Test, writes: number, maxBytes?: number): Promise<{ stateDir: string; file: string }> {
  const stateDir = temporaryDirectory(t);
  const file = join(stateDir, 'audit.log');
  const home = open(stateDir);
  const audit = await startAuditLog({
    source: home.audit,
    path: file,
    clock: systemClock,
    log,
    ...(maxBytes && { maxBytes }),
  });
  for (let n = 0; n < writes; n++) {
    await home.create(Services, serviceNamed(`s${n}`));
    if (maxBytes !== undefined) await delay(2);
  }
  await audit.stop();
  home.close();
  return { stateDir, file };
}

function anchorOf(stateDir: string): SealedAnchor {
  const database = openStoreFile(stateDir, true);
  try {
    return readAnchor(database, homeKeys(defaultKeySource(stateDir)));
  } finally {
    database.close();
  }
}

const verify = (stateDir: string): Promise<AuditVerdict> => verifyLog(join(stateDir, 'audit.log'), anchorOf(stateDir));

t.setTimeout(180_000);

void t.test('every edit of a byte, cut, swap, repetition or insertion is found, wherever it is', async (t) => {
  const { stateDir, file } = await written(t, 24);
  const anchor = anchorOf(stateDir);
  const good = readFileSync(file);
  const verdict = await verifyLog(file, anchor);
  t.same([verdict.bad, verdict.lines, anchor.seal], [undefined, 26, 'Good']);
  const lines = good.toString('utf8').trimEnd().split('\n');
  const copy = join(temporaryDirectory(t), 'audit.log');
  const random = seededRandom(20_26);
  const below = (limit: number): number => Math.floor(random() * limit);
  const missed: string[] = [];
  const seen = new Map<string, number>();

  async function mustFind(what: string, bytes: Buffer): Promise<void> {
    if (bytes.equals(good)) return;
    seen.set(what.split(' ')[0] ?? '', (seen.get(what.split(' ')[0] ?? '') ?? 0) + 1);
    writeFileSync(copy, bytes);
    const { bad } = await verifyLog(copy, anchor);
    if (bad === undefined || bad.why === '' || bad.line < 1 || bad.line > lines.length + 1) missed.push(what);
  }
  const joined = (kept: readonly string[]): Buffer => Buffer.from(kept.map((line) => `${line}\n`).join(''));

  for (let n = 0; n < 2_000; n++) {
    const at = below(good.length);
    const edited = Buffer.from(good);
    edited[at] = below(256);
    await mustFind(`edit ${at} to ${String(edited[at])}`, edited);
  }
  for (let n = 0; n < 300; n++) {
    const at = below(good.length);
    await mustFind(`drop ${at}`, Buffer.concat([good.subarray(0, at), good.subarray(at + 1)]));
    await mustFind(`add ${at}`, Buffer.concat([good.subarray(0, at), Buffer.from([below(256)]), good.subarray(at)]));
    await mustFind(`truncate ${at}`, good.subarray(0, at));
  }
  for (let from = 0; from < lines.length; from++) {
    for (let to = from + 1; to <= lines.length; to++) {
      await mustFind(`remove ${from}-${to}`, joined([...lines.slice(0, from), ...lines.slice(to)]));
      const swapped = [...lines];
      [swapped[from], swapped[to]] = [lines[to] ?? '', lines[from] ?? ''];
      if (to < lines.length) await mustFind(`swap ${from} ${to}`, joined(swapped));
    }
    for (const at of [0, from, from + 1, lines.length]) {
      await mustFind(`repeat ${from} at ${at}`, joined([...lines.slice(0, at), lines[from] ?? '', ...lines.slice(at)]));
    }
  }
  t.same(missed, []);
  t.ok([...seen.values()].reduce((sum, count) => sum + count) > 3_000, JSON.stringify([...seen]));
});

void t.test('who makes the chain anew is found by what the store knows, and by its seal', async (t) => {
  const { stateDir, file } = await written(t, 5);
  let last: ReturnType<typeof chainLine> | undefined;
  const forged: string[] = [];
  for (let n = 0; n < 7; n++) forged.push((last = chainLine(last, 1_000, { event: 'Forged' })).text);
  writeFileSync(file, `${forged.join('\n')}\n`);
  t.equal((await verifyLog(file, undefined)).bad, undefined, 'the chain alone cannot tell');
  t.match((await verify(stateDir)).bad, { line: 7, why: /not the one that the store remembers/ });
  const database = openStoreFile(stateDir, false);
  database.prepare('UPDATE audit SET line = ?').run(last?.text ?? '');
  database.close();
  t.equal((await verify(stateDir)).bad, undefined);
  t.equal(anchorOf(stateDir).seal, 'Bad', 'who has no key cannot seal');
  rmSync(join(stateDir, 'encryption.key'));
  t.equal(anchorOf(stateDir).seal, 'NoKey');
});

void t.test('lines that were made but not yet written are no cut, and are written at the next start', async (t) => {
  const stateDir = temporaryDirectory(t);
  const file = join(stateDir, 'audit.log');
  const home = open(stateDir);
  await home.create(Services, serviceNamed('a'));
  await home.create(Services, serviceNamed('b'));
  home.close();
  t.match(await verify(stateDir), {
    bad: undefined,
    lines: 0,
    notes: [/4 of the newest lines are still in the store/],
  });
  const again = open(stateDir);
  const audit = await startAuditLog({ source: again.audit, path: file, clock: systemClock, log });
  t.match(await verify(stateDir), { bad: undefined, lines: 4, notes: [] }, 'written, and not yet noted as such');
  // The power goes before it is noted, and takes a part of the last line along.
  copyFileSync(file, `${file}.whole`);
  truncateSync(file, statSync(file).size - 10);
  t.match(await verify(stateDir), {
    bad: undefined,
    lines: 3,
    notes: [/was being written when the power went/, /1 of the newest/],
  });
  const third = open(stateDir);
  const repaired = await startAuditLog({ source: third.audit, path: file, clock: systemClock, log });
  await repaired.stop();
  t.match(await verify(stateDir), { bad: undefined, lines: 5, notes: [] });
  t.ok(readFileSync(file, 'utf8').startsWith(readFileSync(`${file}.whole`, 'utf8')), 'the lost line is back as it was');
  t.match(readFileSync(file, 'utf8'), /"event":"LogRepaired","bytes":\d+/);
  await audit.stop();
  again.close();
  third.close();
});

void t.test('a full log goes on in a new file, with the chain', async (t) => {
  const { stateDir, file } = await written(t, 60, 4_000);
  const parts = logParts(file);
  t.ok(parts.length >= 4, parts.join());
  const verdict = await verify(stateDir);
  t.match(verdict, { bad: undefined, notes: [] });
  t.ok(verdict.lines >= 62);
  const [first = '', second = ''] = parts;
  const kept = readFileSync(second);
  rmSync(second);
  t.match((await verify(stateDir)).bad, { line: 1, why: /lines between them were removed/ });
  writeFileSync(second, kept);
  rmSync(first);
  t.match(await verify(stateDir), { bad: undefined, notes: [/the parts before it are not here/] });
});

void t.test(
  'a process killed while it writes leaves a log that verifies, and a line for each write that was answered',
  async (t) => {
    const stateDir = temporaryDirectory(t);
    let answered = 0;
    for (let round = 0; round < 8; round++) {
      const child = spawn(
        process.execPath,
        [join(import.meta.dirname, '..', 'support', 'audited-writer.ts'), stateDir, String(round)],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      );
      const lines = createInterface({ input: child.stdout });
      lines.on('line', () => (answered += 1));
      await once(lines, 'line');
      await delay(10 + round * 23);
      child.kill('SIGKILL');
      await once(child, 'exit');
      const { bad, last = 0 } = await verify(stateDir);
      t.equal(bad, undefined, `round ${round}`);
      const anchor = anchorOf(stateDir);
      t.ok(
        (anchor.head ?? 0) >= answered && (anchor.head ?? 0) >= last,
        `${String(anchor.head)} lines, ${answered} answered`,
      );
    }
  },
);

void t.test('"audit verify" names the first bad line, and its exit code says it', async (t) => {
  const { stateDir, file } = await written(t, 5);
  const run = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
    promisify(execFile)(process.execPath, [program, 'audit', ...args]).then(
      (output) => ({ code: 0, ...output }),
      (error: unknown) => error as { code: number; stdout: string; stderr: string },
    );
  t.match(await run('verify', '--state', stateDir), {
    code: 0,
    stdout: `${file}: 7 lines, 1 to 7, as they were written\n`,
    stderr: '',
  });
  t.match(await run('verify', file), { code: 0 });
  t.match((await run('show', file)).stdout, /Z Created Service default\/s0 by=gridferry\n/);
  const lines = readFileSync(file, 'utf8').split('\n');
  writeFileSync(file, lines.toSpliced(2, 1).join('\n'));
  t.match(await run('verify', file), {
    code: 1,
    stdout: `${file}:3: line 4 comes after line 2: lines between them were removed\n`,
  });
  writeFileSync(file, lines.join('\n').replace('"s2"', '"s9"'));
  t.match(await run('verify', file), {
    code: 1,
    stdout: /audit\.log:5: its content does not fit its hash: it was edited\n$/,
  });
  rmSync(file);
  t.match(await run('verify', '--state', stateDir), {
    code: 1,
    stdout: /:1: the log ends with line 0, but line 7 was written: 7 cut/,
  });
  t.match(await run('verify', join(temporaryDirectory(t), 'none')), { code: 2, stderr: /GF_AUDIT_NOT_FOUND/ });
});

void t.test('without a store, a file beside the log keeps its end', async (t) => {
  const path = join(temporaryDirectory(t), 'audit.log');
  const events = Array.from({ length: 10 }, (_, n) => ({ event: 'Tested', n }));
  const first = openStandaloneLog(path, systemClock);
  for (const event of events) first.append([event]);
  first.close();
  const again = openStandaloneLog(path, systemClock, 3_000);
  for (const event of events) again.append([event, event]);
  again.close();
  t.equal(logParts(path).length, 3);
  t.match(await verifyLog(path, readHeadFile(path)), { bad: undefined, lines: 32, notes: [] });
  // Ahead of its head by lines of the chain: the process ended between the two.
  const head = readFileSync(`${path}.head`, 'utf8');
  const ahead = openStandaloneLog(path, systemClock);
  ahead.append(events);
  ahead.close();
  writeFileSync(`${path}.head`, head);
  t.match(await verifyLog(path, readHeadFile(path)), { bad: undefined, lines: 42 });
  const text = readFileSync(path, 'utf8').trimEnd().split('\n');
  writeFileSync(path, `${text.slice(0, -11).join('\n')}\n`);
  t.match((await verifyLog(path, readHeadFile(path))).bad, { why: /1 cut from its end/ });
  appendFileSync(path, `${text.at(-1) ?? ''}\n`);
  t.match((await verifyLog(path, readHeadFile(path))).bad, { why: /lines between them were removed/ });
  t.ok(existsSync(path));
});
