/** Makes a tree with everything that copies tend to lose. Argument: the root. Runs as root on a server. */
export const makeNastyTree = String.raw`
import os, socket, struct, subprocess, sys
root = os.fsencode(sys.argv[1])
os.makedirs(root, exist_ok=True)
os.chdir(root)

def put(name, content=b'x', mode=0o644, uid=0, gid=0):
    with open(name, 'wb') as file:
        file.write(content)
    os.chown(name, uid, gid)
    os.chmod(name, mode)

put(b'plain', b'hello\n')
put(b'empty', b'')
put(b'postgres', os.urandom(70000), 0o600, 70, 70)
put(b'setuid', b'#!/bin/sh\n', 0o4755)
put(b'setgid', b'#!/bin/sh\n', 0o2755, 33, 33)
put(b'readonly', b'no', 0o400, 1000, 1000)
put(b'nomode', b'none', 0o000, 12345678, 4000000000)
os.mkdir(b'links'); os.mkdir(b'zlinks')
put(b'links/one', os.urandom(9000), 0o640, 5, 6)
os.link(b'links/one', b'links/two'); os.link(b'links/one', b'zlinks/three')
put(b'pair-a', b'same inode'); os.link(b'pair-a', b'links/pair-b')
with open(b'holes', 'wb') as file:
    file.write(b'head'); file.seek(3 << 20); file.write(b'middle'); file.truncate(8 << 20)
with open(b'all-hole', 'wb') as file:
    file.truncate(5 << 20)
with open(b'zeros', 'wb') as file:
    file.write(b'\0' * 200000)
put(b'capable', b'#!', 0o755)
os.setxattr(b'capable', 'security.capability', struct.pack('<IIIII', 0x02000001, 1 << 10, 0, 0, 0))
put(b'attributed'); os.setxattr(b'attributed', 'user.comment', b'bin\0ary\xff'); os.setxattr(b'attributed', 'trusted.secret', b't')
put(b'acl'); subprocess.run(['setfacl', '-m', 'u:70:rw,g:33:r', b'acl'], check=True)
os.mkdir(b'acl-dir'); subprocess.run(['setfacl', '-m', 'd:u:70:rwx,u:71:rx', b'acl-dir'], check=True)
os.mkdir(b'attributed-dir'); os.setxattr(b'attributed-dir', 'user.dir', b'1')
os.symlink(b'plain', b'to-plain'); os.symlink(b'/etc/passwd', b'absolute'); os.symlink(b'no/such/thing', b'dangling')
os.symlink(b'../../outside', b'outside'); os.lchown(b'to-plain', 70, 71)
os.mkfifo(b'fifo', 0o620)
os.mknod(b'device', 0o20666, os.makedev(1, 3)); os.mknod(b'block', 0o60600, os.makedev(7, 200))
server = socket.socket(socket.AF_UNIX); server.bind(b'socket'); os.chmod(b'socket', 0o770); os.chown(b'socket', 70, 70)
os.mkdir(b'deep'); os.makedirs(b'deep/er/est', 0o711); put(b'deep/er/est/leaf', b'leaf')
os.mkdir(b'empty-dir', 0o1777); os.chmod(b'empty-dir', 0o1777)
for name in [b'new\nline', b'-rf', b'--delete', b' lead', b'trail ', b'quo"te\'s', b'back\\slash', b'$(touch x)', b'*', b'?', b'[a]',
             'ünï☃'.encode(), b'\xff\xfe\x80', b'%41', b'tab\there', b'a', b'a-', b'a.b', b'~', b'#', b'\x01\x7f', b'..x', b'n' * 255]:
    put(name, name)
os.mkdir(b'dir\nname'); put(b'dir\nname/in\nside', b'1'); os.mkdir(b'\xc3'); put(b'\xc3/\xa4', b'2')
os.mkdir(b'a-dir'); put(b'a-dir/z'); os.mkdir(b'a-dir-'); put(b'a-dir-/z'); put(b'a-dir.'); 
stamp = 1600000000123456789
for parent, dirs, files in os.walk(b'.', topdown=False):
    for number, name in enumerate(sorted(files + dirs)):
        os.utime(os.path.join(parent, name), ns=(stamp, stamp + number * 1000000007 % 10**15), follow_symlinks=False)
os.utime(b'.', ns=(stamp, stamp))
`;

