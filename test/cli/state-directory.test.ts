import {
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { defaultStateDirectory, findState, recordSource } from '../../src/cli/state-directory.ts';

function places(t: Test) {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'gridferry-state-')));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const env = { XDG_STATE_HOME: join(root, 'state') };
  /** A directory of manifests that was run, so long ago. */
  const ran = (name: string, secondsAgo: number): { directory: string; state: string } => {
    const directory = join(root, name);
    mkdirSync(directory);
    const state = defaultStateDirectory(directory, env);
    recordSource(state, directory);
    const file = join(state, 'gridferry.db');
    writeFileSync(file, '');
    const time = Date.now() / 1000 - secondsAgo;
    utimesSync(file, time, time);
    return { directory, state };
  };
  return { root, env, ran };
}

void t.test('each directory has a private state of its own, by whichever path it is named', async (t) => {
  const { root, env, ran } = places(t);
  const { directory, state } = ran('manifests', 0);
  symlinkSync(directory, join(root, 'link'));
  t.equal(defaultStateDirectory(join(root, 'link'), env), state);
  t.not(defaultStateDirectory(root, env), state);
  t.match(state, /\/state\/gridferry\/manifests-[0-9a-f]{12}$/);
  t.equal(statSync(state).mode & 0o777, 0o700);
});

void t.test('a state is found by name, environment, current directory, and else the one used last', async (t) => {
  const { root, env, ran } = places(t);
  t.throws(() => findState(undefined, env, root), { code: 'GF_CLI_NO_STATE' });
  const old = ran('old', 500);
  t.same(findState(undefined, env, root), { path: old.state });
  const recent = ran('recent', 5);
  t.match(findState(undefined, env, root), { path: recent.state, note: /Of 2 states.*recent.*--state/ });
  t.same(findState(undefined, env, old.directory), { path: old.state });
  t.same(findState(undefined, { ...env, GRIDFERRY_STATE: old.state }, root), { path: old.state });
  t.same(findState(recent.state, { ...env, GRIDFERRY_STATE: old.state }, root), { path: recent.state });
  t.same(findState(old.directory, env, root), { path: old.state }, 'the manifests themselves are understood, too');
  t.throws(() => findState('nowhere', env, root), { code: 'GF_CLI_NO_STATE' });
  t.match(findState(undefined, { ...env, GRIDFERRY_STATE: '' }, root), { path: recent.state });
});

void t.test('a relative XDG_STATE_HOME is ignored, as its specification asks', async (t) => {
  t.match(defaultStateDirectory('/x', { XDG_STATE_HOME: 'relative' }), /\.local\/state\/gridferry\//);
});
