import { Environment } from '@marcbachmann/cel-js';
import { isDeepStrictEqual } from 'node:util';
import { memberShape, shapeOf } from './schema-shape.ts';
import type { Shape } from './schema-shape.ts';
import type { OpenApiSchema } from './schema/crd.ts';
import { childField, counterpart, itemCounterparts } from './structural.ts';
import type { Violation } from './violation.ts';

type Program = (context: Record<string, unknown>) => unknown;
const programs = new Map<string, Program>();
let environment: Environment | undefined;

function programOf(rule: string): Program {
  let program = programs.get(rule);
  if (program === undefined) {
    environment ??= new Environment({ unlistedVariablesAreDyn: true });
    program = environment.parse(rule) as Program;
    programs.set(rule, program);
  }
  return program;
}

/**
 * What the `x-kubernetes-validations` of a schema say about an object. Only for objects whose types are right.
 *
 * A rule that names `oldSelf` is about a change: it does not apply to what is new. Any other rule does not apply to what
 * an update leaves as it was ("ratcheting"), so that an object stored under older rules can still be changed elsewhere.
 *
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-ratcheting
 */
export function ruleViolations(schema: OpenApiSchema, value: unknown, old: unknown): Violation[] {
  const found: Violation[] = [];
  collectBroken(shapeOf(schema), value, old, '', found);
  return found;
}

function collectBroken(shape: Shape, value: unknown, old: unknown, field: string, found: Violation[]): void {
  if (!shape.hasRules || value === undefined || value === null) return;
  // What is the very same is as it was, and so is all in it.
  if (value === old && !shape.hasChangeRules) return;
  for (const { rule, message, aboutChange } of shape.rules) {
    if (aboutChange ? old === undefined : old !== undefined && isDeepStrictEqual(value, old)) continue;
    const problem = broken(rule, message, value, old);
    if (problem !== undefined) {
      found.push({ reason: 'FieldValueInvalid', field: field || '<nil>', message: `Invalid value: ${problem}` });
    }
  }
  if (Array.isArray(value)) {
    const { items } = shape;
    if (items?.hasRules !== true) return;
    const before = itemCounterparts(shape.schema, old);
    value.forEach((item, index) => collectBroken(items, item, before(item), childField(field, index), found));
  } else if (typeof value === 'object') {
    for (const [name, member] of Object.entries(value)) {
      const child = memberShape(shape, name);
      if (child?.hasRules !== true) continue;
      collectBroken(child, member, counterpart(shape.schema, value, old, name), childField(field, name), found);
    }
  }
}

function broken(rule: string, message: string, self: unknown, oldSelf: unknown): string | undefined {
  try {
    return programOf(rule)({ self, oldSelf }) === true ? undefined : message;
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)} evaluating rule: ${rule}`;
  }
}