/** Prints all about a tree with plain tools, in another way than the code under test. Argument: the root. */
export const describeTree = String.raw`
cd "$1" && export LC_ALL=C
find . \( -type d -printf '%p|%y|%m|%U|%G|%T@\0' \) -o -printf '%p|%y|%m|%U|%G|%T@|%s|%l|%n\0' | sort -z | tr '\0' '\n'
find . -type f -print0 | sort -z | xargs -0 sha256sum
find . -print0 | sort -z | xargs -0 getfattr -h -d -m - -e hex --
find . ! -type l -print0 | sort -z | xargs -0 getfacl -n --
find . -type b -o -type c | sort | xargs -d '\n' stat -c '%n %t:%T'
find . -type f -links +1 -printf '%i %p\0' | sort -z -k2 | awk 'BEGIN{RS="\0"} {i=$1; $1=""; if (!(i in g)) g[i]=$0; print g[i] " <-" $0}'
find . -type f -size +100k -printf '%p %b %s\n' | sort | awk '{print $1, ($2 * 512 < $3 ? "sparse" : "dense")}' | grep -v ./zeros
`;

/** Changes the tree as a running service might, in every way that a later pass can get wrong. Argument: the root. */
export const changeNastyTree = String.raw`
import os, shutil, socket, subprocess, sys
os.chdir(os.fsencode(sys.argv[1]))
with open('postgres', 'r+b') as file:
    file.seek(30000); file.write(b'changed')
st = os.stat('plain')
with open('plain', 'r+b') as file:
    file.write(b'HELLO\n')
os.utime('plain', ns=(st.st_atime_ns, st.st_mtime_ns + 1))
os.unlink('empty')
os.unlink('setgid'); os.mkdir('setgid'); open('setgid/inside', 'wb').write(b'was a file')
shutil.rmtree('deep'); open('deep', 'wb').write(b'was a directory')
os.unlink('links/two'); open('links/two', 'wb').write(os.urandom(9000))
os.link('plain', 'links/plain-too')
with open('pair-a', 'r+b') as file:
    file.write(b'SAME INODE')
os.removexattr('attributed', 'user.comment'); os.setxattr('attributed', 'user.new', b'n')
os.removexattr('attributed-dir', 'user.dir')
subprocess.run(['setfacl', '-b', 'acl'], check=True)
subprocess.run(['setfacl', '-k', '-m', 'u:72:r', 'acl-dir'], check=True)
os.removexattr('capable', 'security.capability')
os.chmod('readonly', 0o440); os.chown('nomode', 1, 1)
with open('holes', 'r+b') as file:
    file.seek(1 << 20); file.write(b'in the hole')
with open('all-hole', 'r+b') as file:
    file.truncate(9 << 20)
os.unlink('dangling'); os.symlink('another/missing', 'dangling')
os.unlink('to-plain'); os.mkdir('to-plain'); os.symlink('..', 'to-plain/up')
os.unlink('socket'); server = socket.socket(socket.AF_UNIX); server.bind('to-plain/socket'); os.chmod('to-plain/socket', 0o600)
os.unlink('fifo'); os.mkfifo('absolute2'); os.chmod('device', 0o640)
os.rename(b'dir\nname', b'renamed\n'); os.rename(b'\xff\xfe\x80', b'\xfe'); os.unlink(b'new\nline'); os.unlink(b'-rf')
os.utime('empty-dir', ns=(5, 1500000000000000001))
shutil.rmtree('a-dir'); os.symlink('/etc', 'a-dir')
`;
