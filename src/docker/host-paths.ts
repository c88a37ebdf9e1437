import { cleanPath } from './mounts.ts';

/** Trees that belong to the machine: the container wants the target's own, never a copy of the source's. */
const TREES: readonly string[] = [
  '/proc',
  '/sys',
  '/dev',
  '/run',
  '/var/run',
  '/boot',
  '/lib/modules',
  '/var/lib/docker',
];

const FILES: readonly string[] = [
  '/',
  '/etc/localtime',
  '/etc/timezone',
  '/etc/hostname',
  '/etc/hosts',
  '/etc/resolv.conf',
  '/etc/machine-id',
  '/etc/os-release',
  '/etc/passwd',
  '/etc/group',
  '/etc/ssl/certs',
  '/usr/share/zoneinfo',
  '/var/log',
  '/tmp/.X11-unix',
];

/** Whether a bind mount shows the container something of its server, such as `/var/run/docker.sock` or `/proc`. */
export function isHostSpecific(path: string): boolean {
  const clean = cleanPath(path);
  if (clean.endsWith('/docker.sock') || FILES.includes(clean)) return true;
  return TREES.some((tree) => clean === tree || clean.startsWith(`${tree}/`));
}
