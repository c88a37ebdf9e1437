import type { KubeObject, ResourceType } from '../api/meta.ts';
import { tableOf } from './columns.ts';
import { qualifiedName } from './kinds.ts';
import type { Output } from './output.ts';
import { columnWidths, renderTable } from './table.ts';

export interface PrinterOptions {
  readonly format: 'table' | 'wide' | 'json' | 'yaml' | 'name';
  readonly header: boolean;
  readonly withNamespace: boolean;
  readonly namePrefixes: boolean;
  readonly asList: boolean;
  readonly now: () => number;
}

export interface ObjectsOfKind {
  readonly type: ResourceType;
  readonly objects: readonly Readonly<KubeObject>[];
}

/** Prints objects in the format asked for. */
export interface Printer {
  all(groups: readonly ObjectsOfKind[]): void;
  /** Another object, or another state of one: the next row of a watch. */
  one(type: ResourceType, object: Readonly<KubeObject>): void;
}

export async function createPrinter(output: Output, options: PrinterOptions): Promise<Printer> {
  const { format } = options;
  // Only who asks for YAML waits until what makes it is loaded.
  const render = format === 'yaml' ? (await import('./render-yaml.ts')).renderYaml : renderJson;
  let widths: readonly number[] | undefined;

  function printTable({ type, objects }: ObjectsOfKind): void {
    const table = tableOf(type, objects, {
      now: options.now(),
      wide: format === 'wide',
      withNamespace: options.withNamespace && type.namespaced,
      ...(options.namePrefixes ? { namePrefix: qualifiedName(type, '') } : {}),
    });
    // A watch that begins with nothing prints its header with the first row.
    const header = options.header && widths === undefined;
    widths ??= columnWidths([table.header, ...table.rows]);
    for (const line of renderTable(table, { header, widths })) output.print(line);
  }

  function printAll(groups: readonly ObjectsOfKind[]): void {
    const filled = groups.filter(({ objects }) => objects.length > 0);
    filled.forEach((group, index) => {
      if (index > 0) output.print('');
      widths = undefined;
      printTable(group);
    });
  }

  return {
    all(groups) {
      const objects = groups.flatMap((group) => group.objects);
      switch (format) {
        case 'table':
        case 'wide':
          printAll(groups);
          break;
        case 'name':
          for (const { type, objects: some } of groups) {
            for (const object of some) output.print(qualifiedName(type, object.metadata.name));
          }
          break;
        default:
          output.print(render(options.asList ? listOf(objects) : objects[0]));
      }
    },
    one(type, object) {
      if (format === 'table' || format === 'wide') printTable({ type, objects: [object] });
      else if (format === 'name') output.print(qualifiedName(type, object.metadata.name));
      else output.print(format === 'yaml' ? `---\n${render(object)}` : render(object));
    },
  };
}

function listOf(items: readonly Readonly<KubeObject>[]): unknown {
  return { apiVersion: 'v1', items, kind: 'List', metadata: { resourceVersion: '' } };
}

function renderJson(value: unknown): string {
  return JSON.stringify(value, undefined, 4);
}
