import t from 'tap';
import { Secrets } from '../../src/api/core.ts';
import type { KubeObject } from '../../src/api/meta.ts';
import { ManagedServers, Transfers } from '../../src/api/resources.ts';
import { humanDuration, ageOf } from '../../src/home/age.ts';
import { tableOf } from '../../src/cli/columns.ts';
import { describeObject, titleOf } from '../../src/cli/describe-object.ts';
import { formatBytes } from '../../controllers/format-bytes.ts';
import { formatSeconds } from '../../src/cli/format.ts';
import { evaluateJsonPath } from '../../src/home/json-path.ts';
import { parseWanted, qualifiedName } from '../../src/cli/kinds.ts';
import { parseListen } from '../../src/cli/listen-address.ts';
import { createPrinter } from '../../src/cli/object-printer.ts';
import type { PrinterOptions } from '../../src/cli/object-printer.ts';
import { renderTable } from '../../src/cli/table.ts';
import { newLines } from '../../src/cli/transfer-log.ts';

const NOW = Date.parse('2026-03-01T12:00:00Z');

void t.test('an age reads as kubectl writes it', async (t) => {
  const second = 1000;
  const minute = 60 * second;
  const hour = 60 * minute;
  const day = 24 * hour;
  const expected: [number, string][] = [
    [0, '0s'],
    [119 * second, '119s'],
    [2 * minute, '2m'],
    [150 * second, '2m30s'],
    [10 * minute, '10m'],
    [179 * minute, '179m'],
    [3 * hour, '3h'],
    [3 * hour + 5 * minute, '3h5m'],
    [8 * hour, '8h'],
    [47 * hour, '47h'],
    [2 * day, '2d'],
    [2 * day + 3 * hour, '2d3h'],
    [8 * day, '8d'],
    [729 * day, '729d'],
    [730 * day, '2y'],
    [800 * day, '2y70d'],
    [3000 * day, '8y'],
    [-500, '0s'],
    [-5 * second, '<invalid>'],
  ];
  for (const [ms, text] of expected) t.equal(humanDuration(ms), text, `${ms} ms`);
  t.equal(ageOf(undefined, NOW), '<unknown>');
  t.equal(ageOf('not a time', NOW), '<unknown>');
});

void t.test('a printer column path leads through fields, positions and filters', async (t) => {
  const object = {
    spec: { ports: [{ port: 80 }, { port: 443 }], 'with.dot': 1 },
    status: {
      conditions: [
        { type: 'Ready', status: 'False', reason: 'Refused' },
        { type: 'Other', status: 'True' },
      ],
    },
  };
  t.same(evaluateJsonPath('.status.conditions[?(@.type=="Ready")].reason', object), ['Refused']);
  t.same(evaluateJsonPath(`.status.conditions[?(@.type=='Ready')].status`, object), ['False']);
  t.same(evaluateJsonPath('.status.conditions[?(@.type!="Ready")].type', object), ['Other']);
  t.same(evaluateJsonPath('.spec.ports[?(@.port==443)]', object), [{ port: 443 }]);
  t.same(evaluateJsonPath('.spec.ports[*].port', object), [80, 443]);
  t.same(evaluateJsonPath('.spec.ports[-1].port', object), [443]);
  t.same(evaluateJsonPath(`.spec['with.dot']`, object), [1]);
  t.same(evaluateJsonPath('.spec.with\\.dot', object), [1]);
  t.same(evaluateJsonPath('{.spec.ports[0].port}', object), [80]);
  t.same(evaluateJsonPath('.spec.nothing.here[0]', object), []);
  t.same(evaluateJsonPath('.spec.__proto__', object), [], 'only own fields are followed');
  t.throws(() => evaluateJsonPath('..port', object), { code: 'GF_CLI_JSONPATH' });
  t.throws(() => evaluateJsonPath('.a[', object), { code: 'GF_CLI_JSONPATH' });
});

