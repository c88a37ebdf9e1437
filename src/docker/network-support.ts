import { atLeast } from './engine.ts';
import type { EngineFacts } from './engine-facts.ts';
import type { NetworkCapture } from './network-capture.ts';

/** Options that older drivers pass over in silence, and the API version of the first engine that knows them. */
const OPTIONS_SINCE: Readonly<Record<string, string>> = {
  'com.docker.network.bridge.gateway_mode_ipv4': '1.46',
  'com.docker.network.bridge.gateway_mode_ipv6': '1.46',
  'com.docker.network.bridge.trusted_host_interfaces': '1.51',
};

/**
 * What this engine cannot do for the network: one sentence each, empty when it can do everything.
 * Source of the version rules: Docker's "Engine API version history" and release notes.
 */
export function unsupportedNetwork(network: NetworkCapture, facts: EngineFacts): string[] {
  if (network.builtin) return [];
  const says: string[] = [];
  if (network.scope === 'swarm') says.push('it belongs to a swarm');
  if (!facts.networkDrivers.includes(network.driver))
    says.push(`the network driver ${network.driver} is not installed`);
  if (!network.ipv4) needs('1.48', 'a network without IPv4');
  for (const option of Object.keys(network.options)) {
    const since = OPTIONS_SINCE[option];
    if (since !== undefined) needs(since, `the option ${option}`);
  }
  return says;

  function needs(since: string, what: string): void {
    if (!atLeast(facts.apiVersion, since)) says.push(`${what} needs API ${since}, this engine has ${facts.apiVersion}`);
  }
}
