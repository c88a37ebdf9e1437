import { ruleViolations } from '../api/cel-rules.ts';
import { schemaOf } from '../api/crds.ts';
import { explainSchema } from '../api/explanation.ts';
import type { KubeObject, ObjectMeta, ResourceType } from '../api/meta.ts';
import { fillDefaults } from '../api/structural.ts';
import { schemaViolations } from '../api/validation.ts';
import { keepsRulesFromRunning, RULES_NOT_CHECKED } from '../api/violation.ts';
import type { Admission, AdmissionOperation } from './admission.ts';
import type { StatusCause } from './api-error.ts';
import { invalid } from './api-messages.ts';
import { coreViolations, settleCoreKind } from './core-admission.ts';
import { metadataViolations } from './metadata-validation.ts';
import { decodeObject } from './object-decoding.ts';
import { mergeStringData } from './object-rules.ts';
import { dropDoubleOwners, warningsOf } from './object-warnings.ts';

/** Admission as a Kubernetes API server does it that has the same CRDs: what it refuses is refused in the same words. */
export function createSchemaAdmission(): Admission {
  return {
    decode: decodeObject,
    admit(type, object, old, operation, { onWarning } = {}) {
      const doubles = dropDoubleOwners(object);
      if (doubles !== undefined) onWarning?.(doubles);
      settleCoreKind(type, object, old);
      const schema = schemaOf(type);
      // What was taken out since the object was decoded, such as a creator's status, has its default again.
      if (schema !== undefined && operation === 'create') fillDefaults(schema, object, true);
      const causes = violationsOf(type, object, old, operation);
      if (causes.length > 0) throw invalid(type, (object.metadata as Partial<ObjectMeta>).name ?? '', causes);
      if (onWarning !== undefined) for (const warning of warningsOf(type, object)) onWarning(warning);
      return object;
    },
    explain(type, object) {
      const causes: StatusCause[] = explainSchema(type, object);
      // The rest takes the types of metadata, and of core kinds, for right.
      if (causes.some(({ field }) => field?.startsWith('metadata') === true)) return causes;
      causes.push(...metadataViolations(type, object));
      if (causes.length === 0 && schemaOf(type) === undefined) {
        mergeStringData(object);
        causes.push(...coreViolations(type, object, undefined));
      }
      return causes;
    },
  };
}

function violationsOf(
  type: ResourceType,
  object: KubeObject,
  old: KubeObject | undefined,
  operation: AdmissionOperation,
): StatusCause[] {
  const causes = metadataViolations(type, object);
  const schema = schemaOf(type);
  if (schema === undefined) return [...causes, ...coreViolations(type, object, old)];
  causes.push(...schemaViolations(type, object, old, operation === 'status' ? 'status' : 'all'));
  if (keepsRulesFromRunning(causes)) return [...causes, RULES_NOT_CHECKED];
  return [...causes, ...ruleViolations(schema, object, old)];
}