void t.test('a table has kubectl padding, and nothing in it moves the cursor', async (t) => {
  t.same(renderTable({ header: ['NAME', 'A', 'AGE'], rows: [['a-long-name', '', '3s']] }), [
    'NAME          A     AGE',
    'a-long-name         3s',
  ]);
  t.same(renderTable({ header: ['NAME', 'MESSAGE'], rows: [['x', 'first\nsecond']] })[1], 'x      first...');
  t.same(renderTable({ header: ['NAME'], rows: [['a\u001b[2Jb\tc']] })[1], 'a�[2Jb c');
});

void t.test('the columns of a custom kind are those of its CRD', async (t) => {
  const server = {
    apiVersion: 'gridferry.io/v1alpha1',
    kind: 'ManagedServer',
    metadata: { name: 'alpha', namespace: 'default', creationTimestamp: '2026-03-01T11:57:30Z' },
    spec: { address: '10.0.0.1' },
    status: { phase: 'Offline', conditions: [{ type: 'Ready', status: 'False', reason: 'Refused' }] },
  } as KubeObject;
  t.same(tableOf(ManagedServers, [server], { now: NOW }), {
    header: ['NAME', 'ADDRESS', 'READY', 'PHASE', 'REASON', 'DOCKER', 'AGE'],
    rows: [['alpha', '10.0.0.1', 'False', 'Offline', 'Refused', '', '2m30s']],
  });
  const wide = tableOf(ManagedServers, [server], { now: NOW, wide: true, withNamespace: true });
  t.same(wide.header, [
    'NAMESPACE',
    'NAME',
    'ADDRESS',
    'READY',
    'PHASE',
    'REASON',
    'DOCKER',
    'OS',
    'FINGERPRINT',
    'AGE',
  ]);
});

void t.test('a Secret shows how much it holds, never what', async (t) => {
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'login', creationTimestamp: '2026-03-01T11:00:00Z' },
    type: 'Opaque',
    data: { password: Buffer.from('hunter22').toString('base64') },
  } as KubeObject;
  t.same(tableOf(Secrets, [secret], { now: NOW }).rows, [['login', 'Opaque', '1', '60m']]);
  const text = describeObject(secret, [], NOW).join('\n');
  t.match(text, /password: {2}8 bytes/);
  t.notMatch(text, /hunter22|aHVudGVy/);
});

void t.test('kinds go by plural, singular, kind, short name, full name and category, in any case', async (t) => {
  for (const word of [
    'transfers',
    'transfer',
    'Transfer',
    'XFER',
    'transfers.gridferry.io',
    'transfers.v1alpha1.gridferry.io',
  ]) {
    t.same(parseWanted([word]), [{ type: Transfers, names: [] }], word);
  }
  t.same(
    parseWanted(['ms,xfer,ms']).map(({ type }) => type.kind),
    ['ManagedServer', 'Transfer'],
  );
  t.same(parseWanted(['all']), parseWanted(['gridferry']));
  t.equal(parseWanted(['all']).length, 4);
  t.same(parseWanted(['ms', 'a', 'b']), [{ type: ManagedServers, names: ['a', 'b'] }]);
  t.same(parseWanted(['xfer/a', 'xfer/b', 'ms/c']), [
    { type: Transfers, names: ['a', 'b'] },
    { type: ManagedServers, names: ['c'] },
  ]);
  t.throws(() => parseWanted(['transfres']), { code: 'GF_CLI_UNKNOWN_KIND', message: /did you mean "transfers"\?/ });
  t.throws(() => parseWanted(['ms,xfer', 'a']), { code: 'GF_CLI_USAGE' });
  t.throws(() => parseWanted(['xfer/']), { code: 'GF_CLI_USAGE' });
  t.throws(() => parseWanted(['all/a']), { code: 'GF_CLI_USAGE' });
  t.equal(qualifiedName(Transfers, 'a'), 'transfer.gridferry.io/a');
  t.equal(qualifiedName(Secrets, 'a'), 'secret/a');
});

