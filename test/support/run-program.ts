import { spawn } from 'node:child_process';
import type { ChildProcess, ChildProcessWithoutNullStreams } from 'node:child_process';
import { join } from 'node:path';

const PROGRAM = join(import.meta.dirname, '../../bin/gridferry.js');

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  readonly cwd?: string;
  /** Instead of this process's own. */
  readonly env?: NodeJS.ProcessEnv;
}

/** Starts the program as its users do. */
export function startProgram(
  args: readonly string[],
  { cwd, env = process.env }: ProgramOptions = {},
): ChildProcessWithoutNullStreams {
  const cache = join(import.meta.dirname, '../../.tap/compile-cache');
  return spawn(process.execPath, [PROGRAM, ...args], {
    env: { ...env, NODE_COMPILE_CACHE: cache },
    ...(cwd === undefined ? {} : { cwd }),
  });
}

/** Runs the program to its end. */
export function runProgram(args: readonly string[], options: ProgramOptions = {}): Promise<Ran> {
  return ended(startProgram(args, options));
}

/** What a child printed until it ended. */
export function ended(child: ChildProcess): Promise<Ran> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })));
}
