import type { CustomResourceDefinition, OpenApiSchema } from './crd.ts';

/** The reference page of one kind, in Markdown, from its CRD. */
export function referencePage(crd: CustomResourceDefinition): string {
  const { names } = crd.spec;
  const version = crd.spec.versions[0];
  if (version === undefined) throw new Error(`${crd.metadata.name} has no version`);
  const schema = version.schema.openAPIV3Schema;
  const lines = [
    `# ${names.kind}`,
    '',
    schema.description ?? '',
    '',
    `\`${crd.spec.group}/${version.name}\`, namespaced. Short names: ${names.shortNames.map((n) => `\`${n}\``).join(', ')}${names.categories.length > 0 ? '; category `gridferry`' : ''}.`,
    '',
    'Generated from `src/api/schema` by `npm run generate`; do not edit.',
    '',
  ];
  for (const part of ['spec', 'status'] as const) {
    const node = schema.properties?.[part];
    if (node === undefined) continue;
    lines.push(`## ${part}`, '', node.description ?? '', '');
    rules(node, lines);
    lines.push('| field | type | default | meaning |', '| --- | --- | --- | --- |');
    rows(node, '', lines);
    lines.push('');
  }
  lines.push('## Columns', '', '| column | path | meaning |', '| --- | --- | --- |');
  for (const column of version.additionalPrinterColumns) {
    const wide = column.priority === 1 ? ' (only with `-o wide`)' : '';
    lines.push(`| ${column.name} | \`${column.jsonPath}\` | ${cell(column.description)}${wide} |`);
  }
  return `${lines.join('\n')}\n`;
}

function rules(node: OpenApiSchema, lines: string[]): void {
  const list = node['x-kubernetes-validations'] ?? [];
  if (list.length === 0) return;
  lines.push('Rules:', '', ...list.map((rule) => `- ${rule.message}`), '');
}

function rows(node: OpenApiSchema, prefix: string, lines: string[]): void {
  for (const [name, child] of Object.entries(node.properties ?? {})) {
    const path = `${prefix}${name}`;
    const required = node.required?.includes(name) === true ? ' **required**' : '';
    const fallback = child.default === undefined ? '' : `\`${JSON.stringify(child.default)}\``;
    const own = (child['x-kubernetes-validations'] ?? []).map((rule) => ` Rule: ${rule.message}.`).join('');
    lines.push(
      `| \`${path}\` | ${typeName(child)}${required} | ${fallback} | ${cell(child.description ?? '')}${cell(own)} |`,
    );
    if (child.properties !== undefined) rows(child, `${path}.`, lines);
    if (child.items?.properties !== undefined) rows(child.items, `${path}[].`, lines);
  }
}

function typeName(node: OpenApiSchema): string {
  if (node.enum !== undefined) return node.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (node.type === 'array') return `list of ${typeName(node.items ?? {})}`;
  if (node.type === 'object' && typeof node.additionalProperties === 'object') {
    return `map of ${typeName(node.additionalProperties)}`;
  }
  return node.format === undefined || node.type === 'integer'
    ? (node.type ?? 'any')
    : `${node.type ?? ''} (${node.format})`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
