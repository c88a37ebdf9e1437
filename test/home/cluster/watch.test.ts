import t from 'tap';
import { Secrets } from '../../../src/api/core.ts';
import type { WatchEvent, WatchOptions } from '../../../src/home/client.ts';
import type { Widget } from '../../support/widget.ts';
import { cutOff, hang, refuse, startScriptedApi, status, stream } from '../../support/scripted-api.ts';
import type { ScriptedApi } from '../../support/scripted-api.ts';
import { createVirtualClock } from '../../support/virtual-clock.ts';
import { widget, Widgets } from '../../support/widget.ts';

function line(type: string, version: number, size = 1): string {
  const object = widget('a', size);
  return `${JSON.stringify({ type, object: { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } } })}\n`;
}

function bookmark(version: number, annotations?: Readonly<Record<string, string>>): string {
  return `${JSON.stringify({ type: 'BOOKMARK', object: { kind: 'Widget', metadata: { resourceVersion: String(version), annotations } } })}\n`;
}

function short(event: WatchEvent): string {
  return event.type === 'BOOKMARK'
    ? `BOOKMARK ${event.resourceVersion}${event.initialEventsEnd === true ? ' end' : ''}`
    : `${event.type} ${event.object.metadata.resourceVersion}`;
}

/** What a watch says until it ends, throws (the code is the last word) or has said so many events. */
async function follow(
  api: ScriptedApi,
  { count = Infinity, ...options }: Partial<WatchOptions> & { readonly count?: number } = {},
): Promise<string[]> {
  const client = await api.connect();
  const controller = new AbortController();
  const said: string[] = [];
  try {
    for await (const event of client.watch(Widgets, { signal: controller.signal, ...options })) {
      said.push(short(event));
      if (said.length === count) controller.abort();
    }
  } catch (error) {
    const { code } = error as { readonly code: string };
    said.push(code);
  }
  controller.abort();
  return said;
}

void t.test('events come in order, however the network cuts them', async (t) => {
  const api = await startScriptedApi(t);
  const text = line('ADDED', 1) + line('MODIFIED', 2) + bookmark(3) + line('DELETED', 4);
  for (const size of [1, 7, 100, 10_000]) {
    const pieces = text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];
    api.answer((response) => {
      response.writeHead(200);
      response.socket?.setNoDelay();
      void (async () => {
        for (const piece of pieces) await new Promise((resolve) => response.write(piece, resolve));
      })();
    });
    t.same(await follow(api, { resourceVersion: '0', count: 4 }), ['ADDED 1', 'MODIFIED 2', 'BOOKMARK 3', 'DELETED 4']);
  }
});

void t.test('it asks for bookmarks and for an end that is not that of all others', async (t) => {
  const api = await startScriptedApi(t);
  api.answer(stream([line('ADDED', 8)]));
  await follow(api, {
    count: 1,
    resourceVersion: '7',
    namespace: 'default',
    labelSelector: 'a',
    fieldSelector: 'b=c',
  });
  t.equal(api.seen[0]?.path, '/apis/gridferry.io/v1alpha1/namespaces/default/widgets');
  t.same(Object.fromEntries(api.seen[0]?.query ?? []), {
    watch: 'true',
    allowWatchBookmarks: 'true',
    timeoutSeconds: '300',
    labelSelector: 'a',
    fieldSelector: 'b=c',
    resourceVersion: '7',
  });
});

void t.test('a watch that the server ends at its time goes on where it was', async (t) => {
  const api = await startScriptedApi(t);
  api.answer(
    stream([line('MODIFIED', 8)], { end: true }),
    stream([bookmark(12)], { end: true }),
    stream([line('MODIFIED', 13)]),
  );
  t.same(await follow(api, { resourceVersion: '7', count: 3 }), ['MODIFIED 8', 'BOOKMARK 12', 'MODIFIED 13']);
  t.same(
    api.seen.map(({ query }) => query.get('resourceVersion')),
    ['7', '8', '12'],
  );
});

