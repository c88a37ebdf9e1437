/**
 * Writes a manifest with Python 3 (see `manifest-record.ts` for the format). Arguments: root, `full` or `metadata`, the
 * manifest to write, an earlier manifest or '', how many processes may hash, and the time since which changes may be in it
 * (nanoseconds since the epoch), or '' for now. It begins when a line `go` comes on its
 * input, and ends without a trace when none comes. Prints a summary as JSON.
 *
 * `manifest-perl.ts` does the same, byte for byte: a source with one and a target with the other must agree.
 */
export const pythonManifest = String.raw`
import errno, hashlib, itertools, json, os, re, stat, sys, time

root, mode, out, previous, workers = os.fsencode(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])
full = mode == 'full'
# Not later than when what was in mapped memory began to be written back.
started = int(sys.argv[6] or time.time_ns())
plain = re.compile(rb'[!-$&-~]+').fullmatch
table = [bytes([c]) if 0x21 <= c <= 0x7e and c != 0x25 else b'%%%02x' % c for c in range(256)]
# File systems stamp changes with the kernel's last tick; old ones with the last second or two.
TICK, COARSE = 100000000, 2000000000
# Files with holes that the summary names.
MOST_HOLLOW = 1000

def escape(raw):
    return raw if plain(raw) else b''.join([table[c] for c in raw])

def unescape(text):
    return re.sub(rb'%([0-9a-f]{2})', lambda m: bytes([int(m.group(1), 16)]), text)

def place(text):
    return root if text == b'.' else root + b'/' + unescape(text)

def nanoseconds(value):
    return b'%d.%09d' % (value // 1000000000, value % 1000000000)

def previous_entries():
    if not previous:
        return
    with open(previous + '.json') as file:
        limit = json.load(file)['startedNs']
    limit = int(limit)
    with open(previous, 'rb') as file:
        for line in file:
            shared, _, local = line.rstrip(b'\n').split(b'\t')
            fields = shared.split(b' ')
            if len(fields[12]) != 64:
                continue
            ctime, inode, _ = local.split(b' ')
            seconds, nanos = ctime.split(b'.')
            # Written that close to its own hashing, a file may have changed again without a new ctime.
            slack = COARSE if nanos == b'000000000' else TICK
            if int(seconds) * 1000000000 + int(nanos) > limit - slack:
                continue
            yield fields[0].replace(b'/', b'\x01'), (fields[5], fields[6], ctime, inode), fields[12]

# Some are read ahead, while there is nothing else to do.
earlier = previous_entries()
earlier = itertools.chain(list(itertools.islice(earlier, 100000)), earlier)
candidate = next(earlier, None)

def known_hash(key, identity):
    global candidate
    while candidate is not None and candidate[0] < key:
        candidate = next(earlier, None)
    if candidate is not None and candidate[0] == key and candidate[1] == identity:
        return candidate[2]
    return None

KINDS = {stat.S_IFREG: b'f', stat.S_IFDIR: b'd', stat.S_IFLNK: b'l', stat.S_IFIFO: b'p', stat.S_IFSOCK: b's',
         stat.S_IFCHR: b'c', stat.S_IFBLK: b'b'}
IGNORED = ('security.selinux', 'security.evm', 'security.ima')

def attributes(path):
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENOENT, errno.EPERM):
            return b'-', b'-'
        raise
    if not names:
        return b'-', b'-'
    acl, other = [], []
    for name in sorted(os.fsencode(n) for n in names):
        text = os.fsdecode(name)
        is_acl = text.startswith('system.posix_acl_')
        if not is_acl and (text in IGNORED or not text.startswith(('user.', 'trusted.', 'security.'))):
            continue
        try:
            value = os.getxattr(path, name, follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.ENOENT):
                continue
            raise
        (acl if is_acl else other).append(escape(name) + b'=' + value.hex().encode())
    return b','.join(acl) or b'-', b','.join(other) or b'-'

def hole_bytes(path, st):
    if st.st_blocks * 512 >= st.st_size:
        return 0
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return 0
    try:
        total, position = 0, 0
        while position < st.st_size:
            hole = os.lseek(fd, position, os.SEEK_HOLE)
            if hole >= st.st_size:
                break
            try:
                position = os.lseek(fd, hole, os.SEEK_DATA)
            except OSError:
                position = st.st_size
            total += position - hole
        return total
    except OSError:
        return 0
    finally:
        os.close(fd)

# Everything that can be done without looking at the tree is done: the word to begin comes on the input, after the program.
if sys.stdin.buffer.readline() != b'go\n':
    sys.exit(75)

summary = dict(entries=0, files=0, bytes=0, hashedBytes=0, reusedBytes=0, skippedMounts=0, unreadable=0,
               allocatedBytes=0, inodes=0,
               startedNs=str(started))
links = {}
meta = open(out + '.meta', 'wb', 1 << 20)
todo = open(out + '.todo', 'wb', 1 << 20)
jobs = 0

def record(text, path, st):
    global jobs
    kind = stat.S_IFMT(st.st_mode)
    link, target, device, content, holes, size = b'-', b'-', b'-', b'-', 0, 0
    mtime, ctime = nanoseconds(st.st_mtime_ns), nanoseconds(st.st_ctime_ns)
    if kind == stat.S_IFLNK:
        try:
            target = escape(os.readlink(path))
        except FileNotFoundError:
            return
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        device = b'%d:%d' % (os.major(st.st_rdev), os.minor(st.st_rdev))
    if kind != stat.S_IFDIR and st.st_nlink > 1:
        first = links.setdefault((st.st_dev, st.st_ino), text)
        if first is not text:
            link = first
    if link == b'-':
        summary['inodes'] += 1
        summary['allocatedBytes'] += st.st_blocks * 512
    if kind == stat.S_IFREG:
        size = st.st_size
        summary['files'] += 1
        holes = hole_bytes(path, st)
        if link == b'-':
            summary['bytes'] += size
            if full:
                identity = (b'%d' % size, mtime, ctime, b'%d' % st.st_ino)
                content = known_hash(text.replace(b'/', b'\x01'), identity)
                if content is None:
                    content = b'?'
                    jobs += 1
                    todo.write(b' '.join((text,) + identity) + b'\n')
                else:
                    summary['reusedBytes'] += size
    acl, xattr = attributes(path)
    summary['entries'] += 1
    meta.write(b'%s %s %o %d %d %d %s %s %s %s %s %s %s\t%d\t%s %d %d\n' % (
        text, KINDS[kind], stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid, size, mtime, device, target, link, acl, xattr,
        content, holes, ctime, st.st_ino, st.st_nlink))

top = os.lstat(root)
record(b'.', root, top)

def children(path, text):
    try:
        names = os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return iter(())
    prefix = b'' if text == b'.' else text + b'/'
    return iter([(prefix + name, path + b'/' + raw) for name, raw in sorted((escape(raw), raw) for raw in names)])

stack = [children(root, b'.')] if stat.S_ISDIR(top.st_mode) else []
while stack:
    item = next(stack[-1], None)
    if item is None:
        stack.pop()
        continue
    text, path = item
    try:
        st = os.lstat(path)
    except FileNotFoundError:
        continue
    record(text, path, st)
    if stat.S_ISDIR(st.st_mode):
        if st.st_dev == top.st_dev:
            stack.append(children(path, text))
        else:
            summary['skippedMounts'] += 1
meta.close()
todo.close()

def identity_of(fd):
    st = os.fstat(fd)
    return (b'%d' % st.st_size, nanoseconds(st.st_mtime_ns), nanoseconds(st.st_ctime_ns), b'%d' % st.st_ino)

def hash_file(path, identity, buffer):
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        try:
            fd = os.open(path, flags | os.O_NOATIME)
        except PermissionError:
            fd = os.open(path, flags)
    except OSError:
        return b'!'
    try:
        if identity_of(fd) != identity:
            return b'!'
        digest = hashlib.blake2b(digest_size=32)
        while True:
            count = os.readv(fd, [buffer])
            if count == 0:
                break
            digest.update(buffer[:count])
        return digest.hexdigest().encode() if identity_of(fd) == identity else b'!'
    except OSError:
        return b'!'
    finally:
        os.close(fd)

# Every worker reads the same list and deals it out in the same way, so nothing needs to be said between them.
def work(number, count):
    buffer = memoryview(bytearray(1 << 20))
    load, owner, index, in_chunk, chunk_bytes = [0] * count, 0, 0, 64, 0
    with open(out + '.todo', 'rb') as jobs_file, open('%s.hash%d' % (out, number), 'wb', 1 << 20) as result:
        for line in jobs_file:
            fields = line.rstrip(b'\n').split(b' ')
            size = int(fields[1])
            if in_chunk == 64 or chunk_bytes + size > 8 << 20:
                owner, in_chunk, chunk_bytes = load.index(min(load)), 0, 0
            in_chunk += 1
            chunk_bytes += size
            load[owner] += size + 65536
            if owner == number:
                result.write(b'%d %s\n' % (index, hash_file(place(fields[0]), tuple(fields[1:5]), buffer)))
            index += 1

count = max(1, min(workers, jobs // 32 + 1))
children_pids = []
for number in range(1, count):
    pid = os.fork()
    if pid == 0:
        try:
            work(number, count)
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    children_pids.append(pid)
work(0, count)
for pid in children_pids:
    if os.waitpid(pid, 0)[1] != 0:
        sys.exit('a hashing process failed')

results = [open('%s.hash%d' % (out, number), 'rb') for number in range(count)]
heads = [file.readline() for file in results]
digest, holes_digest, index = hashlib.blake2b(digest_size=32), hashlib.blake2b(digest_size=32), 0
hollow = {}
with open(out + '.meta', 'rb') as lines, open(out + '.new', 'wb', 1 << 20) as final:
    for line in lines:
        shared, holes, local = line.split(b'\t')
        if shared.endswith(b' ?'):
            owner = next(i for i, head in enumerate(heads) if head and int(head.split(b' ')[0]) == index)
            content = heads[owner].split(b' ')[1].rstrip(b'\n')
            heads[owner] = results[owner].readline()
            index += 1
            if content == b'!':
                summary['unreadable'] += 1
            else:
                summary['hashedBytes'] += int(shared.split(b' ')[5])
            shared = shared[:-1] + content
        final.write(b'%s\t%s\t%s' % (shared, holes, local))
        digest.update(shared + b'\n')
        if holes != b'0':
            path = shared[:shared.index(b' ')]
            holes_digest.update(path + b' ' + holes + b'\n')
            if len(hollow) <= MOST_HOLLOW:
                hollow[path.decode()] = int(holes)
for file in results:
    file.close()
summary['digest'] = digest.hexdigest()
summary['holesDigest'] = holes_digest.hexdigest()
if len(hollow) <= MOST_HOLLOW:
    summary['holes'] = hollow
for name in ['.meta', '.todo'] + ['.hash%d' % number for number in range(count)]:
    os.unlink(out + name)
text = json.dumps(summary)
with open(out + '.json.new', 'w') as file:
    file.write(text)
if os.path.exists(out + '.json'):
    os.unlink(out + '.json')
os.rename(out + '.new', out)
os.rename(out + '.json.new', out + '.json')
print(text)
`;
