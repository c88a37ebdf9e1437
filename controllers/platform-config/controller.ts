import { PlatformConfigs } from '../../src/api/resources.ts';
import type { PlatformConfig } from '../../src/api/resources.ts';
import { GridferryError, messageOf } from '../../src/errors.ts';
import { setCondition } from '../../src/runtime/conditions.ts';
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
        const problem = await check(config, context.key.namespace);
        context.setStatus({
          ...config.status,
          ...(generation === undefined ? {} : { observedGeneration: generation }),
          conditions: [
            ...setCondition(
              config.status?.conditions ?? [],
              problem === undefined
                ? {
                    type: 'Ready',
                    status: 'True',
                    reason: 'Usable',
                    message: whatIsUsable(config),
                    observedGeneration: generation,
                  }
                : {
                    type: 'Ready',
                    status: 'False',
                    reason: problem.reason,
                    message: problem.message,
                    observedGeneration: generation,
                  },
              clock.now(),
            ),
          ],
        });
        if (config.spec.cloudflare === undefined) return done;
        return requeueAfter(problem === undefined ? RECHECK_MS : RETRY_MS, 'next check of the DNS provider');
      },
    },
  };

  async function check(
    config: Readonly<PlatformConfig>,
    namespace: string,
  ): Promise<{ readonly reason: string; readonly message: string } | undefined> {
    const { cloudflare, domain } = config.spec;
    if (cloudflare === undefined) return undefined;
    try {
      const secret = await secrets.read({ namespace, name: cloudflare.apiTokenRef.name });
      const token = secret.get(cloudflare.apiTokenRef.key)?.toString('utf8').trim() ?? '';
      if (token !== '') redactor.add(token);
      await dns.cloudflare(token, cloudflare.apiBaseURL).findZone(domain);
      return undefined;
    } catch (error) {
      const code = error instanceof GridferryError ? error.code : 'GF_UNEXPECTED';
      return { reason: 'ProviderNotUsable', message: redactor.redact(`${code}: ${messageOf(error)}`) };
    }
  }
}

function whatIsUsable({ spec }: Readonly<PlatformConfig>): string {
  return spec.cloudflare === undefined
    ? 'no DNS provider is configured: records are to be changed by hand'
    : `the DNS zone of ${spec.domain} was found`;
}