async function print(options: Partial<PrinterOptions>, objects: KubeObject[]): Promise<string[]> {
  const lines: string[] = [];
  const output = { isTTY: false, print: (text: string) => void lines.push(text), note: () => undefined };
  const printer = await createPrinter(output, {
    format: 'table',
    header: true,
    withNamespace: false,
    namePrefixes: false,
    asList: true,
    now: () => NOW,
    ...options,
  });
  printer.all([{ type: Secrets, objects }]);
  return lines;
}

void t.test('objects print as table, JSON, YAML and names', async (t) => {
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' }, data: { on: 'eWVz' } } as KubeObject;
  t.same(await print({}, [secret]), ['NAME   TYPE     DATA   AGE', 'a      Opaque   1      <unknown>']);
  t.same(await print({ header: false }, [secret]), ['a      Opaque   1      <unknown>']);
  t.same(await print({}, []), []);
  t.same(await print({ format: 'name' }, [secret]), ['secret/a']);
  t.same(JSON.parse((await print({ format: 'json', asList: false }, [secret]))[0]!), secret);
  t.match(JSON.parse((await print({ format: 'json' }, []))[0]!), { kind: 'List', items: [] });
  t.match(
    (await print({ format: 'yaml', asList: false }, [secret]))[0],
    /"on": eWVz/,
    'what YAML 1.1 takes for true is quoted',
  );
});

void t.test('a watch keeps its columns in line and prints its header once', async (t) => {
  const lines: string[] = [];
  const output = { isTTY: false, print: (text: string) => void lines.push(text), note: () => undefined };
  const options = { format: 'table', header: true, withNamespace: false, namePrefixes: false, asList: true } as const;
  const printer = await createPrinter(output, { ...options, now: () => NOW });
  const named = (name: string) => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name } }) as KubeObject;
  printer.all([{ type: Secrets, objects: [] }]);
  printer.one(Secrets, named('first'));
  printer.one(Secrets, named('much-longer-name'));
  t.same(lines, [
    'NAME    TYPE     DATA   AGE',
    'first   Opaque   0      <unknown>',
    'much-longer-name   Opaque   0      <unknown>',
  ]);
});

void t.test('figures are written for people', async (t) => {
  t.same([0, 1023, 1536, 200 * 1024 * 1024].map(formatBytes), ['0 B', '1023 B', '1.5 KiB', '200 MiB']);
  t.same([0.42, 5.25, 42.4, 200, 7300].map(formatSeconds), ['0.42 s', '5.3 s', '42 s', '3m20s', '2h1m']);
  t.same(['targetServerRef', 'apiBaseURL', 'DNSTarget', 'app.io/x'].map(titleOf), [
    'Target Server Ref',
    'Api Base URL',
    'DNS Target',
    'app.io/x',
  ]);
});

void t.test('following a log prints each line once, though old lines leave it', async (t) => {
  t.same(newLines(['a', 'b'], ['a', 'b', 'c']), ['c']);
  t.same(newLines(['a', 'b', 'c'], ['c', 'd']), ['d']);
  t.same(newLines(['a', 'a'], ['a', 'a', 'a']), ['a']);
  t.same(newLines(['a'], ['x', 'y']), ['x', 'y'], 'nothing in common: all of it is new');
  t.same(newLines([], ['a']), ['a']);
});

void t.test('an address to listen on may leave out the host, and is checked', async (t) => {
  t.same(parseListen(':9090'), { host: '127.0.0.1', port: 9090 });
  t.same(parseListen('0.0.0.0:0'), { host: '0.0.0.0', port: 0 });
  t.same(parseListen('[::1]:80'), { host: '::1', port: 80 });
  for (const bad of ['9090', 'a:b', 'x:70000', '::1:80'])
    t.throws(() => parseListen(bad), { code: 'GF_CLI_USAGE' }, bad);
});
