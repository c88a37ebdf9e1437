/**
 * Opens the home in a directory, and is killed at one statement of the take-over of plain Secrets, or right after it.
 * Arguments: the state directory; how the statement begins, with `after` before it.
 */
import { DatabaseSync, StatementSync } from 'node:sqlite';
import { servedTypes } from '../../src/api/resources.ts';
import { openLocalHome } from '../../src/home/local-client.ts';
import { admitAll } from './local-home.ts';

const [stateDir = '', stopAt = ''] = process.argv.slice(2);
const after = stopAt.startsWith('after ');
const wanted = stopAt.replace('after ', '');
/** What comes before is the schema's own migration. */
let armed = false;

function dieAt(sql: string, run: () => unknown): unknown {
  if (sql.includes('typeof(r.body)')) armed = true;
  const hit = armed && sql.includes(wanted);
  if (hit && !after) process.kill(process.pid, 'SIGKILL');
  const result = run();
  if (hit) process.kill(process.pid, 'SIGKILL');
  return result;
}

const { exec, prepare } = DatabaseSync.prototype;
const { run } = StatementSync.prototype;
const sqlOf = new WeakMap<StatementSync, string>();
DatabaseSync.prototype.exec = function (sql) {
  dieAt(sql, () => exec.call(this, sql));
};
DatabaseSync.prototype.prepare = function (sql) {
  const isRead = !sql.startsWith('UPDATE');
  const statement = isRead ? (dieAt(sql, () => prepare.call(this, sql)) as StatementSync) : prepare.call(this, sql);
  sqlOf.set(statement, sql);
  return statement;
};
Reflect.set(StatementSync.prototype, 'run', function (this: StatementSync, ...parameters: Parameters<typeof run>) {
  const sql = sqlOf.get(this) ?? '';
  return sql.startsWith('UPDATE') ? dieAt(sql, () => run.apply(this, parameters)) : run.apply(this, parameters);
});
openLocalHome({ stateDir, types: servedTypes, admission: admitAll });
