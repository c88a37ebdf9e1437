import { PassThrough } from 'node:stream';
import t from 'tap';
import { createLogger } from '../../src/log.ts';
import { createRedactor } from '../../src/security/redact.ts';
import type { Redactor } from '../../src/security/redact.ts';
import { isSecretName } from '../../src/security/secret-patterns.ts';
import { generateKey } from '../support/ssh-peer.ts';

const SECRETS = [
  'correct-horse',
  'p@ss "word"\\1/+&',
  'über€geheim',
  'aaaa',
  'line one\nline two',
  'ab$&c',
  'x\ny\nzz',
];

function knowing(...secrets: readonly string[]): Redactor {
  const redactor = createRedactor();
  for (const secret of secrets) redactor.add(secret);
  return redactor;
}

await t.test('a known secret is found in every form', (t) => {
  for (const secret of SECRETS) {
    const redactor = knowing(secret);
    const bytes = Buffer.from(secret);
    const forms = [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret), bytes.toString('base64')];
    for (const form of forms) {
      t.notOk(redactor.redact(`before ${form} after`).includes(form), form);
      t.match(redactor.redact(`before ${form} after`), /before .* after/s);
    }
  }
  t.end();
});

await t.test('a known secret is found inside the base64 of something longer', (t) => {
  const redactor = knowing('correct-horse-battery');
  for (const before of ['', 'u', 'us', 'usr', 'user']) {
    const text = Buffer.from(`${before}:correct-horse-battery:rest`).toString('base64');
    const left = Buffer.from(redactor.redact(text).replace('[redacted]', ''), 'base64').toString('latin1');
    t.notMatch(left, /orrect-horse-batter/);
  }
  t.end();
});

await t.test('each line of a private key is a secret', (t) => {
  const key = generateKey().private;
  const redactor = knowing(key);
  for (const line of key.trim().split('\n').slice(1, -1)) t.notOk(redactor.redact(`at ${line}.`).includes(line));
  t.match(redactor.redact('-----BEGIN CERTIFICATE-----'), /BEGIN CERTIFICATE/);
  t.end();
});

await t.test('overlapping secrets leave nothing of either', (t) => {
  const redactor = knowing('xxab', 'abSUPERSECRET');
  t.equal(redactor.redact('=xxabSUPERSECRET='), '=[redacted]=');
  t.end();
});

await t.test('what is too short to be a secret is left alone', (t) => {
  t.equal(knowing('abc').redact('abcdef'), 'abcdef');
  t.end();
});

await t.test('what looks like a secret is redacted without being known', (t) => {
  const { redact } = createRedactor();
  const cases: readonly [string, string][] = [
    ['password=hunter2 next', 'password=[redacted] next'],
    ['DB_PASSWORD: "a b\\"c" next', 'DB_PASSWORD: "[redacted]" next'],
    ["token='abc' next", "token='[redacted]' next"],
    ['?api_key=abc&x=1', '?api_key=[redacted]&x=1'],
    ['{"accessToken":"abc","n":1}', '{"accessToken":"[redacted]","n":1}'],
    ['{\\"password\\":\\"abc\\",\\"n\\":1}', '{\\"password\\":\\"[redacted]\\",\\"n\\":1}'],
    ['Authorization: Bearer abc.def', 'Authorization: Bearer [redacted]'],
    ['authorization: Basic dXNlcg==\nHost: x', 'authorization: Basic [redacted]\nHost: x'],
    ['got Bearer abcdefghijkl ok', 'got Bearer [redacted] ok'],
    ['https://me:s3cret@host/x', 'https://[redacted]@host/x'],
    ['postgres://u:p@ss@db:5432/x', 'postgres://[redacted]@db:5432/x'],
    ['https://abcdef@github.com/x', 'https://[redacted]@github.com/x'],
    [`ghp_${'a'.repeat(36)}!`, '[redacted]!'],
    ['AKIAIOSFODNN7EXAMPLE', '[redacted]'],
    [`cf ${'aBx3'.repeat(10)} end`, 'cf [redacted] end'],
    ['a -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- b', 'a [redacted] b'],
    ['a -----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl', 'a [redacted]'],
  ];
  for (const [text, expected] of cases) t.equal(redact(text), expected);
  t.end();
});

await t.test('what is no secret stays', (t) => {
  const { redact } = createRedactor();
  for (const text of [
    'secretName: web-tls and credentialsRef: ssh',
    'commit 0123456789abcdef0123456789abcdef01234567',
    'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    'SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU',
    'ssh://git@github.com/x and https://host:8080/x',
    'retryToken: 3',
  ]) {
    t.equal(redact(text), text);
  }
  t.ok(['password', 'DB_PASSWORD', 'apiToken', 'Authorization', 'privateKey'].every(isSecretName));
  t.notOk(['secretName', 'retryToken', 'tokens', 'publicKey', 'key'].some(isSecretName));
  t.end();
});

await t.test('the log shows no secret, wherever it was put', (t) => {
  const lines = new PassThrough();
  const secret = 'correct-"horse"';
  const log = createLogger({ level: 'debug', redactor: knowing(secret), destination: lines });
  const error = Object.assign(new Error(`login with ${secret} failed`), { code: 'GF_X', password: 'hidden1' });
  log.child({ binding: secret }).info({ deep: { list: [secret], apiToken: 'hidden2' }, err: error }, `said ${secret}`);
  log.warn(error);
  const text = String(lines.read());
  t.notMatch(text, /correct-|hidden1|hidden2/);
  const [first] = text.trim().split('\n');
  t.match(JSON.parse(first ?? ''), { level: 30, binding: '[redacted]', msg: 'said [redacted]', err: { code: 'GF_X' } });
  t.end();
});

await t.test('the log is for people on a terminal', (t) => {
  const lines = new PassThrough();
  const log = createLogger({ level: 'info', redactor: knowing('correct-horse'), destination: lines, pretty: true });
  log.info({ server: 'alpha' }, 'moved by correct-horse');
  const text = String(lines.read());
  t.match(text, /moved by \[redacted\]/);
  t.notMatch(text, /^\{/);
  t.end();
});
