import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { servedTypes } from '../../src/api/resources.ts';
import { loadDirectory } from '../../src/home/manifest-loader.ts';
import { formatProblem } from '../../src/home/manifest-problem.ts';
import { createSchemaAdmission } from '../../src/home/schema-admission.ts';
import { ambiguityOf } from '../../src/home/yaml-ambiguity.ts';
import { temporaryDirectory } from '../support/local-home.ts';

const admission = createSchemaAdmission();

async function load(t: Test, files: Record<string, string | Buffer>): Promise<{ names: string[]; problems: string[] }> {
  const directory = temporaryDirectory(t);
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(join(directory, file, '..'), { recursive: true });
    writeFileSync(join(directory, file), content);
  }
  const { objects, problems } = await loadDirectory(directory, { admission, types: servedTypes });
  return { names: objects.map(({ key }) => `${key.namespace}/${key.name}`), problems: problems.map(formatProblem) };
}

const head = 'apiVersion: gridferry.io/v1alpha1\nkind: Service\nmetadata:\n  name: a\n';
const good = `${head}spec:\n  container: web\n  serverRef: { name: s1 }\n`;

void t.test('a typo in a field is reported at its key, with the name that was meant', async (t) => {
  const { problems } = await load(t, { 'a.yaml': good.replace('container:', 'contaner:') });
  t.match(
    problems[0],
    /^a\.yaml:5:1: spec\.container: Required value|^a\.yaml:6:3: unknown field "spec\.contaner" \(did you mean "container"\?\)/,
  );
  t.ok(
    problems.some((text) => text.startsWith('a.yaml:6:3: unknown field "spec.contaner" (did you mean "container"?)')),
  );
});

void t.test('a wrong value is reported at the value, in lists and in later documents too', async (t) => {
  const second = `${head.replace('name: a', 'name: b')}spec:
  container: web
  serverRef: { name: s1 }
  addons:
    - name: db
      container: "not ok!"
    - name: cache
      container: 5
`;
  const { problems } = await load(t, { 'a.yaml': `${good}---\n${second}` });
  t.equal(problems.length, 2);
  t.match(problems[0], /^a\.yaml:18:18: spec\.addons\[0\]\.container: Invalid value/);
  t.match(problems[1], /^a\.yaml:20:18: spec\.addons\[1\]\.container: Invalid value: 5: must be of type string/);
});

void t.test('places are right in JSON, in lists, and through aliases', async (t) => {
  const json = `{\n  "apiVersion": "v1", "kind": "List", "items": [\n    {"apiVersion": "gridferry.io/v1alpha1", "kind": "Service",\n     "metadata": {"name": "a"},\n     "spec": {"container": 7, "serverRef": {"name": "s1"}}}\n  ]\n}`;
  const alias = `${head.replace('name: a', 'name: b')}spec:\n  container: &c 7\n  publicName: *c\n  serverRef: { name: s1 }\n`;
  const { problems } = await load(t, { 'a.json': json, 'b.yaml': alias });
  t.match(problems[0], /^a\.json:5:28: spec\.container/);
  t.match(problems[1], /^b\.yaml:6:17: spec\.container/);
  t.match(problems[2], /^b\.yaml:7:15: spec\.publicName/);
});

void t.test('merge keys and anchors work', async (t) => {
  const text = `${head.replace('metadata:\n  name: a', 'metadata: { name: a, labels: &l { x: "1" }, annotations: { <<: *l, z: "2" } }')}spec: { container: web, serverRef: { name: s1 } }\n`;
  t.same(await load(t, { 'a.yaml': text }), { names: ['default/a'], problems: [] });
});

