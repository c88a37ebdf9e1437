import { z } from 'zod';
import {
  conditions,
  count,
  duration,
  listMap,
  localReference,
  number,
  observedGeneration,
  port,
  rules,
  text,
  timestamp,
} from './building-blocks.ts';

const ssh = z
  .object({
    port: port('Port of sshd.').default(22),
    user: z
      .string()
      .min(1)
      .max(64)
      .regex(/^[A-Za-z_][A-Za-z0-9_.-]*\$?$/)
      .default('root')
      .meta({ description: 'Login name: root, or a user of the docker group.' }),
    credentialsRef: localReference(
      'A Secret with ssh-privatekey (and passphrase, if it has one) or password. With both, password wins.',
    ),
    hostKey: z
      .string()
      .min(1)
      .max(2048)
      .optional()
      .meta({ description: 'The pinned host key: "SHA256:…" or a public key line such as "ssh-ed25519 AAAA…".' }),
    hostKeyPolicy: z.enum(['Strict', 'AcceptNew']).default('Strict').meta({
      description:
        'Strict: only hostKey is trusted. AcceptNew: the key seen first is pinned in status.hostKey; a later change is refused.',
    }),
    sudo: z.boolean().default(false).meta({ description: 'Whether "sudo -n" may be used for what needs root.' }),
  })
  .meta({ description: 'How to log in.' });

export const managedServerSpec = z
  .object({
    address: z
      .string()
      .min(1)
      .max(253)
      .optional()
      .meta({ description: 'IP address or host name that sshd is reached at.' }),
    local: z
      .boolean()
      .default(false)
      .meta({ description: "This machine's own Docker, without SSH. Excludes address and ssh." }),
    publicAddress: z
      .string()
      .max(253)
      .optional()
      .meta({ description: 'IP address that DNS records point to; default: address.' }),
    ssh: ssh.optional(),
    docker: z
      .object({
        socketPath: z
          .string()
          .max(4096)
          .regex(/^\//)
          .default('/var/run/docker.sock')
          .meta({ description: "Path of the Docker API's UNIX socket on the server." }),
      })
      .default({ socketPath: '/var/run/docker.sock' })
      .meta({ description: 'How to reach Docker.' }),
    network: z.string().min(1).max(63).optional().meta({
      description: 'Lock domain: of the transfers that touch servers with the same value, one runs at a time.',
    }),
    maxTransfers: z
      .int32()
      .min(1)
      .max(64)
      .default(4)
      .meta({ description: 'How many transfers may touch this server at the same time; others wait.' }),
    primary: z.boolean().default(false).meta({ description: 'Whether it is the first server of the platform.' }),
    allowUserWorkloads: z.boolean().default(true).meta({ description: 'Whether services may be moved onto it.' }),
    unschedulable: z
      .boolean()
      .default(false)
      .meta({ description: 'Cordoned: nothing new is moved onto it; what runs there stays.' }),
    probeInterval: duration('How often the server is looked at.').default('30s'),
  })
  .meta({
    description: 'What the user wants of the server.',
    ...rules(
      { rule: 'self.local || has(self.address)', message: 'address is required unless local is true' },
      { rule: 'self.local || has(self.ssh)', message: 'ssh is required unless local is true' },
      {
        rule: '!self.local || (!has(self.address) && !has(self.ssh))',
        message: 'local excludes address and ssh: local is this machine, reached without SSH',
      },
    ),
  });

const hostKey = z
  .object({
    algorithm: text('Key type, such as ssh-ed25519.'),
    fingerprint: text('SHA256:… of the key.'),
    publicKey: text('The key itself, as in known_hosts.'),
    pinnedAt: timestamp('When it was first accepted.'),
  })
  .meta({ description: 'The host key that was pinned on first use.' });

const filesystem = z
  .object({
    path: text('Where it was asked.'),
    type: text('File system type.').optional(),
    totalBytes: count('Size in bytes.'),
    freeBytes: count('Bytes that can still be written.'),
    totalInodes: count('Inodes; 0 where the file system does not count them.').optional(),
    freeInodes: count('Inodes left.').optional(),
  })
  .meta({ description: 'Space of one file system.' });

const facts = z
  .object({
    os: text('Operating system, as it names itself.').optional(),
    kernel: text('Kernel release.').optional(),
    architecture: text("Processor architecture in Docker's words: amd64, arm64, …").optional(),
    cpus: count('Processors.').optional(),
    memoryBytes: count('Memory in bytes.').optional(),
    clockSkewMs: number("How far the server's clock is ahead of the controller's, in milliseconds.").optional(),
    tools: z
      .record(z.string(), z.string())
      .optional()
      .meta({ description: 'Programs found, with their versions: rsync, tar, …' }),
    root: z.boolean().optional().meta({ description: 'Whether programs can be run as root.' }),
    docker: z
      .object({
        version: text('Version of the engine.'),
        apiVersion: text('Newest API version it speaks.'),
        storageDriver: text('Storage driver, such as overlay2.').optional(),
        imageStore: text('Where images are kept: the graph driver or containerd.').optional(),
        rootDir: text("The engine's data directory.").optional(),
        rootless: z.boolean().optional().meta({ description: 'Whether the engine runs without root.' }),
      })
      .optional()
      .meta({ description: 'The Docker engine.' }),
    filesystems: z
      .array(filesystem)
      .max(16)
      .optional()
      .meta({ description: 'Space where it matters.', ...listMap('path') }),
  })
  .meta({ description: 'What the last successful probe found.' });

export const managedServerStatus = z
  .object({
    phase: z
      .enum(['Pending', 'Provisioning', 'Online', 'Offline', 'Draining', 'Drained'])
      .optional()
      .meta({ description: 'Derived from the conditions: what to watch.' }),
    observedGeneration: observedGeneration.optional(),
    conditions: conditions.optional(),
    hostKey: hostKey.optional(),
    facts: facts.optional(),
    services: z
      .array(
        z.object({
          name: text('Container name, or compose project.'),
          kind: z.enum(['Container', 'ComposeProject']).meta({ description: 'What it is.' }),
          containers: count('How many containers it has.'),
          running: count('How many of them run.'),
        }),
      )
      .max(500)
      .optional()
      .meta({ description: 'What runs there.', ...listMap('kind', 'name') }),
    lastProbeTime: timestamp('When the server was last looked at.').optional(),
    consecutiveFailures: count('Probes that failed since the last that did not.').optional(),
  })
  .meta({ description: 'What the controller observed.' });
