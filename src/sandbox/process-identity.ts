import { readFile, readdir } from 'node:fs/promises';
import { readFileSync } from 'node:fs';

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly parentPid: number;
  /** Clock ticks since boot (field 22 of /proc/PID/stat). */
  readonly startTime: string;
}

/** Reads the text of a /proc/PID/stat; undefined for a zombie, which is as good as gone. */
export function parseStat(text: string): ProcessIdentity | undefined {
  // The second field is the program's name in brackets and may itself hold brackets and blanks: split after the last.
  const bracket = text.lastIndexOf(')');
  const pid = Number.parseInt(text, 10);
  const [state, parentPid, ...rest] = text.slice(bracket + 2).split(' ');
  const startTime = rest[17];
  if (!Number.isInteger(pid) || bracket < 0 || startTime === undefined || state === 'Z' || state === 'X') {
    return undefined;
  }
  return { pid, parentPid: Number(parentPid), startTime };
}

/** The process with this number, if there is one now. */
export function identify(pid: number): ProcessIdentity | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    // No such process, which is an answer.
    return undefined;
  }
}

export function isAlive(process: ProcessIdentity): boolean {
  return identify(process.pid)?.startTime === process.startTime;
}

/** Changes with every boot of the machine; start times only compare within one. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

export interface ListedProcess extends ProcessIdentity {
  readonly argv: readonly string[];
}

/** Every process of the machine with its argument vector, as far as it can be read. */
export async function listProcesses(): Promise<ListedProcess[]> {
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const identity = identify(pid);
      const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      return identity && { ...identity, argv: commandLine.split('\0').slice(0, -1) };
    }),
  );
  return found.filter((process) => process !== undefined);
}
