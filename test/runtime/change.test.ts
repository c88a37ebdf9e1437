import t from 'tap';
import { desiredChanged, isNewerVersion, scopeOf } from '../../src/runtime/change.ts';
import type { Secret } from '../../src/api/core.ts';
import { widget } from '../support/widget.ts';
import type { Widget } from '../support/widget.ts';

void t.test('the weightiest part that differs is what a change is about', (t) => {
  const base = widget('a');
  base.metadata.generation = 1;
  const change = (part: Partial<Widget['metadata']>, more: Partial<Widget> = {}): string =>
    scopeOf(base, { ...base, ...more, metadata: { ...base.metadata, ...part } });
  t.equal(change({ generation: 2 }, { status: { size: 1 } }), 'desired');
  t.equal(change({ deletionTimestamp: '2026-01-01T00:00:00Z' }), 'desired');
  t.equal(change({ labels: { a: 'b' } }, { status: { size: 1 } }), 'metadata');
  t.equal(change({ annotations: { a: 'b' } }), 'metadata');
  t.equal(change({ finalizers: ['a/b'] }), 'metadata');
  t.equal(change({ resourceVersion: '2' }, { status: { size: 1 } }), 'status');
  t.equal(change({ resourceVersion: '2', managedFields: [{}] }), 'none');
  t.end();
});

void t.test('a kind without generations is compared by its content', (t) => {
  const secret: Secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, data: { a: 'MQ==' } };
  t.notOk(desiredChanged(secret, { ...secret, metadata: { name: 's', resourceVersion: '2' } }));
  const changed: Secret = { ...secret, data: { a: 'Mg==' } };
  t.ok(desiredChanged(secret, changed));
  t.end();
});

void t.test('versions are compared as the numbers they are, and not at all when they are none', (t) => {
  t.ok(isNewerVersion('10', '9'));
  t.notOk(isNewerVersion('9', '10'));
  t.notOk(isNewerVersion('9', '9'));
  t.ok(isNewerVersion('90071992547409931', '90071992547409930'));
  t.notOk(isNewerVersion('b', 'a'));
  t.notOk(isNewerVersion('1', undefined));
  t.end();
});
