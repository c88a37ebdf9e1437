import { PlatformConfigs } from '../../src/api/resources.ts';
import type { PlatformConfig } from '../../src/api/resources.ts';
import { classOf, GridferryError, messageOf } from '../../src/errors.ts';
import { setReadiness } from '../../src/runtime/readiness.ts';
import type { Standing } from '../../src/runtime/readiness.ts';
import type { ControllerDefinition } from '../../src/runtime/reconciler.ts';
import { done, requeueAfter } from '../../src/runtime/result.ts';
import type { ControllerDependencies } from '../dependencies.ts';

const RECHECK_MS = 5 * 60_000;
const RETRY_MS = 15_000;

/** The PlatformConfig controller: says whether the DNS provider can be used with the token given. */
export function platformConfigController(dependencies: ControllerDependencies): ControllerDefinition<PlatformConfig> {
  const { secrets, redactor, dns, clock } = dependencies;
  return {
    reconciler: {
      name: 'platformconfig',
      type: PlatformConfigs,
      async reconcile(config, context) {
        const generation = config.metadata.generation;
        const readiness = await check(config, context.key.namespace);
        context.setStatus({
          ...config.status,
          ...(generation === undefined ? {} : { observedGeneration: generation }),
          conditions: setReadiness(config.status?.conditions, readiness, generation, clock.now()),
        });
        if (config.spec.cloudflare === undefined) return done;
        return requeueAfter(readiness.state === 'Ready' ? RECHECK_MS : RETRY_MS, 'next check of the DNS provider');
      },
    },
  };

  async function check(config: Readonly<PlatformConfig>, namespace: string): Promise<Standing> {
    const { cloudflare, domain } = config.spec;
    if (cloudflare === undefined) {
      const message = 'no DNS provider is configured: records are to be changed by hand';
      return { state: 'Ready', reason: 'Usable', message };
    }
    try {
      const secret = await secrets.read({ namespace, name: cloudflare.apiTokenRef.name });
      const token = secret.get(cloudflare.apiTokenRef.key)?.toString('utf8').trim() ?? '';
      if (token !== '') redactor.add(token);
      await dns.cloudflare(token, cloudflare.apiBaseURL).findZone(domain);
      return { state: 'Ready', reason: 'Usable', message: `the DNS zone of ${domain} was found` };
    } catch (error) {
      const code = error instanceof GridferryError ? error.code : 'GF_UNEXPECTED';
      return {
        state: classOf(error) === 'terminal' ? 'Stalled' : 'Reconciling',
        reason: 'ProviderNotUsable',
        message: redactor.redact(`${code}: ${messageOf(error)}`),
      };
    }
  }
}
