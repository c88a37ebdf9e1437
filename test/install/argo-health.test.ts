import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { API_VERSION } from '../../src/api/meta.ts';
import type { KubeObject } from '../../src/api/meta.ts';
import { servedTypes } from '../../src/api/resources.ts';
import { setReadiness } from '../../src/runtime/readiness.ts';
import type { Standing } from '../../src/runtime/readiness.ts';
import { kstatusOf } from '../support/kstatus.ts';

const folder = join(import.meta.dirname, '../../deploy/argocd');
const script = readFileSync(join(folder, 'health.lua'), 'utf8');
const lua = ['lua5.4', 'lua5.3', 'lua5.1', 'lua'].find((program) => spawnSync(program, ['-v']).error === undefined);

/** A value as a Lua expression. */
function luaOf(value: unknown): string {
  if (Array.isArray(value)) return `{${value.map(luaOf).join(', ')}}`;
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value).filter(([, child]) => child !== undefined);
    return `{${fields.map(([key, child]) => `[${JSON.stringify(key)}] = ${luaOf(child)}`).join(', ')}}`;
  }
  return JSON.stringify(value);
}

/** What Argo CD would show: it runs the script as the body of a chunk that has `obj`. */
function health(object: KubeObject): { status: string; message: string } {
  const program = `obj = ${luaOf(object)}
local answer = (function()
${script}
end)()
io.write(answer.status, "\\n", answer.message or "")`;
  const { status, stdout, stderr } = spawnSync(lua ?? '', ['-'], { input: program, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  const [shown = '', ...message] = stdout.split('\n');
  return { status: shown, message: message.join('\n') };
}

const object = (state: Standing['state'], change: Partial<KubeObject['metadata']> = {}): KubeObject => ({
  apiVersion: API_VERSION,
  kind: 'Transfer',
  metadata: { name: 'move', generation: 2, ...change },
  status: {
    observedGeneration: 2,
    conditions: setReadiness([], { state, reason: state, message: `it is "${state}"` }, 2, 0),
  },
});

void t.test('Argo CD is told the same as kstatus says', { skip: lua === undefined && 'there is no Lua' }, async (t) => {
  const cases: readonly (readonly [KubeObject, string, ReturnType<typeof kstatusOf>])[] = [
    [object('Ready'), 'Healthy', 'Current'],
    [object('Reconciling'), 'Progressing', 'InProgress'],
    [object('Stalled'), 'Degraded', 'Failed'],
    [object('Suspended'), 'Suspended', 'InProgress'],
    [object('Ready', { generation: 3 }), 'Progressing', 'InProgress'],
    [object('Stalled', { generation: 3 }), 'Progressing', 'InProgress'],
    [object('Ready', { deletionTimestamp: '2026-01-01T00:00:00Z' }), 'Progressing', 'Terminating'],
    [{ ...object('Ready'), status: { observedGeneration: -1 } }, 'Progressing', 'InProgress'],
  ];
  for (const [seen, shown, wanted] of cases) {
    t.equal(health(seen).status, shown, JSON.stringify(seen.status));
    t.equal(kstatusOf(seen), wanted);
  }
  t.equal(health(object('Stalled')).message, 'it is "Stalled"');
});

void t.test('every kind of the cluster has its key in the ConfigMap', async (t) => {
  const { data } = parse(readFileSync(join(folder, 'argocd-cm.yaml'), 'utf8')) as { data: Record<string, string> };
  for (const { kind } of servedTypes.filter(({ categories }) => categories.includes('gridferry'))) {
    t.equal(data[`resource.customizations.health.gridferry.io_${kind}`], script, kind);
  }
});
