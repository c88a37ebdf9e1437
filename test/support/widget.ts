import { API_VERSION, GROUP, VERSION } from '../../src/api/meta.ts';
import type { Condition, KubeObject, ResourceType } from '../../src/api/meta.ts';

/** A kind of no meaning, for tests of what every kind has. */
export interface Widget extends KubeObject {
  spec: { size: number };
  status?: { size?: number; note?: string; conditions?: Condition[] };
}

export const Widgets: ResourceType<Widget> = {
  group: GROUP,
  version: VERSION,
  kind: 'Widget',
  plural: 'widgets',
  singular: 'widget',
  shortNames: [],
  categories: [],
  namespaced: true,
  hasStatus: true,
};

export function widget(name: string, size = 1, namespace = 'default'): Widget {
  return { apiVersion: API_VERSION, kind: 'Widget', metadata: { name, namespace }, spec: { size } };
}
