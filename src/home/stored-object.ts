import type { KubeObject } from '../api/meta.ts';

/** An object as it lies in the store: its text goes out as it is, and is parsed only for who looks into it. */
export class StoredObject {
  readonly json: string;
  #object: KubeObject | undefined;

  constructor(json: string) {
    this.json = json;
  }

  /** Shared by everybody who looks: not to be changed. */
  get object(): Readonly<KubeObject> {
    return (this.#object ??= JSON.parse(this.json) as KubeObject);
  }

  /** A copy of the caller's own. */
  copy(): KubeObject {
    return JSON.parse(this.json) as KubeObject;
  }
}
