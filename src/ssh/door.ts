import { randomBytes } from 'node:crypto';
import { shellQuote } from '../security/shell-quote.ts';
import type { Host } from './host.ts';
import { checkFolderId, FOLDER } from './transfer-folder.ts';

/** So that the controller can end it, should this connection be cut in a way that sshd does not notice. */
const NOTE_DOOR = `read -r line </proc/$$/stat && read -r boot </proc/sys/kernel/random/boot_id || refuse
set -- \${line##*) }
echo "$$ \${20} $boot" >"$name.pid"`;

/**
 * The forced command of a transfer's key. Whoever logs in with it may run one of the commands that the controller has put
 * beside it, by its name, and each of them once: the name is a number nobody can guess, and what is run, and with which
 * arguments, was written by the controller alone.
 */
export const DOOR_SCRIPT = `refuse() { echo "gridferry: refused" >&2; exit 126; }
name=\${SSH_ORIGINAL_COMMAND#run }
[ "$SSH_ORIGINAL_COMMAND" = "run $name" ] && [ \${#name} -eq 32 ] || refuse
case $name in *[!0-9a-f]*) refuse ;; esac
cd "\${0%/*}/doors" || refuse
# Whoever moves it runs it: twice is refused.
mv "$name" "$name.open" 2>/dev/null || refuse
command=$(cat "$name.open")
${NOTE_DOOR}
rm -f "$name.open"
cd /
unset SSH_ORIGINAL_COMMAND
exec sh -c "$command"
`;

const INSTALL = `${FOLDER}
mkdir -p "$folder/doors" || exit 1
cat >"$folder/door.new" && mv -f "$folder/door.new" "$folder/door" || exit 1
echo "$folder/door"
`;

const PUT = `${FOLDER}
for file in "$folder"/doors/*.pid; do
  [ ! -e "$file" ] || alive "$file" || rm -f "$file"
done
cat >"$folder/doors/$2.new" && mv "$folder/doors/$2.new" "$folder/doors/$2"
`;

const CLOSE = `${FOLDER}
rm -f "$folder/doors/$2"
`;

/**
 * Puts the script in place.
 *
 * @returns the forced command that runs it, or `undefined` where the home's path cannot be written into authorized_keys.
 */
export async function installDoor(host: Host, id: string, signal?: AbortSignal): Promise<string | undefined> {
  const { stdout } = await host.exec(['sh', '-c', INSTALL, 'sh', checkFolderId(id)], {
    input: DOOR_SCRIPT,
    ...(signal === undefined ? {} : { signal }),
  });
  const path = stdout.trim().split('\n').at(-1) ?? '';
  return /^\/[A-Za-z0-9_./@:+-]+$/.test(path) ? `exec sh ${path}` : undefined;
}

/**
 * Allows one command, once.
 *
 * @returns what to ask sshd for.
 */
export async function openDoor(
  host: Host,
  id: string,
  argv: readonly string[],
  signal?: AbortSignal,
): Promise<{ readonly request: string; close(): Promise<void> }> {
  const name = randomBytes(16).toString('hex');
  await host.exec(['sh', '-c', PUT, 'sh', checkFolderId(id), name], {
    input: `exec ${shellQuote(host.guard?.(argv) ?? argv)}`,
    ...(signal === undefined ? {} : { signal }),
  });
  return {
    request: `run ${name}`,
    async close() {
      await host.exec(['sh', '-c', CLOSE, 'sh', id, name], { allowFailure: true });
    },
  };
}
