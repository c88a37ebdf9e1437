import type { Command } from 'commander';

interface DnsOptions {
  readonly domain: string;
  readonly record: readonly string[];
  readonly token: string;
  readonly port: string;
  readonly dnsPort: string;
}

/** `sandbox dns`: the stand-in of the Cloudflare API, so that a cutover can be tried without a domain. */
export function registerSandboxDns(sandbox: Command): void {
  const collect = (value: string, list: readonly string[]): string[] => [...list, value];
  sandbox
    .command('dns')
    .description('run a stand-in of the Cloudflare API, with a name server for its records, until it is interrupted')
    .option('--domain <name>', 'the zone it holds', 'ferry.example')
    .option('--record <name=address>', 'an A record in that zone; may be repeated', collect, [])
    .option('--token <token>', 'the only API token it takes', 'sandbox-token')
    .option('--port <port>', 'port of the API on 127.0.0.1', '9953')
    .option('--dns-port <port>', 'port of the name server on 127.0.0.1', '9954')
    .action(async (options: DnsOptions) => {
      const { startCloudflareStandIn } = await import('../sandbox/cloudflare-stand-in.ts');
      const { usageError } = await import('./cli-error.ts');
      const records = options.record.map((entry) => {
        const [name = '', content = ''] = entry.split('=');
        if (name === '' || content === '') throw usageError(`--record ${entry} is not <name>=<address>`);
        return { type: 'A' as const, name: `${name}.${options.domain}`, content, ttl: 300 };
      });
      const standIn = await startCloudflareStandIn({
        zones: [{ name: options.domain, records }],
        token: options.token,
        port: Number(options.port),
        dnsPort: Number(options.dnsPort),
      });
      process.stdout.write(
        `API ${standIn.baseUrl}, token ${options.token}, name server ${standIn.dnsAddress}; Ctrl-C ends it\n`,
      );
      await new Promise<void>((resolve) => {
        for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
      });
      await standIn.close();
    });
}
