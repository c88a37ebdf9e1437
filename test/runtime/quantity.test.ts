import t from 'tap';
import { parseQuantity } from '../../src/runtime/quantity.ts';

void t.test('decimal and binary suffixes mean what they mean in Kubernetes', (t) => {
  const cases: [string, number][] = [
    ['1', 1],
    ['512', 512],
    ['10k', 10_000],
    ['10M', 10_000_000],
    ['2G', 2_000_000_000],
    ['1Ki', 1024],
    ['50Mi', 52_428_800],
    ['3Gi', 3_221_225_472],
  ];
  for (const [text, value] of cases) t.equal(parseQuantity(text), value, text);
  t.end();
});

void t.test('nothing else is taken for a quantity', (t) => {
  for (const text of ['', '0', '05M', '-1', '1.5M', '1 M', '1m', '1K', '1T', '1MB', 'M', '1e3', '1Mi ']) {
    t.throws(() => parseQuantity(text), /is not a quantity/, text);
  }
  t.end();
});
