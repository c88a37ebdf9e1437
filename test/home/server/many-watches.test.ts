import { Agent } from 'node:https';
import t from 'tap';
import { begin, caOf, openApi, post, send, service, SERVICES } from './wire.ts';
import type { WireEvent } from './wire.ts';

// A thousand handshakes, of both sides, in this one process.
t.setTimeout(180_000);

void t.test('a thousand watches all see every event in order', async (t) => {
  const api = await openApi(t);
  const agent = new Agent({ ca: caOf(api), maxCachedSessions: 1, keepAlive: true });
  t.teardown(() => agent.destroy());
  await post(api, SERVICES, service('first'));
  const version = (await send(api, 'GET', SERVICES)).body.metadata.resourceVersion as string;
  const streams = await Promise.all(
    Array.from({ length: 1000 }, () => begin(api, 'GET', `${SERVICES}?watch=1&resourceVersion=${version}`, { agent })),
  );
  const names = ['a', 'b', 'c'];
  const seen = streams.map(async (stream) => {
    let text = '';
    for await (const part of stream as AsyncIterable<Buffer>) {
      text += part.toString();
      if (text.split('\n').length > names.length) break;
    }
    return text
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as WireEvent).object.metadata.name as string);
  });
  for (const name of names) await post(api, SERVICES, service(name));
  const results = await Promise.all(seen);
  t.equal(results.length, 1000);
  t.ok(results.every((result) => result.join() === names.join()));
});
