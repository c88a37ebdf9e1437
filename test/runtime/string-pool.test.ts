import t from 'tap';
import { createStringPool } from '../../src/runtime/string-pool.ts';

void t.test('a string comes back as it was, whatever else hashes to its place', (t) => {
  const { intern } = createStringPool();
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 20_000; i++) {
      const text = `a text with the number ${i}`;
      if (intern(text) !== text) t.fail(text);
    }
  }
  for (const text of ['', 'short', 'x'.repeat(1000), 'ünïcödé and more of it']) t.equal(intern(text), text);
  t.end();
});
