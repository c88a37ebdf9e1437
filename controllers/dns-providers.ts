import { createCloudflare } from '../src/dns/cloudflare.ts';
import type { Cloudflare } from '../src/dns/cloudflare.ts';
import { cloudflareProvider } from '../src/dns/cloudflare-provider.ts';
import type { DnsProvider } from '../src/dns/provider.ts';
import type { ControllerInputs } from './dependencies.ts';

/** One client per token, because the provider counts requests per token, and so does the client. */
export interface DnsProviders {
  cloudflare(apiToken: string, baseUrl: string): DnsProvider;
  close(): Promise<void>;
}

export function createDnsProviders({ clock, replica }: Pick<ControllerInputs, 'clock' | 'replica'>): DnsProviders {
  const clients = new Map<string, { readonly client: Cloudflare; readonly provider: DnsProvider }>();
  return {
    cloudflare(apiToken, baseUrl) {
      const key = `${baseUrl}\n${apiToken}`;
      let entry = clients.get(key);
      if (entry === undefined) {
        const client = createCloudflare({
          apiToken,
          baseUrl,
          clock,
          ...(replica === undefined ? {} : { mayWrite: () => replica.leadership.isLeader() }),
        });
        entry = { client, provider: cloudflareProvider(client, { clock }) };
        clients.set(key, entry);
      }
      return entry.provider;
    },
    async close() {
      await Promise.allSettled([...clients.values()].map(({ client }) => client.close()));
      clients.clear();
    },
  };
}
