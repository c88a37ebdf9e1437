// A second process on the same state directory: `node store-process.ts <stateDir> <command> [argument]`.
import { Services, servedTypes } from '../../src/api/resources.ts';
import { openLocalHome } from '../../src/home/local-client.ts';
import { acquireRunLock } from '../../src/home/run-lock.ts';
import { admitAll, serviceNamed } from '../support/local-home.ts';

const [stateDir = '', command, argument = ''] = process.argv.slice(2);
const say = (line: string): boolean => process.stdout.write(`${line}\n`);

if (command === 'lock') {
  acquireRunLock(stateDir);
  say('locked');
  setInterval(() => undefined, 1000);
} else {
  const home = openLocalHome({ stateDir, types: servedTypes, admission: admitAll });
  if (command === 'create') {
    await home.create(Services, serviceNamed(argument));
    say('created');
    home.close();
  } else if (command === 'count') {
    // Each number is said only after its write was promised to be durable.
    const key = { namespace: 'default', name: argument };
    for (let i = 1; ; i++) {
      await home.patch(Services, key, { type: 'merge', body: { status: { moves: i } } }, { subresource: 'status' });
      say(String(i));
    }
  } else if (command === 'fill') {
    // Until the file size limit of this process is met.
    process.on('SIGXFSZ', () => undefined);
    for (let i = 0; ; i++) {
      try {
        await home.create(Services, serviceNamed(`fill-${String(i)}`, { annotations: { big: 'x'.repeat(50_000) } }));
      } catch (error) {
        say(
          `${(error as { reason?: string }).reason ?? ''} ${(error as { class?: string }).class ?? ''} ${(error as Error).message}`,
        );
        const { items } = await home.list(Services);
        say(`${String(items.length)} of ${String(i)}`);
        break;
      }
    }
    home.close();
  }
}
