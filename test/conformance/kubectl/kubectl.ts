import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

/** What a call of kubectl did. */
export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  /** Absent when it was ended from outside. */
  readonly exitCode: number | undefined;
}

export interface Call {
  readonly args: readonly string[];
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Called once the server has accepted the watch of this call, or has told that what it waits for is not there. */
  readonly onWatching?: () => Promise<void>;
  /** Ends the call when stdout has this many lines. */
  readonly lines?: number;
}

/** One kubectl binary with settings, caches and a directory of its own. */
export interface Kubectl {
  call(call: Call): Promise<Outcome>;
}

export interface KubectlOptions {
  readonly binary: string;
  readonly kubeconfig: string;
  /** Where kubectl keeps its discovery cache and looks for preferences. */
  readonly home: string;
  readonly directory: string;
}

/** No call of the suite takes longer on a busy machine; one that does hangs. */
const deadlineMs = 90_000;

/** A line of kubectl's own log; `wait --for=create` asks again and again instead of watching. */
const watchAccepted = /[?&]watch=true.*\b200 OK|\/namespaces\/[^/]+\/[^/]+\/.*\b404 Not Found/;
const logLine = /^[IWEF]\d{4} .*\n/gm;

export function createKubectl({ binary, kubeconfig, home, directory }: KubectlOptions): Kubectl {
  return {
    async call({ args, stdin, env, onWatching, lines }) {
      // Only its log tells when a watch is open; nothing else of it gets into the outcome.
      const logging = onWatching === undefined ? [] : ['-v=6'];
      const child = spawn(binary, [...args, ...logging], {
        cwd: directory,
        // What the machine's own settings say must not show.
        env: {
          PATH: process.env['PATH'],
          HOME: home,
          TMPDIR: home,
          KUBECONFIG: kubeconfig,
          LC_ALL: 'C',
          TZ: 'UTC',
          ...env,
        },
        timeout: deadlineMs,
        killSignal: 'SIGKILL',
      });
      const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
      // It may end without having read its input.
      child.stdin.on('error', () => undefined);
      child.stdin.end(stdin ?? '');
      let stdout = '';
      let stderr = '';
      const reactions: Promise<void>[] = [];
      child.stderr.on('data', (chunk: Buffer) => {
        stderr += chunk.toString();
        if (onWatching === undefined || reactions.length > 0 || !watchAccepted.test(stderr)) return;
        const reaction = onWatching();
        reaction.catch(() => child.kill('SIGTERM'));
        reactions.push(reaction);
      });
      child.stdout.on('data', (chunk: Buffer) => {
        stdout += chunk.toString();
        if (lines !== undefined && stdout.split('\n').length > lines) child.kill('SIGTERM');
      });
      const [exitCode, signal] = await ended;
      await Promise.all(reactions);
      if (signal === 'SIGKILL') {
        throw new Error(`kubectl ${args.join(' ')} did not end in time; it said:\n${stdout}${stderr}`);
      }
      if (onWatching !== undefined && reactions.length === 0) {
        throw new Error(`kubectl ${args.join(' ')} opened no watch; it said:\n${stdout}${stderr}`);
      }
      return {
        stdout,
        stderr: onWatching === undefined ? stderr : stderr.replaceAll(logLine, ''),
        exitCode: child.killed ? undefined : (exitCode ?? undefined),
      };
    },
  };
}

/** Calls again until the outcome is as wanted, or for a minute; returns the last outcome. */
export async function callUntil(call: () => Promise<Outcome>, wanted: (outcome: Outcome) => boolean): Promise<Outcome> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const outcome = await call();
    if (wanted(outcome) || Date.now() > deadline) return outcome;
    await delay(200);
  }
}

/** Splits at spaces, except between single quotes. */
export function words(line: string): string[] {
  return Array.from(line.matchAll(/(?:'[^']*'|[^\s'])+/g), ([word]) => word.replaceAll("'", ''));
}