void t.test('what is missing or unknown about an object is said, and what to write', async (t) => {
  const { problems } = await load(t, {
    'a.yaml': 'kind: Service\nmetadata: {name: a}\n',
    'b.yaml': 'apiVersion: v1\nmetadata: {name: a}\n',
    'c.yaml': `${head.replace('name: a', 'generateName: a-')}spec: {}\n`,
    'd.yaml': good.replace('kind: Service', 'kind: Sevice'),
    'e.yaml': good.replace('v1alpha1', 'v1beta1'),
    'f.yaml': 'just text\n',
    'g.yaml': good.replace('gridferry.io/v1alpha1', 'v1'),
    'h.yaml': 'apiVersion: v1\nkind: Event\nmetadata: {name: a}\n',
  });
  t.match(problems, [
    /^a\.yaml:1:1: apiVersion is missing .*GF_MANIFEST_INCOMPLETE/,
    /^b\.yaml:1:1: kind is missing/,
    /^c\.yaml:3:1: metadata\.name is missing \(generateName cannot be used in a file/,
    /^d\.yaml:2:7: there is no kind "Sevice" \(did you mean Service\?\) \[GF_MANIFEST_UNKNOWN_KIND\]/,
    /^e\.yaml:1:13: Service is not served as apiVersion "gridferry\.io\/v1beta1" \(write apiVersion: gridferry\.io\/v1alpha1\) \[GF_MANIFEST_VERSION\]/,
    /^f\.yaml:1:1: the document is not an object/,
    /^g\.yaml:1:13: Service is not served as apiVersion "v1"/,
    /^h\.yaml:2:7: there is no kind "Event"/,
  ]);
});

void t.test('status and server metadata are ignored with a warning', async (t) => {
  const { names, problems } = await load(t, {
    'a.yaml': `${good.replace('name: a', 'name: a\n  uid: x')}status:\n  server: s1\n`,
  });
  t.same(names, ['default/a']);
  t.match(problems, [
    /^a\.yaml:5:3: warning: metadata\.uid is set by the server/,
    /^a\.yaml:9:1: warning: status is set by the server/,
  ]);
});

void t.test('YAML errors have their place: duplicate keys, tabs, brackets, unknown tags', async (t) => {
  const { problems } = await load(t, {
    'dup.yaml': good.replace('container: web', 'container: web\n  container: two'),
    'open.yaml': `${head}spec: [`,
    'tab.yaml': `${head}spec:\n\tcontainer: web\n`,
    'tag.yaml': good.replace('web', '!shout web'),
  });
  t.match(problems, [
    /^dup\.yaml:7:3: .*\[GF_MANIFEST_DUPLICATE_KEY\]/,
    /^open\.yaml:5:\d+: .*\[GF_MANIFEST_YAML\]/,
    /^tab\.yaml:6:1: .*\[GF_MANIFEST_YAML\]/,
  ]);
  t.ok(problems.some((text) => /^tag\.yaml:6:14: .*\[GF_MANIFEST_YAML\]/.test(text)));
});

void t.test('hostile files are problems, never crashes', async (t) => {
  let bomb = 'a0: &a0 [x,x,x,x,x,x,x,x,x]\n';
  for (let i = 1; i < 12; i++)
    bomb += `a${String(i)}: &a${String(i)} [${Array(9)
      .fill(`*a${String(i - 1)}`)
      .join(',')}]\n`;
  const { names, problems } = await load(t, {
    'alias.yaml': bomb,
    'big.yaml': Buffer.alloc(5 * 1024 * 1024, '#'),
    'cycle.yaml': '&a {self: *a}\n',
    'deep.yaml': `a: ${'['.repeat(100_000)}`,
    'latin.yaml': Buffer.from([0x61, 0x3a, 0x20, 0xe9, 0x0a]),
    'proto.json': '{"__proto__": {"kind": "Service"}, "apiVersion": "gridferry.io/v1alpha1"}',
    'zero.yaml': Buffer.alloc(64),
  });
  t.same(names, []);
  const codes = (file: string): string => problems.find((text) => text.startsWith(file)) ?? '';
  t.match(codes('alias.yaml'), /GF_MANIFEST_ALIASES/);
  t.match(codes('big.yaml'), /GF_MANIFEST_TOO_LARGE/);
  t.match(codes('cycle.yaml'), /GF_MANIFEST_/);
  t.match(codes('deep.yaml'), /GF_MANIFEST_YAML/);
  t.match(codes('latin.yaml'), /GF_MANIFEST_NOT_UTF8/);
  t.match(codes('proto.json'), /GF_MANIFEST_INCOMPLETE/);
  t.match(codes('zero.yaml'), /GF_MANIFEST_/);
});

void t.test('scalars that kubectl and YAML 1.2 read differently are refused with both readings', async (t) => {
  const { problems } = await load(t, {
    'a.yaml': `${head.replace('name: a', 'name: a\n  labels:\n    on: yes')}spec: { container: 0777, serverRef: { name: "no" } }\n`,
  });
  t.match(problems, [
    /^a\.yaml:6:5: on has two readings: kubectl takes it for the boolean true, YAML 1\.2 for the text "on" \(quote it \("on"\)/,
    /^a\.yaml:6:9: yes has two readings/,
    /^a\.yaml:7:20: 0777 has two readings: kubectl takes it for the octal number 511, YAML 1\.2 for the number 777/,
  ]);
});

void t.test('the list of ambiguous scalars', (t) => {
  const ambiguous = [
    'yes',
    'No',
    'ON',
    'off',
    'y',
    'N',
    '0777',
    '-012',
    '08',
    '1_000',
    '1_0.5',
    '12:30:45',
    '0o17',
    '0b11',
    '-0x1F',
    '0X1f',
  ];
  for (const source of [...ambiguous, '.inf', '-.INF', '.NaN', '12345678901234567890'])
    t.ok(ambiguityOf(source), source);
  const plain = [
    'true',
    'False',
    'null',
    '~',
    '0',
    '10',
    '-5',
    '+3',
    '1.5',
    '.5',
    '1e3',
    '0x1F',
    'yesterday',
    '1.2.3',
    '10.0.0.1',
  ];
  const texts = [
    '8080:80',
    '2026-01-01',
    '2026-01-01T10:00:00Z',
    '12ab',
    '-',
    '--',
    '_1',
    'a_b',
    '1.5.',
    '0.0.0.0',
    '5432',
    '-web',
    '.',
  ];
  for (const source of [...plain, ...texts]) t.notOk(ambiguityOf(source), source);
  t.end();
});

void t.test('the same object twice in one file is reported', async (t) => {
  const { problems } = await load(t, { 'a.yaml': `${good}---\n${good}` });
  t.match(problems, [/^a\.yaml:1:1: Service default\/a is also defined in a\.yaml:9/, /^a\.yaml:9:1: .*a\.yaml:1;/]);
});

void t.test('a directory that is not there is a problem', async (t) => {
  const { problems } = await loadDirectory(join(temporaryDirectory(t), 'none'), { admission, types: servedTypes });
  t.match(problems, [{ code: 'GF_MANIFEST_DIRECTORY_UNREADABLE', file: '.', line: 1, column: 1 }]);
});