void t.test('a server that ends it at once is left to the caller', async (t) => {
  const api = await startScriptedApi(t);
  api.answer(stream([], { end: true }));
  t.same(await follow(api, { resourceVersion: '7' }), []);
  t.equal(api.seen.length, 1);
});

void t.test('what is there already comes in no order: a watch cut short among it is not resumed', async (t) => {
  const api = await startScriptedApi(t);
  const end = { 'k8s.io/initial-events-end': 'true' };
  api.answer(stream([line('ADDED', 9), line('ADDED', 3)], { end: true }));
  t.same(await follow(api), ['ADDED 9', 'ADDED 3']);
  t.same(await follow(api, { sendInitialEvents: true }), ['ADDED 9', 'ADDED 3']);
  t.equal(api.seen.length, 2);
  t.equal(api.seen[1]?.query.get('sendInitialEvents'), 'true');
  t.equal(api.seen[1]?.query.get('resourceVersionMatch'), 'NotOlderThan');
  api.answer(stream([line('ADDED', 9), bookmark(9, end)], { end: true }), stream([line('MODIFIED', 10)]));
  t.same(await follow(api, { sendInitialEvents: true, count: 3 }), ['ADDED 9', 'BOOKMARK 9 end', 'MODIFIED 10']);
  t.equal(api.seen.at(-1)?.query.get('sendInitialEvents'), null);
});

void t.test('a version that is too old is Expired, as an answer and as an event', async (t) => {
  const api = await startScriptedApi(t);
  api.answer(refuse(410, 'Expired'));
  t.same(await follow(api, { resourceVersion: '1' }), ['GF_API_EXPIRED']);
  api.answer(stream([line('ADDED', 2), `${JSON.stringify({ type: 'ERROR', object: status(410, 'Expired') })}\n`]));
  t.same(await follow(api, { resourceVersion: '1' }), ['ADDED 2', 'GF_API_EXPIRED']);
  api.answer(stream([`${JSON.stringify({ type: 'ERROR', object: status(403, 'Forbidden') })}\n`]));
  t.same(await follow(api, { resourceVersion: '1' }), ['GF_API_FORBIDDEN']);
});

void t.test('garbage ends it with an error that names the trouble, and nothing before it is lost', async (t) => {
  const api = await startScriptedApi(t);
  for (const garbage of [
    '<html>\n',
    '{"type":"ADDED"}\n',
    '{"type":"NEW","object":{}}\n',
    '[1,2]\n',
    '\u0000\u0001\u0002\n',
  ]) {
    api.answer(stream([line('ADDED', 2), garbage]));
    t.same(await follow(api, { resourceVersion: '1' }), ['ADDED 2', 'GF_API_BAD_ANSWER'], garbage);
  }
});

void t.test('half an event at the end of the stream is not an event', async (t) => {
  const api = await startScriptedApi(t);
  api.answer(
    stream([line('ADDED', 2), line('MODIFIED', 3).slice(0, 40)], { end: true }),
    stream([line('MODIFIED', 3)]),
  );
  t.same(await follow(api, { resourceVersion: '1', count: 2 }), ['ADDED 2', 'MODIFIED 3']);
  t.equal(api.seen[1]?.query.get('resourceVersion'), '2');
  api.answer((response, request) => {
    stream([line('ADDED', 2), line('MODIFIED', 3).slice(0, 40)])(response, request);
    setTimeout(() => response.socket?.resetAndDestroy(), 20);
  });
  t.same(await follow(api, { resourceVersion: '1' }), ['ADDED 2', 'GF_API_UNREACHABLE']);
});

