import { readFileSync } from 'node:fs';
import type { RawContainer } from '../../src/docker/container-types.ts';
import { engineFacts } from '../../src/docker/engine-facts.ts';
import type { EngineFacts, RawInfo, RawVersion } from '../../src/docker/engine-facts.ts';
import { toCapture } from '../../src/docker/container-capture.ts';
import type { ContainerCapture } from '../../src/docker/container-capture.ts';
import type { RawImage } from '../../src/docker/image-capture.ts';
import type { RawNetwork } from '../../src/docker/network-capture.ts';
import type { RawVolume } from '../../src/docker/volume-capture.ts';

/** Answers of a Docker 20.10.24, as they came. */
function recorded<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`fixtures/${name}-20.10.json`, import.meta.url), 'utf8')) as T;
}

export const containers = recorded<Record<'full' | 'dep' | 'plain', RawContainer>>('containers');
export const networks = recorded<Record<'netone' | 'nettwo' | 'bridge', RawNetwork>>('networks');
export const volumes = recorded<Record<'named' | 'tmpvol' | 'drv', RawVolume>>('volumes');
export const image = recorded<{
  inspect: RawImage;
  save: { name: string; type: string; size: number; content?: string }[];
}>('image');
export const engine = recorded<{ version: RawVersion; info: RawInfo }>('engine');

export function facts(changes: Partial<EngineFacts> = {}): EngineFacts {
  return { ...engineFacts(engine.version, engine.info, '1.41'), ...changes };
}

export function capture(name: keyof typeof containers, changes: Partial<EngineFacts> = {}): ContainerCapture {
  const names = new Map(Object.values(containers).map((raw) => [raw.Id, raw.Name.slice(1)]));
  return toCapture(containers[name], facts(changes), (id) => names.get(id) ?? id);
}
