import { GridferryError } from '../errors.ts';
import type { Host } from './host.ts';

/**
 * The beginning of every script that works in a transfer's own folder on a server: `sh -c SCRIPT sh ID …`. It belongs to
 * the login user, who alone may look into it, and lies beside the fence's file; not in /run/user or /dev/shm, which are
 * emptied when the user's last login ends while a job goes on.
 *
 * A program is noted there as `PID START BOOT` (proc(5): the start time is the 20th value after the name in parentheses),
 * so that never another's is ended. `end FILE` ends what is noted, and all that it started: TERM to its process group, and
 * KILL after two seconds.
 */
export const FOLDER = `umask 077
base=\${XDG_STATE_HOME:-$HOME/.local/state}/gridferry/transfers
folder=$base/$1
read -r boot </proc/sys/kernel/random/boot_id
pause() { sleep "$1" 2>/dev/null || sleep 1; }
state_of() { ( { read -r line <"/proc/$1/stat"; } 2>/dev/null || exit 1; set -- \${line##*) }; echo "$1 \${20}" ); }
alive() {
  { read -r pid began its_boot rest <"$1"; } 2>/dev/null && [ "$its_boot" = "$boot" ] || return 1
  set -- $(state_of "$pid")
  [ -n "$began" ] && [ "$2" = "$began" ] && [ "$1" != Z ] && [ "$1" != X ]
}
end() {
  alive "$1" || return 0
  kill -s TERM -- "-$pid" 2>/dev/null || kill -s TERM "$pid"
  tries=0
  # Its leader may go before the rest of a group does.
  while alive "$1" || kill -s 0 -- "-$pid" 2>/dev/null; do
    [ $tries -ne 40 ] || kill -s KILL -- "-$pid" 2>/dev/null || kill -s KILL "$pid" 2>/dev/null
    [ $tries -lt 100 ] || { echo "process $pid does not end" >&2; return 1; }
    tries=$((tries + 1))
    pause 0.05
  done
}
`;

/** Ends every program that is noted in a transfer's folder, whoever started it; of the jobs, those whose name begins so. */
const STOP = `${FOLDER}
for file in "$folder"/jobs/"$2"*/pid "$folder"/doors/*.pid; do
  [ ! -e "$file" ] || end "$file" || exit 1
done
`;

/** The warm connection ends with its folder; then nothing of the transfer is left. */
const REMOVE = `${STOP}
if [ -d "$folder" ]; then
  [ ! -e "$folder/master.pid" ] || end "$folder/master.pid" || exit 1
  rm -rf "$folder" || exit 1
fi
rmdir "$base" "\${base%/*}" 2>/dev/null
[ ! -e "$folder" ]
`;

/** The transfers that have a folder, a line each. */
const LIST = `${FOLDER}
for folder in "$base"/*/; do [ ! -d "$folder" ] || basename "$folder"; done
`;

/** Of these, those in which nothing runs and nothing was changed for a day. A line each. */
const ABANDONED = `${FOLDER}
for folder in "$base"/*/; do
  folder=\${folder%/}
  [ -d "$folder" ] || continue
  [ -z "$(find "$folder" -mmin -1440 2>/dev/null | head -n 1)" ] || continue
  busy=
  for file in "$folder"/jobs/*/pid "$folder"/doors/*.pid; do
    if [ -e "$file" ] && alive "$file"; then busy=1; fi
  done
  [ -n "$busy" ] || basename "$folder"
done
`;

/** @throws `GF_COMMAND_BAD_ARGUMENT` for what cannot name a folder of ours. */
export function checkFolderId(id: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/.test(id)) return id;
  throw new GridferryError('GF_COMMAND_BAD_ARGUMENT', `'${id}' cannot name the folder of a transfer.`);
}

/** Ends the jobs of a transfer on a server, and what others run there for it. They are seen gone. */
export async function stopPrograms(
  host: Host,
  id: string,
  /** Only jobs whose name begins so. */
  { jobs = '' }: { readonly jobs?: string } = {},
  signal?: AbortSignal,
): Promise<void> {
  const argv = ['sh', '-c', STOP, 'sh', checkFolderId(id), jobs];
  await host.exec(argv, signal === undefined ? {} : { signal });
}

/** Ends them, closes the connection to the other server, and removes the folder. None is fine. */
export async function removeTransferFolder(host: Host, id: string, signal?: AbortSignal): Promise<void> {
  await host.exec(['sh', '-c', REMOVE, 'sh', checkFolderId(id)], signal === undefined ? {} : { signal });
}

/** The transfers that have a folder on a server. */
export async function transferFolders(host: Host, signal?: AbortSignal): Promise<readonly string[]> {
  const { stdout } = await host.exec(['sh', '-c', LIST, 'sh', '-'], signal === undefined ? {} : { signal });
  return stdout.split('\n').filter((id) => id !== '');
}

/** Of these, those in which nothing runs and nothing has happened for a day. */
export async function abandonedFolders(host: Host, signal?: AbortSignal): Promise<readonly string[]> {
  const { stdout } = await host.exec(['sh', '-c', ABANDONED, 'sh', '-'], signal === undefined ? {} : { signal });
  return stdout.split('\n').filter((id) => id !== '');
}