void t.test('an object of many megabytes passes; a line without an end does not fill the memory', async (t) => {
  const api = await startScriptedApi(t);
  const huge = { ...widget('a'), spec: { size: 1, text: 'x'.repeat(8_000_000) } };
  api.answer(stream([`${JSON.stringify({ type: 'ADDED', object: huge })}\n`, line('MODIFIED', 2)]));
  t.same(await follow(api, { resourceVersion: '1', count: 2 }), ['ADDED undefined', 'MODIFIED 2']);
  let written = 0;
  api.answer((response) => {
    response.writeHead(200);
    const more = (): void => {
      while (!response.destroyed && written < 200_000_000) {
        written += 1_000_000;
        if (!response.write('x'.repeat(1_000_000))) {
          response.once('drain', more);
          return;
        }
      }
    };
    more();
  });
  t.same(await follow(api, { resourceVersion: '1' }), ['GF_API_BAD_ANSWER']);
  t.ok(written < 100_000_000, `${written} bytes were read`);
});

void t.test('a slow reader holds the sender back', async (t) => {
  const api = await startScriptedApi(t);
  const client = await api.connect();
  let written = 0;
  api.answer((response) => {
    response.writeHead(200);
    const more = (): void => {
      while (!response.destroyed && response.write(line('MODIFIED', ++written, 1))) {
        // Until the socket is full.
      }
      response.once('drain', more);
    };
    more();
  });
  const controller = new AbortController();
  const events = client.watch(Widgets, { resourceVersion: '1', signal: controller.signal })[Symbol.asyncIterator]();
  t.equal(short((await events.next()).value as WatchEvent<Widget>), 'MODIFIED 1');
  let before = -1;
  while (written !== before) {
    before = written;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  t.ok(written < 200_000, `${written} events were sent to a reader that took one`);
  controller.abort();
  await events.return?.();
});

void t.test('when its signal fires the socket is gone, whatever the watch was doing', async (t) => {
  const api = await startScriptedApi(t);
  const client = await api.connect();
  for (const phase of ['before the answer', 'waiting', 'not being read'] as const) {
    let onClosed: () => void = () => undefined;
    const closed = new Promise<void>((resolve) => (onClosed = resolve));
    api.answer((response, request) => {
      response.socket?.once('close', onClosed);
      if (phase === 'before the answer') hang(response, request);
      else stream([line('ADDED', 1), line('ADDED', 2)])(response, request);
    });
    const asked = api.seen.length;
    const controller = new AbortController();
    const events = client.watch(Widgets, { resourceVersion: '1', signal: controller.signal })[Symbol.asyncIterator]();
    let next = events.next();
    if (phase === 'waiting') {
      await next;
      await events.next();
      next = events.next();
    } else if (phase === 'not being read') await next;
    while (api.seen.length === asked) await new Promise(setImmediate);
    controller.abort();
    await closed;
    if (phase !== 'not being read') t.equal((await next).done, true, phase);
  }
});

void t.test('a watch that is not even begun to be answered ends at the deadline', async (t) => {
  const api = await startScriptedApi(t);
  const clock = createVirtualClock();
  const client = await api.connect({ clock });
  api.answer(hang);
  const events = client.watch(Widgets, { signal: new AbortController().signal })[Symbol.asyncIterator]();
  const ended = t.rejects(events.next(), { code: 'GF_API_TIMEOUT' });
  while (api.seen.length === 0) await clock.settle();
  await clock.advance(30_000);
  await ended;
});

void t.test('a watch that is reset says so', async (t) => {
  const api = await startScriptedApi(t);
  api.answer(cutOff);
  t.same(await follow(api, { resourceVersion: '1' }), ['GF_API_UNREACHABLE']);
});

void t.test('objects of built-in kinds say what they are', async (t) => {
  const api = await startScriptedApi(t);
  const client = await api.connect();
  api.answer(stream([`${JSON.stringify({ type: 'ADDED', object: { metadata: { name: 's' } } })}\n`]));
  for await (const event of client.watch(Secrets, { signal: new AbortController().signal })) {
    t.match(event, { object: { apiVersion: 'v1', kind: 'Secret' } });
    break;
  }
});
