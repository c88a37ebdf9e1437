import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { fleetCommand } from '../../src/sandbox/fleet.ts';

/** Looks for planted secrets on one server, from the inside, until it is stopped; answers with every place it saw one. */
export interface SecretHunt {
  stop(): Promise<string[]>;
}

/**
 * As root, over and over: the command lines and environments of all processes but those inside containers (a container's
 * own is Docker's to know), and all small files where Gridferry could leave something. Its list comes by its input, so
 * that the hunt itself plants nothing. Arguments: none.
 */
const hunter = String.raw`
import json, os, sys, threading, time
needles = [(name, value.encode()) for name, value in json.loads(sys.stdin.readline())]
seen, done = set(), threading.Event()
def stop():
    sys.stdin.read(); done.set()
threading.Thread(target=stop, daemon=True).start()
def look(place, text):
    for name, value in needles:
        if value in text: seen.add(f'{name} in {place}')
def read(path, limit=1 << 20):
    try:
        with open(path, 'rb') as file: return file.read(limit)
    except OSError: return b''
own = os.readlink('/proc/self/ns/pid')
roots = ['/tmp', '/var/tmp', '/run/user', '/var/lib/gridferry', '/root', '/home', '/dev/shm']
samples, last_files = 0, 0
while True:
    final = done.is_set()
    for pid in os.listdir('/proc'):
        if not pid.isdigit(): continue
        try:
            if os.readlink(f'/proc/{pid}/ns/pid') != own: continue
        except OSError: continue
        command = read(f'/proc/{pid}/cmdline')
        look(f'the command line of {command[:60].decode(errors="replace")!r}', command)
        look(f'the environment of {command[:60].decode(errors="replace")!r}', read(f'/proc/{pid}/environ'))
    if final or time.monotonic() - last_files > 0.1:
        for root in roots:
            for folder, _, names in os.walk(root):
                for name in names:
                    # How Docker tells its runtime what to start.
                    if name.startswith('runc-process'): continue
                    path = os.path.join(folder, name)
                    look(f'the name {folder}/{name}', os.fsencode(path))
                    if os.path.isfile(path): look(path, read(path))
        last_files = time.monotonic()
    samples += 1
    if final: break
    time.sleep(0.005)
print(json.dumps({'seen': sorted(seen), 'samples': samples}))
`;

export async function startSecretHunt(
  fleet: string,
  server: string,
  planted: ReadonlyMap<string, string>,
): Promise<SecretHunt> {
  const { file, args, env } = await fleetCommand(fleet, server, ['python3', '-u', '-c', hunter]);
  const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stdin.write(`${JSON.stringify([...planted])}\n`);
  return {
    async stop() {
      child.stdin.end();
      await once(child, 'close');
      const { seen, samples } = JSON.parse(output) as { seen: string[]; samples: number };
      if (samples < 2) throw new Error(`the hunt on ${server} looked only ${String(samples)} times`);
      return seen.map((place) => `${server}: ${place}`);
    },
  };
}

/** The planted secrets that a text has, in the forms that a program might write them in. */
export function secretsIn(text: string, planted: ReadonlyMap<string, string>): string[] {
  return [...planted].flatMap(([name, value]) => (formsOf(value).some((form) => text.includes(form)) ? [name] : []));
}

function formsOf(value: string): string[] {
  const base64 = Buffer.from(value).toString('base64').replace(/=+$/, '');
  return [value, base64, Buffer.from(value).toString('hex'), encodeURIComponent(value)];
}

/** Watches the command lines of this machine's processes below one, as `ps` shows them to everybody. */
export function watchCommandLines(pid: number, planted: ReadonlyMap<string, string>): () => string[] {
  const seen = new Set<string>();
  const timer = setInterval(() => {
    for (const each of familyOf(pid)) {
      for (const name of secretsIn(readOrNothing(`/proc/${each}/cmdline`), planted))
        seen.add(`${name} in a command line`);
    }
  }, 10);
  return () => {
    clearInterval(timer);
    return [...seen];
  };
}

function familyOf(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = /^\d+ \(.*\) \S (?<parent>\d+)/s.exec(readOrNothing(`/proc/${name}/stat`))?.groups?.['parent'];
    parents.set(Number(name), Number(parent));
  }
  const belongs = (each: number): boolean => each === pid || (each > 1 && belongs(parents.get(each) ?? 0));
  return [...parents.keys()].filter(belongs);
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    // It ended meanwhile.
    return '';
  }
}
