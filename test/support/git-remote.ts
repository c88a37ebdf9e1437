import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** A bare repository that somebody pushes to, and the clone they work in. */
export interface GitRemote {
  /** The bare repository. */
  readonly path: string;
  readonly work: string;
  /** Runs git in the clone. */
  git(...args: string[]): string;
  /** Writes the files (null deletes), commits them and pushes; answers the commit's id. */
  push(
    files: Readonly<Record<string, string | null>>,
    more?: { readonly force?: true; readonly branch?: string },
  ): string;
}

/** Nothing of the user's configuration has any say. */
const env = {
  PATH: process.env['PATH'],
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_AUTHOR_NAME: 'Ann',
  GIT_AUTHOR_EMAIL: 'ann@example.com',
  GIT_COMMITTER_NAME: 'Ann',
  GIT_COMMITTER_EMAIL: 'ann@example.com',
};

export function gitRemote(directory: string): GitRemote {
  const path = join(directory, 'fleet.git');
  const work = join(directory, 'work');
  const run = (cwd: string, args: readonly string[]): string =>
    execFileSync('git', args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
  mkdirSync(directory, { recursive: true });
  run(directory, ['init', '--quiet', '--bare', '--initial-branch=main', path]);
  run(directory, ['init', '--quiet', '--initial-branch=main', work]);
  run(work, ['remote', 'add', 'origin', path]);
  const git = (...args: string[]): string => run(work, args);
  return {
    path,
    work,
    git,
    push(files, { force, branch = 'main' } = {}) {
      for (const [file, text] of Object.entries(files)) {
        const at = join(work, file);
        if (text === null) rmSync(at);
        else {
          mkdirSync(dirname(at), { recursive: true });
          writeFileSync(at, text);
        }
      }
      git('add', '--all');
      git('commit', '--quiet', '--allow-empty', '--message', 'change');
      git('push', '--quiet', ...(force === true ? ['--force'] : []), 'origin', `HEAD:refs/heads/${branch}`);
      return git('rev-parse', 'HEAD');
    },
  };
}
