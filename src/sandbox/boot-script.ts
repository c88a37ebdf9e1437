/** Folders that a server shares with the machine it runs on, each under an overlay of its own. */
export const sharedFolders = ['usr', 'opt', 'var/lib/dpkg'] as const;

/** Where an engine other than the machine's own appears inside its server. */
export const engineFolder = '/var/lib/gridferry-engine';

/**
 * The first process of a server's namespaces: it builds the server's own root from its disk and becomes an init that
 * holds the process namespace. Its death kills everything inside; the kernel reaps for it, because SIGCHLD is ignored.
 *
 * Arguments: the server's folder, its name, the engine's folder or '', then the shared folders.
 */
export const bootScript = `#!/bin/sh
set -eu
umask 022
dir=$1 name=$2 engine=$3
shift 3
root=$dir/root

# The machine's own /proc is still here: /proc/self/stat gives the number that the outside knows this process by.
read -r stat </proc/self/stat
read -r boot </proc/sys/kernel/random/boot_id
printf '%s\\n%s\\n' "$stat" "$boot" >"$dir/init.new"
mv "$dir/init.new" "$dir/init"

mount --bind "$root" "$root"
number=0
for folder in "$@"; do
  number=$((number + 1))
  over=$dir/overlay/$number
  mkdir -p "$over/upper" "$over/work"
  chmod --reference="/$folder" "$over/upper"
  mount -t overlay -o "lowerdir=/$folder,upperdir=$over/upper,workdir=$over/work" overlay "$root/$folder" 2>/dev/null || {
    mount --bind "/$folder" "$root/$folder"
    mount -o remount,bind,ro "$root/$folder"
  }
done
if [ -n "$engine" ]; then
  mount --bind "$engine" "$root${engineFolder}"
  mount -o remount,bind,ro "$root${engineFolder}"
fi

mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o nosuid,nodev,noexec sysfs "$root/sys"
if grep -q ' /sys/fs/cgroup[ /]' /proc/self/mountinfo; then
  mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
else
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
fi

mount -t tmpfs -o nosuid,mode=755,size=4m dev "$root/dev"
for device in null zero full random urandom tty kmsg fuse; do
  [ -e "/dev/$device" ] && cp -a "/dev/$device" "$root/dev/$device"
done
[ -e /dev/net/tun ] && mkdir "$root/dev/net" && cp -a /dev/net/tun "$root/dev/net/tun"
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o nosuid,nodev,mode=1777 shm "$root/dev/shm"
mount -t mqueue mqueue "$root/dev/mqueue"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"

mount -t tmpfs -o nosuid,nodev,mode=755 run "$root/run"
mkdir -p "$root/run/sshd" "$root/run/lock"
chmod 1777 "$root/run/lock"
: >"$root/run/utmp"
find "$root/tmp" -mindepth 1 -delete

echo "$name" >/proc/sys/kernel/hostname
echo 1 >/proc/sys/net/ipv4/ip_forward

cd "$root"
mkdir -p .old
pivot_root . .old
umount -l /.old
rmdir /.old

# Some kernels only have one of the two tables that iptables can drive.
if ! iptables -w -t nat -S >/dev/null 2>&1 && iptables-legacy -w -t nat -S >/dev/null 2>&1; then
  ln -sfn /usr/sbin/iptables-legacy /etc/alternatives/iptables
  ln -sfn /usr/sbin/ip6tables-legacy /etc/alternatives/ip6tables
fi

touch /run/booted
exec env --ignore-signal=CHLD sleep infinity </dev/null >/dev/null 2>&1
`;
