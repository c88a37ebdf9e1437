import t from 'tap';
import { cutoverIn } from '../../../../controllers/transfer/copying/cutover-time.ts';

const now = Date.parse('2027-01-31T03:00:00Z');
const wait = (cutover: string, cutoverNow = false): number => cutoverIn({ cutover, cutoverNow }, now);

void t.test('Auto goes on at once, Manual waits for its user, a time for itself', (t) => {
  t.equal(wait('Auto'), 0);
  t.equal(wait('Manual'), Infinity);
  t.equal(wait('2027-01-31T03:00:10Z'), 10_000);
  t.equal(wait('2027-01-31T04:00:00.5+01:00'), 500);
  t.end();
});

void t.test('a time that is past is no reason to wait', (t) => {
  t.equal(wait('2027-01-31T03:00:00Z'), 0);
  t.equal(wait('1999-12-31T23:59:59Z'), 0);
  t.end();
});

void t.test('cutoverNow goes before everything', (t) => {
  for (const cutover of ['Auto', 'Manual', '2099-01-01T00:00:00Z']) t.equal(wait(cutover, true), 0);
  t.end();
});

void t.test('a time that does not exist waits for the user', (t) => {
  t.equal(wait('2027-13-45T03:00:00Z'), Infinity);
  t.end();
});
