import { plainEnvironment } from './bench-tools.ts';
import type { Workbench } from './workbench.ts';

/*
 * What tar cannot do on a target: remove what the source no longer has, clear attributes of a folder, make sockets. The
 * changes are in a file on the target, NUL-separated words: `R path`, `X path`, `S mode uid gid seconds nanoseconds path`,
 * paths raw and relative to the root. R and X are done before tar runs, S after it. Doing them twice does no harm.
 */

const pythonProgram = String.raw`
import os, shutil, socket, stat, sys
root, file, phase = os.fsencode(sys.argv[1]), sys.argv[2], sys.argv[3]

def words():
    rest = b''
    with open(file, 'rb') as stream:
        while True:
            block = stream.read(1 << 16)
            if not block:
                return
            parts = (rest + block).split(b'\0')
            rest = parts.pop()
            yield from parts

def place(path):
    return root + b'/' + path

def remove(path):
    try:
        st = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISDIR(st.st_mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)

def make_socket(path, mode, uid, gid, seconds, nanos):
    parent = os.path.dirname(path)
    before = os.lstat(parent)
    remove(path)
    os.mknod(path, stat.S_IFSOCK | 0o600)
    os.chown(path, uid, gid)
    os.chmod(path, mode)
    os.utime(path, ns=(seconds * 10**9 + nanos,) * 2)
    os.utime(parent, ns=(before.st_atime_ns, before.st_mtime_ns))

stream = words()
for kind in stream:
    if kind == b'S':
        mode, uid, gid, seconds, nanos = int(next(stream), 8), *(int(next(stream)) for _ in range(4))
        path = next(stream)
        if phase == 'after':
            make_socket(place(path), mode, uid, gid, seconds, nanos)
        continue
    path = next(stream)
    if phase != 'before':
        continue
    if kind == b'R':
        remove(place(path))
    elif kind == b'X':
        for name in os.listxattr(place(path)):
            if name.startswith(('user.', 'trusted.', 'system.posix_acl_')) or name == 'security.capability':
                os.removexattr(place(path), name)
`;

const perlProgram = String.raw`
use strict; use warnings; use Socket; use Errno qw(ENOENT ENOTDIR);
my ($root, $file, $phase) = @ARGV;
open(my $stream, '<', $file) or die "$file: $!\n";
$/ = "\0";
sub word { my $word = <$stream>; chomp $word if defined $word; return $word }
sub run { system(@_) == 0 or die "$_[0] failed\n" }
sub make_socket {
  my ($path, $mode, $uid, $gid, $time) = @_;
  my ($parent, $name) = $path =~ m{^(.*)/([^/]+)$}s;
  # A socket's address has room for a short name only, so its folder is entered first.
  chdir $parent or die "$parent: $!\n";
  run('touch', '-r', '.', "$file.time");
  run('rm', '-rf', '--', $name);
  socket(my $socket, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!\n";
  bind($socket, pack_sockaddr_un($name)) or die "$path: $!\n";
  chown($uid, $gid, $name) or die "$path: $!\n";
  chmod($mode, $name) or die "$path: $!\n";
  run('touch', '-d', "\@$time", '--', "./$name");
  run('touch', '-r', "$file.time", '.');
}
while (defined(my $kind = word())) {
  if ($kind eq 'S') {
    my ($mode, $uid, $gid, $seconds, $nanos) = map { word() } 1 .. 5;
    my $path = word();
    make_socket("$root/$path", oct $mode, $uid, $gid, sprintf('%d.%09d', $seconds, $nanos)) if $phase eq 'after';
    next;
  }
  my $path = word();
  next if $phase ne 'before';
  if ($kind eq 'R') { run('rm', '-rf', '--', "$root/$path") }
  elsif ($kind eq 'X') { run('setfacl', '-b', '-k', '--', "$root/$path"); strip("$root/$path") }
}
sub strip {
  my $path = shift;
  open(my $names, '-|', 'getfattr', '--absolute-names', '-h', '-m', '-', '--', $path) or die "getfattr: $!\n";
  local $/ = "\n";
  for my $name (map { chomp; $_ } <$names>) {
    run('setfattr', '-h', '-x', $name, '--', $path) if $name =~ /^(?:user|trusted)\.[!-~]+$/;
  }
}
`;

/** Carries out one phase of the changes in a file on the target. */
export async function applyChanges(
  bench: Workbench,
  root: string,
  file: string,
  phase: 'before' | 'after',
  signal: AbortSignal | undefined,
): Promise<{ readonly exitCode: number; readonly stderr: string }> {
  const program = bench.tools.python3 ? ['python3', '-I', '-S', '-'] : ['perl', '-'];
  return bench.exec([...program, root, file, phase], {
    env: plainEnvironment,
    input: bench.tools.python3 ? pythonProgram : perlProgram,
    allowFailure: true,
    timeoutMs: 24 * 3_600_000,
    ...(signal ? { signal } : {}),
  });
}
