import { GridferryError } from '../errors.ts';
import type { Host } from './host.ts';
import { checkFolderId } from './transfer-folder.ts';

/** A line for one transfer's key: from where it may come, and the only program it may run. */
export interface AuthorizedLine {
  /** The transfer: it may have one line on a server; an older one is replaced. */
  readonly id: string;
  /** `ssh-ed25519 AAAA…` */
  readonly publicKey: string;
  /** IP addresses that a login may come from. */
  readonly from: readonly string[];
  /** What runs instead of whatever is asked for. */
  readonly command: string;
}

/** How long sshd takes the key at the most, whatever becomes of us. */
const LIFETIME_SECONDS = 600;

/** Ends the comment of our lines, where the file, or its folder too, was made for it: they go with it. */
const MADE = '\\(:[a-z]*\\)\\{0,1\\}';
const LINE = `^restrict,.* ssh-ed25519 [A-Za-z0-9+/=]* gridferry:`;

/**
 * Rewrites a login user's authorized_keys: `sh -c EDIT sh ID [FROM COMMAND KEY]`. Without a key the line is only removed.
 *
 * The new content is written beside the file, under its owner, mode and attributes, and takes its place at once: sshd sees
 * the old file or the new one. Our line is the first, so that no other byte changes, a missing newline at the end included.
 * Whoever else edits it between our reading and our writing is noticed, and it is done again.
 */
const EDIT = `umask 077
export LC_ALL=C
id=$1 from=$2 command=$3 key=$4
file=$HOME/.ssh/authorized_keys made=
if [ -L "$file" ]; then file=$(readlink -f -- "$file") || { echo "authorized_keys leads nowhere" >&2; exit 1; }; fi
dir=\${file%/*}
if [ ! -d "$dir" ]; then
  [ -n "$key" ] || exit 0
  if mkdir "$dir" 2>/dev/null; then made=:folder; fi
fi
if command -v flock >/dev/null 2>&1; then exec 9<"$dir" && flock -w 10 9; fi
for old in "$dir"/.gridferry-keys.*; do
  [ ! -e "$old" ] || [ -n "$(find "$old" -mmin -1 2>/dev/null)" ] || rm -f "$old"
done
if [ ! -e "$file" ]; then
  [ -n "$key" ] || exit 0
  : >"$file" || exit 1
  made=\${made:-:file}
fi
expiry=
# Since OpenSSH 7.7; an option that sshd does not know would make it ignore the line.
version=$(ssh -V 2>&1 | sed -n 's/^OpenSSH_\\([0-9]*\\)\\.\\([0-9]*\\).*/\\1 \\2/p')
set -- $version
if [ "\${1:-0}" -gt 7 ] || { [ "\${1:-0}" -eq 7 ] && [ "\${2:-0}" -ge 7 ]; }; then
  until=$(date -d "@$(($(date +%s) + ${LIFETIME_SECONDS}))" +%Y%m%d%H%M 2>/dev/null) && expiry="expiry-time=\\"$until\\","
fi
tries=0
while :; do
  was=$dir/.gridferry-keys.$$.was new=$dir/.gridferry-keys.$$.new
  trap 'rm -f "$was" "$new"' EXIT
  cp -p -- "$file" "$was" && cp -p -- "$was" "$new" || exit 1
  old=$(sed -n "s|${LINE}$id${MADE}\\$|\\1|p" "$was" | tail -n 1)
  {
    [ -z "$key" ] || echo "restrict,\${expiry}from=\\"$from\\",command=\\"$command\\" $key gridferry:$id\${made:-$old}"
    sed "\\|${LINE}$id${MADE}\\$|d" "$was"
  } >"$new" || exit 1
  if cmp -s "$new" "$was"; then exit 0; fi
  if cmp -s "$file" "$was"; then break; fi
  tries=$((tries + 1))
  [ $tries -lt 20 ] || { echo "authorized_keys keeps changing" >&2; exit 1; }
done
if [ -z "$key" ] && [ -n "$old" ] && [ ! -s "$new" ]; then
  rm -f "$was" "$new" "$file" || exit 1
  [ "$old" = :file ] || rmdir "$dir" 2>/dev/null
  exit 0
fi
mv -f -- "$new" "$file"
`;

/** Prints the transfers that have a line, a line each. */
const LIST = `sed -n "s|${LINE}\\([A-Za-z0-9-]*\\)${MADE}\\$|\\1|p" "$HOME/.ssh/authorized_keys" 2>/dev/null; true`;

/**
 * Lets a key log in for one transfer. The line goes by itself out of force after ten minutes (OpenSSH ≥ 7.7).
 *
 * @throws `GF_SSH_KEYS_UNWRITABLE`, and what `Host` throws.
 */
export async function authorizeKey(host: Host, line: AuthorizedLine, signal?: AbortSignal): Promise<void> {
  const { id, from, command, publicKey } = line;
  // Between double quotes in the file; sshd knows no other escape there.
  if (/["\\\n]/.test(command)) throw new Error(`the forced command cannot be written as it is: ${command}`);
  await edit(host, [checkFolderId(id), from.join(','), command, publicKey], signal);
}

/** Takes the line of a transfer away; none is fine. Throws as `authorizeKey`. */
export async function revokeKey(host: Host, id: string, signal?: AbortSignal): Promise<void> {
  await edit(host, [checkFolderId(id)], signal);
}

/** The transfers that have a line in the login user's file. */
export async function authorizedTransfers(host: Host, signal?: AbortSignal): Promise<readonly string[]> {
  const { stdout } = await host.exec(['sh', '-c', LIST], signal === undefined ? {} : { signal });
  return stdout.split('\n').filter((id) => id !== '');
}

async function edit(host: Host, args: readonly string[], signal: AbortSignal | undefined): Promise<void> {
  const { exitCode, stderr } = await host.exec(['sh', '-c', EDIT, 'sh', ...args], {
    allowFailure: true,
    ...(signal === undefined ? {} : { signal }),
  });
  if (exitCode === 0) return;
  throw new GridferryError(
    'GF_SSH_KEYS_UNWRITABLE',
    `~/.ssh/authorized_keys of ${host.user} on server ${host.name} cannot be changed (${stderr.trim().split('\n').at(-1) ?? ''}): let ${host.user} write to it, or set spec.transport to Relay.`,
    { class: 'retryable', details: { server: host.name } },
  );
}
