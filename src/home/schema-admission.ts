import { validate } from '../api/validation.ts';
import type { Admission } from './admission.ts';
import { invalid } from './api-messages.ts';

/**
 * Admission by the schemas and CEL rules of the CRDs: fills in defaults, and refuses what a Kubernetes API server with
 * the same CRDs would refuse under `fieldValidation=Strict`.
 */
export function createSchemaAdmission(): Admission {
  return {
    admit(type, object, old) {
      const admitted = structuredClone(object);
      const violations = validate(type, admitted, old);
      if (violations.length > 0) throw invalid(type, object.metadata.name, violations);
      return admitted;
    },
  };
}
