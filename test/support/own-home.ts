import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { Host } from '../../src/ssh/host.ts';
import { openLocalHost } from '../../src/ssh/local-host.ts';

/** This machine, as a login user with an empty home sees it. */
export async function hostWithHome(t: Test): Promise<{ readonly host: Host; readonly home: string }> {
  const home = await mkdtemp(join(tmpdir(), 'gridferry-home-'));
  const local = openLocalHost({ name: 'here' });
  t.teardown(async () => {
    await local.close();
    await rm(home, { recursive: true, force: true });
  });
  const env = { HOME: home, XDG_STATE_HOME: '' };
  const host: Host = {
    ...local,
    exec: (argv, options) => local.exec(argv, { ...options, env: { ...env, ...options?.env } }),
    spawn: (argv, options) => local.spawn(argv, { ...options, env: { ...env, ...options?.env } }),
  };
  return { host, home };
}
