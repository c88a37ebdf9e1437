import t from 'tap';
import { base64Problem, jsonMapProblem, timeProblem } from '../../src/api/go-values.ts';
import { goQuote } from '../../src/api/violation.ts';

void t.test('base64 is refused at the byte where Go stops', async (t) => {
  for (const good of ['', 'YQ==', 'YWI=', 'YWJj', 'YWJj\nZGVm', 'Y\r\nQ=\n=\n'])
    t.equal(base64Problem(good), undefined, good);
  const bad = { '?': 0, 'not base64!': 3, YQ: 0, YWJjZ: 4, 'YQ=': 3, 'YQ=x': 2, 'YQ==x': 4, 'Y===': 1, '=': 0 };
  for (const [text, at] of Object.entries(bad)) {
    t.equal(base64Problem(text), `illegal base64 data at input byte ${String(at)}`, text);
  }
});

void t.test('a time is refused with the part that cannot be read', async (t) => {
  t.equal(timeProblem('2026-01-01T00:00:00Z', 'date-time'), undefined);
  t.equal(timeProblem('2026-01-01T00:00:00.5+02:00', 'date-time'), undefined);
  t.equal(timeProblem('2026-01-01T00:00:00.000001Z', 'micro-time'), undefined);
  t.match(timeProblem('2026-01-01', 'date-time'), /cannot parse "" as "T"$/);
  t.match(timeProblem('2026-01-01T25:00:00Z', 'date-time'), /: hour out of range$/);
  t.match(timeProblem('2026-01-01T00:00:00Zx', 'date-time'), /: extra text: "x"$/);
  t.match(timeProblem('2026-01-01T00:00:00Z', 'micro-time'), /cannot parse "Z" as "\.000000"$/);
});

void t.test('JSON is refused with one character of it at most', async (t) => {
  t.equal(jsonMapProblem('{"a":1}'), undefined);
  t.match(jsonMapProblem('hunter2'), /^invalid character 'h'/);
  t.notMatch(jsonMapProblem('{"password": hunter2}'), /unter2/);
  t.equal(jsonMapProblem(''), 'unexpected end of JSON input');
  t.match(jsonMapProblem('7'), /^json: cannot unmarshal number/);
});

void t.test('text is quoted as Go does it', async (t) => {
  t.equal(goQuote('a"b\\c\nd\u0001é\u200b\u{1F600}\u00a0'), '"a\\"b\\\\c\\nd\\x01é\\u200b\u{1F600}\\u00a0"');
});
