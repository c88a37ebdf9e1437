import { coreKindCases } from './core-kind-cases.ts';
import { fieldCases } from './field-cases.ts';
import { metadataCases } from './metadata-cases.ts';
import { shapeCases } from './shape-cases.ts';
import { typeCases } from './type-cases.ts';
import { valueCases } from './value-cases.ts';
import type { WriteCase } from './write-case.ts';

/** The table of writes whose answers are recorded. */
export const writeCases: readonly WriteCase[] = [
  ...fieldCases,
  ...valueCases,
  ...metadataCases,
  ...coreKindCases,
  ...typeCases,
  ...shapeCases,
];
