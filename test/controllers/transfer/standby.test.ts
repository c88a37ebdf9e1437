import t from 'tap';
import { Transfers } from '../../../src/api/resources.ts';
import type { Client } from '../../../src/home/client.ts';
import type { Leadership } from '../../../src/runtime/leadership.ts';
import { createFakeClient } from '../../support/fake-client.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import {
  changeSpec,
  createServers,
  modelPlan,
  newModel,
  startProcess,
  transferOf,
} from '../../support/transfer-world.ts';
import type { TestProcess } from '../../support/transfer-world.ts';
import { createVirtualClock } from '../../support/virtual-clock.ts';

const key = { namespace: 'default', name: 'move' };

/** A replica whose leadership, and whose news of the API, a test decides on. */
interface Replica {
  readonly process: TestProcess;
  elect(): void;
  /** Its watches stay open and say nothing, until they are let go on. */
  deafen(): void;
  hear(): void;
}

void t.test('a standby whose watch is behind does nothing on the word of an old status', async (t) => {
  const api = createFakeClient();
  const clock = createVirtualClock();
  const model = newModel();
  await createServers(api);
  await api.create(Transfers, transferOf('move'));
  const held = Promise.withResolvers<undefined>();
  const hook = (point: string): unknown => (point === 'quiesce-source/apply/after' ? held.promise : undefined);

  function startReplica(): Replica {
    let news = Promise.withResolvers<undefined>();
    news.resolve(undefined);
    const elected = Promise.withResolvers<undefined>();
    let leads = false;
    const leadership: Leadership = {
      isLeader: () => leads,
      epoch: () => 1,
      elected: elected.promise,
      lost: new AbortController().signal,
    };
    const watch: Client['watch'] = async function* (type, options) {
      for await (const event of api.watch(type, options)) {
        await news.promise;
        yield event;
      }
    };
    const process = startProcess({
      client: { ...api, watch } as Client,
      clock,
      random: seededRandom(1),
      plan: () => modelPlan(model, hook),
      leadership,
    });
    t.teardown(() => process.kill());
    return {
      process,
      elect() {
        leads = true;
        elected.resolve(undefined);
      },
      deafen: () => (news = Promise.withResolvers()),
      hear: () => news.resolve(undefined),
    };
  }

  const first = startReplica();
  const second = startReplica();
  await clock.advance(0);
  first.elect();
  while (model.source === 'running') await clock.advance(50);
  await clock.advance(1_000);
  second.deafen();
  await changeSpec(api, 'move', { cancel: true });
  held.resolve(undefined);
  while ((await api.get(Transfers, key)).status?.completionTime === undefined) await clock.advance(50);
  t.equal(model.source, 'running', 'the first has put everything back');
  first.process.kill();

  const before = [...model.history];
  second.elect();
  await clock.advance(5_000);
  t.same(model.history, before, 'the second touches nothing');
  t.equal(model.source, 'running');
  second.hear();
  await clock.advance(5_000);
  t.same(model.history, before, 'and sees then that it is over');
  t.same(model.violations, []);
});
