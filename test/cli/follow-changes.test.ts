import t from 'tap';
import type { Test } from 'tap';
import { followChanges } from '../../src/cli/follow-changes.ts';
import type { FollowOptions } from '../../src/cli/follow-changes.ts';
import { ApiError } from '../../src/home/api-error.ts';
import { GridferryError } from '../../src/errors.ts';
import { createFakeClient } from '../support/fake-client.ts';
import type { FakeClient } from '../support/fake-client.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';
import { Widgets, widget } from '../support/widget.ts';
import type { Widget } from '../support/widget.ts';

/** Follows the widgets of a client from now on; `seen` is what was told, `until` lets time pass until it is as wanted. */
async function following(t: Test, client: FakeClient) {
  const clock = createVirtualClock();
  const stop = new AbortController();
  const seen: string[] = [];
  const troubles: string[] = [];
  const since = await client.list(Widgets);
  const options: FollowOptions<Widget> = {
    client,
    type: Widgets,
    scope: { namespace: 'default' },
    since,
    clock,
    signal: stop.signal,
    onTrouble: (text) => troubles.push(text),
  };
  const ended = (async () => {
    for await (const { type, object } of followChanges(options)) {
      seen.push(`${type} ${object.metadata.name} ${String(object.spec.size)}`);
    }
  })();
  t.teardown(() => stop.abort());
  async function until(count: number): Promise<string[]> {
    for (let turn = 0; seen.length < count && turn < 1000; turn++) await clock.advance(50);
    return seen.slice();
  }
  return { seen, troubles, until, ended, stop };
}

async function resize(client: FakeClient, name: string, size: number): Promise<void> {
  const key = { namespace: 'default', name };
  await client.patch(Widgets, key, { type: 'merge', body: { spec: { size } } });
}

void t.test('what changes is told once, whatever becomes of the connection', async (t) => {
  const client = createFakeClient();
  await client.create(Widgets, widget('a'));
  const { until, troubles } = await following(t, client);
  await resize(client, 'a', 2);
  t.same(await until(1), ['MODIFIED a 2']);

  client.dropWatches();
  await resize(client, 'a', 3);
  t.same(await until(2), ['MODIFIED a 2', 'MODIFIED a 3'], 'a watch that ended is taken up where it was');

  client.dropWatches(new GridferryError('GF_API_UNREACHABLE', 'it is away.', { class: 'retryable' }));
  await client.create(Widgets, widget('b'));
  t.same((await until(3)).at(-1), 'ADDED b 1');
  t.same(troubles, ['it is away.'], 'who looks on is told, once');
});

void t.test('after 410 the list says what was missed, deletions included', async (t) => {
  const client = createFakeClient();
  for (const name of ['gone', 'changed', 'same', 'again']) await client.create(Widgets, widget(name));
  const { until } = await following(t, client);
  await resize(client, 'changed', 2);
  t.same(await until(1), ['MODIFIED changed 2']);

  client.failNext('watch', new ApiError('Expired', 'too old'));
  client.dropWatches();
  await client.delete(Widgets, { namespace: 'default', name: 'gone' });
  await client.delete(Widgets, { namespace: 'default', name: 'again' });
  await client.create(Widgets, widget('again', 5));
  await resize(client, 'changed', 3);
  client.compact();
  t.same((await until(5)).slice(1).sort(), [
    'ADDED again 5',
    'DELETED again 1',
    'DELETED gone 1',
    'MODIFIED changed 3',
  ]);
});

void t.test('what repeating cannot help is thrown', async (t) => {
  const client = createFakeClient();
  client.failNext('watch', new ApiError('Forbidden', 'not for you'));
  const { ended, until } = await following(t, client);
  const failure = t.rejects(ended, new ApiError('Forbidden', 'not for you'));
  await until(1);
  await failure;
});

void t.test('the signal ends it, also while it waits', async (t) => {
  const client = createFakeClient();
  client.failNext('watch', new ApiError('ServiceUnavailable', 'later'), 100);
  const { ended, stop, seen } = await following(t, client);
  stop.abort();
  await ended;
  t.same(seen, []);
});
