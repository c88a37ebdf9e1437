import t from 'tap';
import { JsonTextError, parseJsonText } from '../../../src/home/server/json-text.ts';

const MAX_DEPTH = 100;

void t.test('JSON parses as what it is', async (t) => {
  const texts = [
    '{}',
    '[]',
    ' {"a" : [1, -2.5e+3, 0.1, true, false, null, "x"]}\n',
    '"\\u00e9\\n\\"\\\\/"',
    '0',
    'null',
  ];
  for (const text of texts)
    t.same(parseJsonText(text, MAX_DEPTH), { value: JSON.parse(text), duplicateFields: [] }, text);
});

void t.test('fields that are there twice are found, each with its path, and the last one counts', async (t) => {
  const text = '{"a":1,"b":{"c":1,"c":2},"l":[{"x":1},{"x":1,"y":{},"\\u0078":2}],"a":3,"a":4}';
  const { value, duplicateFields } = parseJsonText(text, MAX_DEPTH);
  t.same(duplicateFields, ['b.c', 'l[1].x', 'a', 'a']);
  t.match(value, { a: 4, b: { c: 2 } });
});

void t.test('what is wrong is said as an API server says it', async (t) => {
  const problems = {
    '': 'unexpected end of JSON input',
    '{': 'unexpected end of JSON input',
    '"abc': 'unexpected end of JSON input',
    '{bad': "invalid character 'b' looking for beginning of object key string",
    '{"a" 1}': "invalid character '1' after object key",
    '{"a":1 "b"}': `invalid character '"' after object key:value pair`,
    '{"a":1,}': "invalid character '}' looking for beginning of object key string",
    '[1 2]': "invalid character '2' after array element",
    '[1,]': "invalid character ']' looking for beginning of value",
    '{} x': "invalid character 'x' after top-level value",
    '-x': "invalid character 'x' in numeric literal",
    tru1: "invalid character '1' in literal true (expecting 'e')",
    "'a'": String.raw`invalid character '\'' looking for beginning of value`,
    '"a\nb"': String.raw`invalid character '\n' in string literal`,
    '"\\x"': "invalid character 'x' in string escape code",
    '"\\u12g4"': String.raw`invalid character 'g' in \u hexadecimal character escape`,
  };
  for (const [text, message] of Object.entries(problems)) {
    t.throws(() => parseJsonText(text, MAX_DEPTH), { name: 'JsonTextError', message }, text);
  }
});

void t.test('nesting has an end, for whole texts and broken ones', async (t) => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  t.equal(parseJsonText(nested(MAX_DEPTH), MAX_DEPTH).duplicateFields.length, 0);
  for (const text of [nested(MAX_DEPTH + 1), nested(1_000_000), '{"a":'.repeat(1_000_000), '['.repeat(1_000_000)]) {
    t.throws(() => parseJsonText(text, MAX_DEPTH), JsonTextError);
  }
});
